import csv
import json
import re
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from physiokeras.analysis import analysed_runs, analysis_page, comparison_section
from physiokeras.evaluation import extraction
from physiokeras.experiments import build, cohort
from physiokeras.experiments.settings import from_toml, read
from physiokeras.models import digest, load
from physiokeras.pipelines import Manifest
from physiokeras.recipes import analyze
from physiokeras.recipes.pretrain import Settings

pytestmark = pytest.mark.once


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(pretrained):
    out = pretrained.folder.parent / "analysis"
    few = ["--windows", "40", "--few-windows", "12", "--draws", "50", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        # Laying figures out takes as long as all else; they have tests of their own.
        patch.setattr(analysis_page, "save", lambda figure, path: path.touch())
        assert analyze.main(["--run", str(pretrained.folder), *few]) == 0
    return out


def test_page_names_every_table_and_figure_and_calls_the_data_simulated(written):
    text = (written / "analysis.md").read_text()
    assert "Simulated recordings" in text
    linked = set(re.findall(r"\]\(([^)]+)\)", text))
    on_disk = {str(path.relative_to(written)) for path in written.rglob("*") if path.suffix in (".csv", ".png")}
    assert linked == on_disk
    assert {path.stem for path in written.rglob("*.pdf")} == {path.stem for path in written.rglob("*.png")}
    assert "rollout" in {path.stem for path in written.rglob("*.pdf")}


def test_attention_is_given_for_both_encoders_with_nulls_that_are_null(written):
    rows = table(written / "attention.csv")
    assert {row["run"] for row in rows} == {"run", "untrained"}
    permuted = [
        row for row in rows if row["condition"] == "key times permuted" and row["measure"] == "alignment_of_others"
    ]
    assert [(row["run"], row["layer"]) for row in permuted] == [("run", "1"), ("run", "rollout")]
    assert [float(row["value"]) for row in permuted] == pytest.approx([1] * 2, abs=0.1)


def test_tuning_and_reconstruction_have_a_row_for_each_unit_and_pair(written):
    units = table(written / "tuning.csv")
    assert len(units) == 2 * 2 * 16
    shares = np.array([[float(row["share_eeg"]), float(row["share_ecg"])] for row in units])
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-4)
    pairs = {(row["source"], row["target"]) for row in table(written / "reconstruction.csv")}
    assert pairs == {("eeg", "ecg"), ("ecg", "eeg")}


def test_untrained_encoder_is_the_one_that_the_run_began_with(pretrained):
    settings = Settings(**from_toml(Settings, pretrained.folder / "settings.toml"))
    manifest = Manifest.read(pretrained.cohort / "prepared")
    trained, other = analysed_runs.analysed_models(pretrained.folder, ())
    began = build.build_encoder(settings, manifest)
    for found, expected in zip(other.encoder.trainable_variables, began.trainable_variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (found, expected)))
    assert digest(other.encoder) != digest(trained.encoder)


