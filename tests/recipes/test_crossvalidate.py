import csv
import json
import shutil
import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from physiokeras import checkpoint_folders
from physiokeras.analysis.features import Features
from physiokeras.analysis.probing import Probe
from physiokeras.callbacks import Checkpoints
from physiokeras.constants import INT16_SCALE
from physiokeras.errors import DataError
from physiokeras.pipelines import Manifest, windows
from physiokeras.pipelines.conversion import examples
from physiokeras.pipelines.definition import Definition
from physiokeras.pipelines.manifest import combine
from physiokeras.pipelines.shards import write_shard
from physiokeras.recipes import cells, crossvalidate, fold_scores, folds, supervised, training

PEOPLE = ("ann", "bea", "cyd", "dot", "eva", "fay")
UNLABELLED = "gil"
WINDOWS = 16
STEPS = "--steps 3 --interval 3 --supervised-steps 4 --supervised-interval 2 --draws 8 --folds 2 --seeds 1"
COLUMNS = {
    "time alone",
    *(f"{e} {s}" for e in ("pretrained", "untrained", "supervised") for s in ("raw", "per person")),
}
DEFINITION = Definition.from_dict(
    {
        "name": "toy",
        "window": 4.0,
        "people": "people.csv",
        "modalities": {"pulse": {"rate": 8, "channels": ["P"]}, "move": {"rate": 4, "channels": ["X", "Y"]}},
        "labels": {
            "stress": {"kind": "spans", "annotator": "s", "classes": ["rest", "stress"]},
            "age": {"kind": "age"},
        },
    }
)


def write_record(folder, name):
    """A person's shard and sidecar: stress is loud, every fifth window is unlabelled, the loudness is the person's."""
    draw = np.random.default_rng([ord(letter) for letter in name])
    label = np.where(np.arange(WINDOWS) % 5 == 4, -1, np.arange(WINDOWS) // 3 % 2).astype(np.int32)
    label = np.full(WINDOWS, -1, np.int32) if name == UNLABELLED else label
    loud = (1 + (label > 0)) * draw.uniform(500, 1500)
    stored = {
        key: (draw.normal(size=(WINDOWS, DEFINITION.samples(key), len(m.channels))) * loud[:, None, None]).astype(
            "int16"
        )
        for key, m in DEFINITION.modalities.items()
    }
    labels = {"stress": label, "age": np.full(WINDOWS, 40, np.float32)}
    written = examples(name, stored, np.ones((WINDOWS, 3), bool), labels)
    shard = write_shard(folder / "records" / f"{name}.tfrecord", written)
    values = {key: array.astype(np.int64) for key, array in stored.items()}
    sidecar = {
        "present": {},
        "record": name,
        **{"seconds": 0, "sex": None, "age": 40, "channels": [], "notes": []},
        "labels": {"stress": {str(c): int((label == c).sum()) for c in np.unique(label)}},
        "sums": {key: [v.size, int(v.sum()), int((v**2).sum())] for key, v in values.items()},
        **shard,
    }
    (folder / "records" / f"{name}.json").write_text(json.dumps(sidecar))
    return sidecar


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Manifest of six people with labels and one without, whose own splits the folds do not follow."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "records").mkdir()
    names = [*PEOPLE, UNLABELLED]
    sidecars = [write_record(folder, name) for name in names]
    splits = dict(zip(names, ["train", "train", "validation", "test", "test", "train", "pretrain"], strict=True))
    combine(folder, DEFINITION, sidecars, {name: name for name in names}, splits, {}).write()
    return Manifest.read(folder)


@pytest.fixture(scope="module")
def run(prepared, small, tmp_path_factory):
    """A finished run: its `command`, `folder`, and whom it trained on, `seen`: list of (what, people) in order."""
    folder, seen = tmp_path_factory.mktemp("crossvalidated") / "run", []
    command = ["--config", "none", "--data", str(prepared.folder), "--out", str(folder), *STEPS.split(), *small]

    class Spy(Probe):
        @classmethod
        def fit(cls, task, train, validation):
            seen.append(("probe", set(train.people) | set(validation.people)))
            return Probe.fit(task, train, validation)

    def spied(module, what):
        original = module.stream

        def stream(*arguments, records, **options):
            seen.append((what, set(records)))
            return original(*arguments, records=records, **options)

        return stream

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "Probe", Spy)
        patch.setattr(training, "stream", spied(training, "pretraining"))
        patch.setattr(supervised, "stream", spied(supervised, "supervised"))
        assert crossvalidate.main(command) == 0
    return SimpleNamespace(folder=folder, command=command, seen=seen)


