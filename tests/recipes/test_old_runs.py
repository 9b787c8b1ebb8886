"""Runs made by an earlier version are read, resumed and added to: the same cells, the same scores."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from physiokeras.comparison import cells, report
from physiokeras.evaluation import probe_report
from physiokeras.experiments import run_folder, training
from physiokeras.figures import pretraining_run
from physiokeras.models import load
from physiokeras.pipelines import Manifest
from physiokeras.recipes import compare, pretrain

pytestmark = pytest.mark.once

OLD = Path(__file__).parents[1] / "data" / "old_runs"
KEPT = "unimodal_ecg-seed-0-fold-0-498a79bf"


def facts(path):
    return json.loads(path.read_text())


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def numbers(table):
    return np.array([[float(value or "nan") for value in row.values()] for row in table])


def resume(command, folder, data, *more):
    """Resume a run with newer code and packages."""
    accepted = {"code", *facts(folder / "run.json")["versions"], *run_folder.versions()}
    return command.main(["--resume", str(folder), "--data", str(data), *more, "--accept", *accepted])


@pytest.fixture
def data(pretrained, monkeypatch):
    """The cohort of the old runs, simulated anew, with the facts of then: floats may differ in a last digit."""
    read, then = Manifest.read.__func__, facts(OLD / "cohort.json")

    def as_then(cls, folder):
        manifest = read(cls, folder)
        records = [replace(record, split=then["splits"][record.name]) for record in manifest.records]
        return replace(manifest, records=records, variances=then["variances"], data_hash=then["data_hash"])

    monkeypatch.setattr(Manifest, "read", classmethod(as_then))
    return pretrained.cohort / "prepared"


@pytest.fixture
def comparison(tmp_path, monkeypatch):
    """A copy of the old comparison; which cells were computed, in `computed`."""
    monkeypatch.setattr(report, "draw", lambda *_: None)
    folder, computed, compute = shutil.copytree(OLD / "compare", tmp_path / "compare"), [], cells.compute

    def spied(cell, *rest):
        computed.append(cell.folder.name)
        compute(cell, *rest)

    monkeypatch.setattr(cells, "compute", spied)
    return folder, computed


def test_finished_comparison_is_read_and_reaches_the_same_scores(comparison, data):
    folder, computed = comparison
    assert resume(compare, folder, data) == 0
    assert computed == []
    assert facts(folder / "run.json")["cells"] == facts(OLD / "compare" / "run.json")["cells"]
    found, before = rows(folder / "scores.csv"), rows(OLD / "compare" / "scores.csv")
    keys = ("strategy", "seed", "fold", "task", "score")
    values, expected = ({tuple(row[key] for key in keys): row["value"] for row in table} for table in (found, before))
    assert values.keys() == expected.keys()
    for key, value in expected.items():
        assert float(values[key] or "nan") == pytest.approx(float(value or "nan"), rel=1e-4, nan_ok=True), key


def test_strategies_and_seeds_are_added_to_a_finished_comparison(comparison, data):
    folder, computed = comparison
    more = ["--seeds", "2", "--strategies", "untrained", "time_alone", "--reference", "untrained"]
    assert resume(compare, folder, data, *more) == 0
    assert len(computed) == 4
    assert all("-seed-1-fold-" in name for name in computed)


def test_kept_model_of_a_cell_predicts_what_it_predicted(comparison, data, monkeypatch):
    folder, computed = comparison
    (folder / "cells" / KEPT / "cell.json").unlink()
    monkeypatch.setattr(training, "fit", None)
    assert resume(compare, folder, data) == 0
    assert computed == [KEPT]
    (old, new) = (rows(root / "cells" / KEPT / "predictions.csv") for root in (OLD / "compare", folder))
    assert [list(row.values())[:3] for row in new] == [list(row.values())[:3] for row in old]
    columns = [name for name in old[0] if ", raw: " in name and "age_years" not in name]
    ours, theirs = (np.array([[float(row[name]) for name in columns] for row in table]) for table in (new, old))
    np.testing.assert_allclose(ours, theirs, atol=5e-3)


def test_interrupted_pretraining_is_resumed_to_the_same_end(tmp_path, data, monkeypatch):
    monkeypatch.setattr(probe_report, "probe_encoder", lambda *_: ({}, {}))
    monkeypatch.setattr(pretraining_run, "draw_all", lambda *_: None)
    folder = shutil.copytree(OLD / "pretrain", tmp_path / "pretrain")
    lines = (folder / "metrics.csv").read_text().splitlines(keepends=True)
    (folder / "metrics.csv").write_text("".join(lines[:2]))  # up to the checkpoint's step
    with pytest.raises(SystemExit, match=r"code: .* then, .* now"):
        pretrain.main(["--resume", str(folder), "--data", str(data)])
    assert resume(pretrain, folder, data) == 0
    found, before = (numbers(rows(run / "metrics.csv")) for run in (folder, OLD / "pretrain"))
    np.testing.assert_allclose(found, before, rtol=1e-3)
    assert list(load(folder / "model").encoder.modalities) == ["eeg", "ecg"]