def test_windows_are_spread_evenly_in_full_batches(pretrained):
    manifest = analysed_runs.manifest_of(pretrained.folder)
    whole = list(extraction.batches(manifest, ["eeg", "ecg"], 1000, size=5))
    count = manifest.splits["test"]
    assert [len(people) for _, people, _ in whole] == [5] * (count // 5) + [count % 5] * (count % 5 > 0)
    inputs, people, _labels = extraction.arrays(manifest, ["ecg"], count // 2, labels=["window"], size=5)
    assert len(people) == len(inputs["ecg"]) == count // 2
    assert set(people) == {record.person for record in manifest.select("test")}
    named = [record.name for record in manifest.records][:2]
    _, people, _ = extraction.arrays(manifest, ["ecg"], 1000, records=named)
    assert set(people) == {record.person for record in manifest.records[:2]}


def test_cell_is_analysed_on_the_people_that_it_held_out(pretrained, tmp_path, monkeypatch):
    manifest = Manifest.read(pretrained.cohort / "prepared")
    learners = sorted({record.person for record in manifest.select("train")})[:2]
    shutil.copytree(pretrained.folder / "model", tmp_path / "cell" / "model")
    shutil.copy(pretrained.folder / "settings.toml", tmp_path / "cell")
    (tmp_path / "cell" / "cell.json").write_text(json.dumps({"people": {"test": learners}}))
    seen, batches = [], extraction.batches

    def spied(*arguments, **options):
        for inputs, people, labels in batches(*arguments, **options):
            seen.append(set(people))
            yield inputs, people, labels

    monkeypatch.setattr(extraction, "batches", spied)
    monkeypatch.setattr(analysis_page, "save", lambda figure, path: path.touch())
    few = ["--windows", "12", "--few-windows", "6", "--draws", "20", "--data", str(manifest.folder)]
    assert analyze.main(["--run", str(tmp_path / "cell"), *few]) == 0
    assert len(seen) >= 6
    assert set.union(*seen) == set(learners)


def test_runs_that_held_out_other_people_are_not_shown_beside_each_other(pretrained, tmp_path):
    manifest = Manifest.read(pretrained.cohort / "prepared")
    tested = sorted({record.person for record in manifest.select("test")})
    for name, people in (("same", tested), ("other", tested[:1])):
        shutil.copytree(pretrained.folder / "model", tmp_path / name / "model")
        (tmp_path / name / "cell.json").write_text(json.dumps({"people": {"test": people}}))
    assert analysed_runs.held_out(pretrained.folder, manifest, [tmp_path / "same"]) is None
    with pytest.raises(analysed_runs.DataError, match="has other test people"):
        analysed_runs.held_out(pretrained.folder, manifest, [tmp_path / "other"])
    with pytest.raises(analysed_runs.DataError, match="was trained on other data"):
        analysed_runs.held_out(tmp_path / "same", replace(manifest, data_hash="0"))


def test_section_that_cannot_be_made_says_so_and_leaves_the_others():
    def make():
        raise ValueError("EMG is nowhere.")

    assert analysis_page.section_or_reason("Tuning", make).text == ["Not made: EMG is nowhere."]


def test_classes_of_any_label_are_told_apart(pretrained, tmp_path, monkeypatch):
    manifest = Manifest.read(pretrained.cohort / "prepared")
    assert analysed_runs.label_of(manifest).name == "stage"
    monkeypatch.setitem(manifest.labels, "stage", {"kind": "age", "classes": None})
    assert analysed_runs.label_of(manifest).classes == ("no arousal", "arousal")
    monkeypatch.setitem(manifest.labels, "arousal", {"kind": "age", "classes": None})
    assert analysed_runs.label_of(manifest) is None


def test_measures_of_a_comparison_are_set_against_its_scores(pretrained, tmp_path, monkeypatch):
    folder = tmp_path / "compare"
    manifest = Manifest.read(pretrained.cohort / "prepared")
    tested = sorted({record.person for record in manifest.select("test")})
    for number in range(4):
        cell = folder / "cells" / f"mae-seed-{number}"
        cell.mkdir(parents=True)
        facts = {"strategy": "mae", "seed": number, "fold": 0, "scores": {"stage, raw": {"balanced_accuracy": number}}}
        facts["people"] = {"test": tested}
        (cell / "cell.json").write_text(json.dumps(facts))
    shutil.copytree(pretrained.folder / "model", folder / "cells" / "mae-seed-0" / "model")
    shutil.copy(pretrained.folder / "settings.toml", folder)
    (folder / "run.json").write_text(json.dumps({"cells": [f"mae-seed-{number}" for number in range(4)]}))
    data = ["--data", str(pretrained.cohort / "prepared"), "--windows", "12", "--few-windows", "6"]
    with pytest.raises(analysed_runs.DataError, match="1 finished cells"):
        analyze.main(["--compare", str(folder), *data])
    measured = comparison_section._measured

    def stand_in(cell, manifest, settings):
        if (cell / "model").exists():
            real = measured(cell, manifest, settings)
            assert load(cell / "model").encoder.depth == 1
            assert 0 <= real["distributedness"] <= 1
            assert real["alignment"] > 0
            return real
        number = int(cell.name[-1])
        return {"cell": cell.name, "strategy": "mae", "seed": number, "fold": 0, "alignment": 100.0 + number,
                "cross_modality": 1.0, "distributedness": 0.5, "scores": {"stage, raw": number}}  # fmt: skip

    monkeypatch.setattr(comparison_section, "_measured", stand_in)
    monkeypatch.setattr(analysis_page, "save", lambda figure, path: path.touch())
    assert analyze.main(["--compare", str(folder), *data]) == 0
    text = (folder / "analysis" / "analysis.md").read_text()
    assert re.search(r"- (Yes|No): .*alignment in time \(rollout\).* stage, raw .*Spearman \+1\.00", text)
    assert len(table(folder / "analysis" / "explanation.csv")) == 4


def test_run_or_comparison_must_be_given(capsys):
    for given in ([], ["--run", "a", "--compare", "b"]):
        with pytest.raises(SystemExit):
            analyze.main(given)
        assert "Give --run or --compare" in capsys.readouterr().err


def test_a_cohort_without_coupling_lies_in_a_folder_of_its_own(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(cohort, "simulate", lambda folder, *_, coupled, **__: made.append((folder, coupled)))
    monkeypatch.setattr(cohort, "convert", lambda *_, **__: None)
    for flags in ([], ["--no-coupled"]):
        cohort.prepared(read(Settings, [*flags, "--out", str(tmp_path / "run")]))
    assert [coupled for _, coupled in made] == [True, False]
    assert len({folder for folder, _ in made}) == 2