def predictions(folder):
    with open(folder / "predictions.csv", newline="") as file:
        return list(csv.DictReader(file))


def facts(run, fold):
    return json.loads((run.folder / "cells" / f"seed-0-fold-{fold}" / "cell.json").read_text())


def test_test_people_are_in_no_pretraining_probe_or_training_of_their_fold(run):
    begins = [i for i, (what, _) in enumerate(run.seen) if what == "pretraining"]
    assert len(begins) == 2
    for fold, seen in enumerate([run.seen[: begins[1]], run.seen[begins[1] :]]):
        test = set(facts(run, fold)["test"])
        assert len(test) == 3
        assert {what for what, _ in seen} == {"pretraining", "probe", "supervised"}
        for what, people in seen:
            assert people.isdisjoint(test), what
        assert seen[0] == ("pretraining", {*PEOPLE, UNLABELLED} - test)


def test_every_labelled_person_is_tested_once(run, prepared):
    parts = folds.split(prepared, "stress", 3, 0.3)
    assert sorted(person for fold in parts for person in fold.test) == sorted(PEOPLE)
    for fold in parts:
        assert set(fold.train).isdisjoint(fold.validation)
        assert {*fold.test, *fold.train, *fold.validation} == set(PEOPLE)
        assert UNLABELLED in fold.pretrain
    rows = [(row["record"], int(row["window"])) for row in predictions(run.folder)]
    data = windows(prepared.folder, labels=["stress", "record", "window"])
    kept = data["stress"] >= 0
    names = [prepared.records[index]["name"] for index in data["record"][kept]]
    assert sorted(rows) == sorted(zip(names, data["window"][kept].tolist(), strict=True))


def test_table_holds_the_scores_of_the_predictions(run):
    rows = predictions(run.folder)
    target = np.array([int(row["target"]) for row in rows])
    numbers = json.loads((run.folder / "run.json").read_text())["scores"]
    assert set(numbers) == COLUMNS
    table = (run.folder / "scores.md").read_text()
    for name, found in numbers.items():
        stress = np.array([float(row[f"{name}: stress"]) for row in rows])
        auroc, balanced = roc_auc_score(target, stress), balanced_accuracy_score(target, stress > 0.5)
        assert found["auroc"] == pytest.approx([auroc])
        assert found["balanced_accuracy"] == pytest.approx([balanced])
        encoder, _, features = name.partition(" ")
        first = name if name == "time alone" else encoder
        (line,) = [s for s in table.splitlines() if first in s and f"| {auroc:.3f}" in s and (features in s)]
        assert f"{balanced:.3f}" in line


def test_rerun_keeps_finished_cells_and_goes_on_at_the_missing_one(run, monkeypatch):
    class Reached(Exception):
        pass

    def fit(*_, records, **__):
        raise Reached(*sorted(records))

    monkeypatch.setattr(training, "fit", fit)
    before = {name: (run.folder / name).read_bytes() for name in ("scores.md", "predictions.csv")}
    missing = run.folder / "cells" / "seed-0-fold-1" / "predictions.csv"
    kept = missing.read_bytes()
    missing.unlink()
    with pytest.raises(Reached) as reached:
        crossvalidate.main(run.command)
    assert list(reached.value.args) == facts(run, 1)["pretrain"]
    missing.write_bytes(kept)
    assert crossvalidate.main(run.command) == 0
    assert {name: (run.folder / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("phase", ["checkpoints", "supervised_checkpoints"])
def test_cell_that_was_interrupted_ends_as_one_that_was_not(phase, run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    cell = folder / "cells" / "seed-0-fold-1"
    kept = {name: (cell / name).read_bytes() for name in ("metrics.csv", "supervised.csv", "predictions.csv")}
    assert sorted(path.name for path in cell.iterdir()) == sorted([*kept, "cell.json"])
    for name in kept:
        (cell / name).unlink()
    step = Checkpoints.on_train_batch_end

    def terminated(self, batch, logs=None):
        if self.folder == cell / phase:
            signal.raise_signal(signal.SIGTERM)
        step(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_batch_end", terminated)
        with pytest.raises(SystemExit):
            crossvalidate.main(["--resume", str(folder)])
    assert checkpoint_folders.steps(cell / phase) == [1]
    assert crossvalidate.main(["--resume", str(folder)]) == 0
    assert {name: (cell / name).read_bytes() for name in kept} == kept
    assert not list(cell.glob("*checkpoints"))


def test_run_of_other_settings_is_not_mixed_in(run):
    with pytest.raises(SystemExit, match="steps: 3 then, 4 now"):
        crossvalidate.main([*run.command, "--steps", "4"])


def test_variances_are_those_of_the_fold(run, prepared):
    for fold in range(2):
        found = facts(run, fold)
        data = windows(prepared.folder, records=found["pretrain"])
        for name in DEFINITION.modalities:
            assert found["variances"][name] == pytest.approx((data[name] * INT16_SCALE).var(), rel=1e-6)
    assert facts(run, 0)["variances"] != facts(run, 1)["variances"]


def test_scaling_per_person_takes_level_and_spread_of_each_person_away():
    people = np.array(["a", "b", "a", "b", "a"])
    draw = np.random.default_rng(0).normal(size=(5, 3))
    draw[:, 2] = 0.1
    louder = np.where(people[:, None] == "b", draw * 7 + 3, draw)
    scaled = [cells.scaled_per_person(Features(v, {}, people)).values for v in (draw, louder)]
    np.testing.assert_allclose(*scaled, atol=1e-5)
    own = scaled[0][people == "a"]
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(own.std(axis=0), [1, 1, 0], atol=1e-6)


def test_supervised_loss_weighs_classes_alike_and_leaves_unlabelled_windows_out(prepared):
    task = folds.task_of(prepared, "stress")
    weights = supervised.balanced_weights(prepared, task, list(PEOPLE))
    data = windows(prepared.folder, records=list(PEOPLE), labels=["stress"])["stress"]
    logits = np.random.default_rng(1).normal(size=(len(data), 2)).astype("float32")
    loss = float(keras.ops.convert_to_numpy(supervised.BalancedCrossEntropy(weights)(data, logits)))
    kept = data >= 0
    odds = np.exp(logits[kept].astype(np.float64))
    each = np.where(data[kept], 1 / (data == 1).sum(), 1 / (data == 0).sum())
    expected = log_loss(data[kept], odds / odds.sum(axis=1, keepdims=True), sample_weight=each)
    assert loss * len(data) / kept.sum() == pytest.approx(expected, rel=1e-5)


def test_mean_over_seeds_is_of_scores_not_of_probabilities():
    targets = np.array([0, 1, 0, 1])
    good, bad = np.array([0.1, 0.9, 0.2, 0.8]), np.array([0.9, 0.1, 0.8, 0.2])
    both = np.stack([np.stack([1 - p, p], axis=-1) for p in (good, bad)], axis=1)
    assert fold_scores.mean_auroc(targets, both) == 0.5
    draw = np.random.default_rng(2)
    targets, tied = draw.integers(0, 2, 200), draw.integers(0, 9, 200) / 9
    tied = np.stack([1 - tied, tied], axis=-1)[:, None]
    assert fold_scores.mean_auroc(targets, tied) == pytest.approx(roc_auc_score(targets, tied[:, 0, 1]))
    assert np.isnan(fold_scores.mean_auroc(targets[:1], tied[:1]))


def test_what_cannot_be_crossvalidated_is_said(prepared):
    with pytest.raises(DataError, match="no label 'age' with a class for each window"):
        folds.task_of(prepared, "age")
    with pytest.raises(DataError, match="7 people with the label 'stress'"):
        folds.split(prepared, "stress", 7, 0.2)
