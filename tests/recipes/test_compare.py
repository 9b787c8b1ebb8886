import csv
import itertools
import json
import re
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from physiokeras import checkpoint_folders
from physiokeras.callbacks import Checkpoints
from physiokeras.comparison import cells, predictions, report, strategies
from physiokeras.constants import INT16_SCALE
from physiokeras.errors import DataError
from physiokeras.evaluation import folds
from physiokeras.evaluation.band_power import features_of_records
from physiokeras.evaluation.features import Features
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.subset_maps import SubsetMap
from physiokeras.evaluation.tasks import Task, tasks_of
from physiokeras.experiments import compiled_models, progress, run_folder, supervised, training
from physiokeras.experiments.settings import read
from physiokeras.experiments.training_settings import probe_options
from physiokeras.files import locked
from physiokeras.layers.loss_constants import Constants
from physiokeras.models import FeatureExtractor, MaskedAutoencoder, load
from physiokeras.pipelines import Manifest, windows
from physiokeras.pipelines.converting.conversion import examples
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.prepared.combining import combine
from physiokeras.pipelines.prepared.shards import write_shard
from physiokeras.recent import Recent
from physiokeras.recipes import compare

PEOPLE = ("ann", "bea", "cyd", "dot", "eva", "fay")
UNLABELLED = "gil"
AGES = dict(zip((*PEOPLE, UNLABELLED), (30, 70, 31, 71, 32, 72, 33), strict=True))
WINDOWS = 16
STEPS = "--config none --steps 3 --interval 3 --supervised-steps 4 --supervised-interval 2 --draws 8 --tasks stress"
STRATEGIES = ["input_dropout", "untrained", "band_power", "supervised", "time_alone"]
FOLDS = [*STEPS.split(), "--folds", "2", "--seeds", "2", "--scalings", "raw", "per person", "--strategies", *STRATEGIES]
ROWS = [*STRATEGIES, *(f"{name}, per person" for name in STRATEGIES)]
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
    calm = 3 + (name == PEOPLE[0])
    label = np.where(np.arange(WINDOWS) % 5 == 4, -1, np.arange(WINDOWS) // calm % 2).astype(np.int32)
    label = np.full(WINDOWS, -1, np.int32) if name == UNLABELLED else label
    loud = (1 + (label > 0)) * draw.uniform(500, 1500)
    stored = {
        key: (draw.normal(size=(WINDOWS, DEFINITION.samples(key), len(m.channels))) * loud[:, None, None]).astype(
            "int16"
        )
        for key, m in DEFINITION.modalities.items()
    }
    labels = {"stress": label, "age": np.full(WINDOWS, AGES[name], np.float32)}
    written = examples(name, stored, np.ones((WINDOWS, 3), bool), labels)
    shard = write_shard(folder / "records" / f"{name}.tfrecord", written)
    values = {key: array.astype(np.int64) for key, array in stored.items()}
    sidecar = {
        "present": {},
        "record": name,
        **{"seconds": 0, "sex": "fm"[ord(name[0]) % 2], "age": AGES[name], "channels": [], "notes": []},
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
    """A finished run with folds: its `command`, `folder`, and whom it trained on, `seen`: list of (what, people)."""
    folder, seen = tmp_path_factory.mktemp("compared") / "run", []
    command = ["--data", str(prepared.folder), "--out", str(folder), *FOLDS, *small]

    class Spy(Probe):
        @classmethod
        def fit(cls, task, train, validation, **options):
            seen.append(("probe", set(train.people) | set(validation.people)))
            return Probe.fit(task, train, validation, **options)

    def spied(module, what):
        original = module.stream

        def stream(*arguments, records, **options):
            seen.append((what, set(records)))
            return original(*arguments, records=records, **options)

        return stream

    compute = cells.compute

    def noted(cell, *rest):
        seen.append(("cell", cell))
        compute(cell, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "Probe", Spy)
        patch.setattr(training, "stream", spied(training, "pretraining"))
        patch.setattr(supervised, "stream", spied(supervised, "supervised"))
        patch.setattr(cells, "compute", noted)
        assert compare.main(command) == 0
    return SimpleNamespace(folder=folder, command=command, seen=seen)


@pytest.fixture(scope="module")
def brief(prepared, small, tmp_path_factory):
    """A finished run of what trains, without figures: its `folder`; and `losses`, cell to calls of its loss in Python.

    Where a backend compiles a training step, the loss is called once in Python for each program.
    """
    folder, losses, compute = tmp_path_factory.mktemp("brief") / "run", {}, cells.compute
    trained = ["--folds", "2", "--seeds", "2", "--no-subsets", "--strategies", "input_dropout", "supervised"]
    command = ["--data", str(prepared.folder), "--out", str(folder), *STEPS.split(), *trained, *small]

    def noted(cell, *rest):
        losses[cell.strategy.name, cell.seed, cell.fold.number] = 0
        compute(cell, *rest)

    def counted(function):
        def call(*arguments, **options):
            losses[list(losses)[-1]] += 1
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "draw", lambda *_: None)
        for model, name in ((MaskedAutoencoder, "compute_loss"), (supervised.BalancedCrossEntropy, "call")):
            patch.setattr(model, name, counted(getattr(model, name)))
        patch.setattr(cells, "compute", noted)
        assert compare.main(command) == 0
    return SimpleNamespace(folder=folder, losses=losses)


@pytest.fixture
def plain(monkeypatch):
    """Leave the figures out, which take longer than anything else."""
    monkeypatch.setattr(report, "draw", lambda *_: None)


def cell_folder(run, name):
    (folder,) = (run.folder / "cells").glob(f"{name}-*")
    return folder


def facts(run, name):
    return json.loads((cell_folder(run, name) / "cell.json").read_text())


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def predicted_rows(run, strategy, folds=2, seed=0):
    found = [rows_of(cell_folder(run, f"{strategy}-seed-{seed}-fold-{f}") / "predictions.csv") for f in range(folds)]
    return [row for rows in found for row in rows]


@pytest.mark.once
def test_test_people_are_in_no_pretraining_probe_or_training_of_their_cell(run):
    begins = [i for i, (what, _) in enumerate(run.seen) if what == "cell"]
    assert len(begins) == 20
    kinds = {}
    for begin, end in zip(begins, [*begins[1:], None], strict=True):
        (_, cell), *seen = run.seen[begin:end]
        assert len(cell.fold.test) == 3
        kinds.setdefault(cell.strategy.name, set()).update(what for what, _ in seen)
        for what, people in seen:
            assert people.isdisjoint(cell.fold.test), what
            if what == "pretraining":
                assert people == {*PEOPLE, UNLABELLED} - set(cell.fold.test)
    trained = {"input_dropout": {"pretraining", "probe"}, "supervised": {"supervised", "probe"}}
    assert kinds == {**trained, **{name: {"probe"} for name in ("untrained", "band_power", "time_alone")}}


@pytest.mark.once
def test_every_labelled_person_is_tested_once(run, prepared):
    parts = folds.split(prepared, ["stress"], 3, 0.3)
    assert sorted(person for fold in parts for person in fold.test) == sorted(PEOPLE)
    for fold in parts:
        assert set(fold.train).isdisjoint(fold.validation)
        assert {*fold.test, *fold.train, *fold.validation} == set(PEOPLE)
        assert UNLABELLED in fold.pretrain
    with pytest.raises(DataError, match="3 of 6 people with labels, and 3 validate: none trains"):
        folds.split(prepared, ["stress"], 2, 0.9)
    # Ages make a labelled person of the one without stress.
    assert UNLABELLED in {p for fold in folds.split(prepared, ["stress", "age"], 3, 0.3) for p in fold.test}
    data = windows(prepared.folder, labels=["stress", "record", "window"])
    names = [prepared.records[index].name for index in data["record"]]
    expected = zip(names, data["window"].tolist(), data["stress"].tolist(), strict=True)
    found = [(row["record"], int(row["window"]), int(row["stress"])) for row in predicted_rows(run, "input_dropout")]
    assert sorted(found) == sorted(row for row in expected if row[0] != UNLABELLED)
    written = (run.folder / "folds.csv").read_text().splitlines()
    tested = sorted(row.split(",")[1] for row in written if row.endswith(",test"))
    assert (written[0], tested) == ("fold,person,part", sorted(PEOPLE))


@pytest.mark.once
def test_own_splits_are_the_people_of_one_fold(prepared):
    fold = folds.own_splits(prepared, ["pretrain", "train"])
    assert (fold.test, fold.train, fold.validation) == (("dot", "eva"), ("ann", "bea", "fay"), ("cyd",))
    assert fold.pretrain == ("ann", "bea", "fay", "gil")


@pytest.mark.once
def test_tables_hold_the_scores_of_the_predictions(run):
    table = {(row["strategy"], row["task"], row["score"]): row for row in rows_of(run.folder / "table.csv")}
    each = {(r["strategy"], r["seed"], r["fold"], r["score"]): r for r in rows_of(run.folder / "scores.csv")}
    assert {strategy for strategy, _, _ in table} == set(ROWS)
    page = (run.folder / "scores.md").read_text()
    for name in ROWS:
        strategy, _, scaling = name.partition(", ")
        found = []
        for seed in range(2):
            rows = [row for row in predicted_rows(run, strategy, seed=seed) if row["stress"] != "-1"]
            target = np.array([int(row["stress"]) for row in rows])
            stress = np.array([float(row[f"stress, {scaling or 'raw'}: stress"]) for row in rows])
            found.append((balanced_accuracy_score(target, stress > 0.5), roc_auc_score(target, stress)))
            for score, value in zip(("balanced_accuracy", "auroc"), found[-1], strict=True):
                assert float(each[name, str(seed), "all", score]["value"]) == pytest.approx(value, abs=1e-5)
        mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
        for task, score, place in (("stress", "auroc", 1), ("stress", "balanced_accuracy", 0),
                                   ("aggregate", "balanced_accuracy", 0)):  # fmt: skip
            row = table[name, task, score]
            assert float(row["mean"]) == pytest.approx(mean[place], abs=1e-5)
            assert float(row["sd_over_seeds"]) == pytest.approx(spread[place], abs=1e-5)
            assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])
        shown = [f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, spread, strict=True)]
        assert re.search(rf"^\| {name} +\| {shown[0]} +\| {shown[1]} +\|$", page, re.MULTILINE)
    assert {key[2] for key in each} == {"0", "1", "all"}
    assert float(table["untrained", "stress", "auroc"]["less_reference"]) == pytest.approx(
        float(table["untrained", "stress", "auroc"]["mean"]) - float(table["input_dropout", "stress", "auroc"]["mean"]),
        abs=1e-5,
    )
    drawn = {path.name for path in (run.folder / "figures").iterdir()}
    subsets = {f"subsets_{probe}_stress" for probe in ("kept", "mapped", "refit")}
    assert drawn == {f"{name}.png" for name in ("balanced_accuracy", "auroc", "calibration_stress", "losses", *subsets)}


@pytest.mark.once
def test_rerun_keeps_finished_cells_and_goes_on_at_the_missing_one(run, plain, monkeypatch):
    class Reached(Exception):
        pass

    def fit(*_, records, **__):
        raise Reached(*sorted(records))

    monkeypatch.setattr(training, "fit", fit)
    names = ("scores.md", "scores.csv", "table.csv")
    before = {name: (run.folder / name).read_bytes() for name in names}
    missing = cell_folder(run, "input_dropout-seed-0-fold-1")
    shutil.move(missing, run.folder / "aside")
    with pytest.raises(Reached) as reached:
        compare.main(run.command)
    shutil.rmtree(missing)
    shutil.move(run.folder / "aside", missing)
    assert list(reached.value.args) == facts(run, "input_dropout-seed-0-fold-1")["people"]["pretrain"]
    assert compare.main(run.command) == 0
    assert {name: (run.folder / name).read_bytes() for name in names} == before


@pytest.mark.once
def test_a_cell_that_another_process_computes_is_left_to_it(run, plain, tmp_path, capsys):
    shutil.copytree(run.folder, tmp_path / "run")
    (tmp_path / "run" / "scores.md").unlink()
    again = SimpleNamespace(folder=tmp_path / "run", command=["--resume", str(tmp_path / "run")])
    cell, mine = (cell_folder(again, name) for name in ("time_alone-seed-0-fold-1", "time_alone-seed-1-fold-1"))
    for folder in (cell, mine):
        (folder / "cell.json").unlink()
    with locked(cell / ".lock"):
        assert compare.main(again.command) == 0
        assert (mine / "cell.json").is_file()
        assert not (cell / "cell.json").exists()
        assert not (again.folder / "scores.md").exists()
    assert "1 of 20 cells are being computed by other processes" in capsys.readouterr().out
    assert compare.main(again.command) == 0
    assert (again.folder / "scores.md").read_bytes() == (run.folder / "scores.md").read_bytes()


@pytest.mark.once
def test_models_are_kept_and_probed_again_without_training_where_more_is_asked(run, plain, tmp_path, monkeypatch):
    shutil.copytree(run.folder, tmp_path / "run")
    monkeypatch.setattr(training, "fit", None)
    monkeypatch.setattr(supervised, "train", None)
    words = ["--scalings", "raw", "--strategies", "input_dropout", "supervised", "--seeds", "1", "--no-subsets"]
    assert compare.main(["--resume", str(tmp_path / "run"), *words]) == 0
    assert not (tmp_path / "run" / "subsets.csv").exists()
    page = (tmp_path / "run" / "scores.md").read_text()
    assert "3 steps (supervised from scratch: at most 4, the loss on validation people every 2, end after 4" in page
    assert "Caution: 6 test people." in page
    assert "Caution: one seed." in page
    rows = [r for r in rows_of(tmp_path / "run" / "scores.csv") if r["fold"] == "all"]
    assert {row["strategy"] for row in rows} == {"input_dropout", "supervised"}
    names = ("strategy", "seed", "fold", "task", "score")
    before = {tuple(row[n] for n in names): row["value"] for row in rows_of(run.folder / "scores.csv")}
    for row in rows:
        assert float(row["value"]) == pytest.approx(float(before[tuple(row[n] for n in names)]), abs=1e-5)


@pytest.mark.once
def test_features_scaled_per_person_can_be_all_that_is_asked_for(run, plain, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    words = ["--scalings", "per person", "--strategies", "input_dropout", "time_alone", "--seeds", "1"]
    assert compare.main(["--resume", str(tmp_path / "run"), *words]) == 0
    found = {row["strategy"] for row in rows_of(tmp_path / "run" / "table.csv")}
    assert found == {"input_dropout, per person", "time_alone, per person"}


@pytest.mark.once
def test_cell_without_predictions_is_kept(tmp_path):
    task = Task("stress", "stress", classes=("rest", "stress"))
    predictions.write(
        tmp_path, predictions.Predictions(keys=[("ann", "a", 0)], targets={"stress": np.array([1])}), [task]
    )
    assert predictions.read(tmp_path, [task]).columns == {}


@pytest.mark.parametrize("strategy", ["input_dropout", "supervised"])
def test_cell_that_was_interrupted_ends_as_one_that_was_not(strategy, brief, plain, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(brief.folder, folder)
    cell = cell_folder(SimpleNamespace(folder=folder), f"{strategy}-seed-0-fold-1")
    supervised = strategy == "supervised"
    metrics = "supervised_stress.csv" if supervised else "metrics.csv"
    checkpoints = cell / ("supervised_stress_checkpoints" if supervised else "checkpoints")
    kept = {name: (cell / name).read_bytes() for name in (metrics, "predictions.csv")}
    assert not list(cell.glob("*checkpoints"))
    shutil.rmtree(cell)
    step = Checkpoints.on_train_batch_end

    def terminated(self, batch, logs=None):
        if self.folder == checkpoints:
            signal.raise_signal(signal.SIGTERM)
        step(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_batch_end", terminated)
        with pytest.raises(SystemExit):
            compare.main(["--resume", str(folder)])
    assert checkpoint_folders.steps(checkpoints) == [1]
    assert compare.main(["--resume", str(folder)]) == 0
    assert {name: (cell / name).read_bytes() for name in kept} == kept


def test_compiled_model_that_serves_other_folds_trains_as_a_fresh_one(brief, plain, prepared, tmp_path, monkeypatch):
    trained = {"input_dropout": ("metrics.csv", "model"), "supervised": ("supervised_stress.csv", "model_stress")}
    monkeypatch.setattr(compiled_models, "_kept", Recent(4))  # as in a new process
    shutil.copytree(brief.folder, tmp_path / "run")
    for strategy in trained:
        shutil.rmtree(cell_folder(SimpleNamespace(folder=tmp_path / "run"), f"{strategy}-seed-1-fold-1"))
    assert compare.main(["--resume", str(tmp_path / "run")]) == 0
    for strategy, (metrics, model) in trained.items():
        name = cell_folder(brief, f"{strategy}-seed-1-fold-1").name
        for file in (metrics, "predictions.csv", f"{model}/config.json", f"{model}/weights.safetensors"):
            again, first = (folder / "cells" / name / file for folder in (tmp_path / "run", brief.folder))
            assert again.read_bytes() == first.read_bytes(), file
    people = [facts(brief, f"supervised-seed-0-fold-{fold}")["people"]["train"] for fold in range(2)]
    weights = [supervised.balanced_weights(prepared, tasks_of(prepared.labels)["stress"], names) for names in people]
    assert not np.array_equal(*weights)


@pytest.mark.skipif(keras.config.backend() == "torch", reason="PyTorch compiles nothing")
def test_one_compiled_program_serves_all_folds_and_seeds(brief):
    first = {cell for cell, losses in brief.losses.items() if losses}
    assert first == {("input_dropout", 0, 0), ("supervised", 0, 0)}
    assert len(brief.losses) == 8


@pytest.mark.once
def test_subset_is_predicted_from_features_of_windows_that_lack_the_others(run, prepared):
    folder = cell_folder(run, "input_dropout-seed-0-fold-0")
    people = facts(run, "input_dropout-seed-0-fold-0")["people"]
    extractor = FeatureExtractor(load(folder / "model").encoder)
    data = windows(prepared.folder, labels=["stress", "record"])

    def features(names, absent=()):
        rows = np.isin(data["record"], [r.index for r in prepared.select(records=list(names))])
        inputs = {name: data[name][rows] * (name not in absent) for name in DEFINITION.modalities}
        inputs["present"] = data["present"][rows] & np.array(["pulse" not in absent] + ["move" not in absent] * 2)
        people = np.array([prepared.records[i].person for i in data["record"][rows]])
        return Features(extractor.predict(inputs, verbose=0), {"stress": data["stress"][rows]}, people)

    def of_all_modalities(names):
        rows = np.isin(data["record"], [r.index for r in prepared.select(records=list(names))])
        return data["present"][rows][:, 0] & data["present"][rows][:, 1:].any(axis=1)

    task = tasks_of(prepared.labels)["stress"]
    probe = Probe.fit(task, features(people["train"]), features(people["validation"]))
    with np.load(folder / "subsets.npz") as file:
        kinds = ("kept", "mapped", "refit")
        assert set(file.files) == {f"{kind}/stress/{left}" for kind in kinds for left in ("pulse", "move")}
        for left, absent in (("pulse", ["move"]), ("move", ["pulse"])):
            test = features(people["test"], absent).values
            again = Probe.fit(task, features(people["train"], absent), features(people["validation"], absent))
            some, full = features(people["train"], absent).values, features(people["train"]).values
            whole = of_all_modalities(people["train"])
            mapped = SubsetMap.fit(some[whole], full[whole])(test)
            np.testing.assert_allclose(file[f"mapped/stress/{left}"], probe.predict_proba(mapped), atol=5e-4)
            for kind, own in (("kept", probe), ("refit", again)):
                np.testing.assert_allclose(file[f"{kind}/stress/{left}"], own.predict_proba(test), atol=2e-4)
    subsets = {(row["probe"], row["strategy"], row["modalities"]) for row in rows_of(run.folder / "subsets.csv")}
    expected = {("kept", *one) for one in itertools.product(STRATEGIES[:4], ("pulse", "move", "pulse+move"))}
    probed = {tuple(rest) for _, *rest in expected if rest[0] != "supervised"}
    assert subsets == {*expected, *((kind, *rest) for kind in ("mapped", "refit") for rest in probed)}


@pytest.mark.once
def test_probe_settings_at_their_default_leave_finished_cells_valid(prepared, small):
    settings = read(compare.Settings, ["--config", "none", "--strategies", "time_alone", *small])
    (strategy,), task = strategies.strategies_of(settings, prepared), tasks_of(prepared.labels)["stress"]
    cell = cells.Cell(strategy, 0, folds.Fold(0, (), (), (), ()), None)
    before = {"tasks": ["stress"], "scalings": ["raw"], "subsets": True, "refit": True}
    assert cells.asked(cell, [task]) == before
    wider = replace(cell, strategy=replace(strategy, settings=replace(settings, probe_folds=5, context_mode="mean")))
    assert cells.asked(wider, [task]) == {**before, "probe_folds": 5, "context_mode": "mean"}


@pytest.mark.once
def test_validation_loss_of_a_cell_is_of_others_and_changes_no_weight(prepared, small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0)
    settings = read(compare.Settings, [*STEPS.split(), "--strategies", "input_dropout", "--interval", "1", *small])
    (strategy,) = strategies.strategies_of(settings, prepared)
    fold = folds.own_splits(prepared, ["pretrain", "train"])
    models, streamed, original = [], [], training.stream
    monkeypatch.setattr(
        training, "stream", lambda *a, records, **o: streamed.append({*records}) or original(*a, records=records, **o)
    )
    for number, own in enumerate((fold, replace(fold, validation=()))):
        cell = cells.Cell(strategy, 0, own, tmp_path / str(number))
        models.append(cells.encoder(cell, prepared, run_folder.Run(tmp_path, "compare"), "Cell 1 of 2"))
    assert [people for people in streamed if people != {*fold.pretrain}] == [{"cyd"}]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    validated, alone = (rows_of(tmp_path / number / "metrics.csv") for number in "01")
    assert [row["loss"] for row in validated] == [row["loss"] for row in alone]
    assert all(np.isfinite(float(row["val_loss"])) for row in validated)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Cell 1 of 2, step 2 of 3: ")]
    assert ["val_loss" in line for line in said] == [True, False]


@pytest.mark.once
def test_band_powers_are_probed_without_an_encoder(run, prepared):
    folder = cell_folder(run, "band_power-seed-1-fold-0")
    people = facts(run, "band_power-seed-1-fold-0")["people"]
    assert not (folder / "model").exists()
    assert facts(run, "band_power-seed-1-fold-0")["parameters"] == 0

    def features(names, left=None):
        return features_of_records(prepared, names, ["pulse", "move"], left)

    probe = Probe.fit(tasks_of(prepared.labels)["stress"], features(people["train"]), features(people["validation"]))
    found = [float(row["stress, raw: stress"]) for row in rows_of(folder / "predictions.csv")]
    np.testing.assert_allclose(found, probe.predict_proba(features(people["test"]).values)[:, 1], atol=1e-5)
    with np.load(folder / "subsets.npz") as file:
        kept = probe.predict_proba(features(people["test"], ["move"]).values)
        np.testing.assert_allclose(file["kept/stress/move"], kept, atol=1e-5)


@pytest.mark.once
def test_run_of_other_settings_is_not_mixed_in(run):
    with pytest.raises(SystemExit, match="steps: 3 then, 4 now"):
        compare.main([*run.command, "--steps", "4"])


@pytest.mark.once
def test_figures_of_an_earlier_state_are_removed(tmp_path):
    (tmp_path / "subsets_kept_stress.png").touch()
    report.save(tmp_path, {"auroc": Figure()})
    assert [path.name for path in tmp_path.iterdir()] == ["auroc.png"]


@pytest.mark.once
def test_supervised_training_is_as_long_as_pretraining_unless_told_otherwise():
    paper = read(compare.Settings, ["--config", "paper"])
    assert (paper.supervised_steps, paper.supervised_interval) == (paper.steps, paper.interval) == (100_000, 1000)
    little = read(compare.Settings, [])
    assert (little.supervised_steps, little.supervised_interval) == (300, 30)


@pytest.mark.once
@pytest.mark.parametrize(("reference", "more"), [("bogus", ""), ("maee", " Did you mean `mae`?"), ("unimodal_eeg", "")])
def test_reference_that_is_no_strategy_is_refused_before_data_are_looked_for(reference, more, monkeypatch):
    monkeypatch.setattr(compare, "use", None)
    with pytest.raises(SystemExit) as refused:
        compare.main(["--strategies", "mae", "untrained", "--reference", reference])
    said = f"--reference must be one of the strategies: mae, untrained. Received: {reference!r}.{more}"
    assert str(refused.value) == said


@pytest.mark.once
def test_cell_has_another_name_where_its_training_depends_on_something_else(run, prepared, small):
    settings = read(compare.Settings, [*FOLDS, *small, "--data", str(prepared.folder)])
    (fold, *_) = folds.split(prepared, ["stress"], 2, 0.2)
    (strategy,) = strategies.strategies_of(replace(settings, strategies=("input_dropout",)), prepared)

    def name(fold=fold, manifest=prepared, **changed):
        return cells.cache_key(strategy, replace(strategy.settings, **changed), fold, manifest)

    assert name() == name(seeds=9, draws=3, out="elsewhere", checkpoint_every=1, subsets=False, patience=9)
    assert name() == name(context=1, context_mode="mean", probe_folds=5)
    changed = [name(steps=4), name(seed=1), name(drop_rate=0.5), name(replace(fold, pretrain=()))]
    changed += [name(manifest=replace(prepared, data_hash="other"))]
    assert len({name(), *changed}) == 6


@pytest.mark.once
def test_strategy_overrides_only_what_it_names(prepared, tmp_path, small):
    (tmp_path / "mine.toml").write_text("drop_rate = 0.25")
    words = ["--strategies", str(tmp_path / "mine.toml"), "unimodal", "band_power", "time_alone", "--width", "24"]
    settings = read(compare.Settings, ["--config", "none", *small, *words])
    mine, *unimodal, bands, time = strategies.strategies_of(settings, prepared)
    assert mine.settings == replace(settings, drop_rate=0.25)
    assert [(e.name, e.modalities, e.settings.modalities) for e in unimodal] == [
        (f"unimodal_{m}", (m,), (m,)) for m in ("pulse", "move")
    ]
    assert (time.name, time.modalities) == ("time_alone", ())
    assert (bands.name, bands.modalities, bands.settings) == ("band_power", ("pulse", "move"), settings)
    assert [one.has_encoder for one in (mine, bands, time)] == [True, False, False]
    with pytest.raises(ValueError, match="must have different names"):
        strategies.strategies_of(replace(settings, strategies=("mae", "mae")), prepared)


@pytest.mark.once
def test_variances_are_those_of_the_people_who_pretrain(run, prepared):
    found = []
    for fold in range(2):
        people = facts(run, f"input_dropout-seed-0-fold-{fold}")["people"]["pretrain"]
        data = windows(prepared.folder, records=people)
        found.append(load(cell_folder(run, f"input_dropout-seed-0-fold-{fold}") / "model").variances)
        for name in DEFINITION.modalities:
            assert found[-1][name] == pytest.approx((data[name] * INT16_SCALE).var(), rel=1e-6)
    assert found[0] != found[1]


@pytest.mark.once
def test_scaling_per_person_takes_level_and_spread_of_each_person_away():
    people = np.array(["a", "b", "a", "b", "a"])
    draw = np.random.default_rng(0).normal(size=(5, 3))
    draw[:, 2] = 0.1
    louder = np.where(people[:, None] == "b", draw * 7 + 3, draw)
    scaled = [predictions.scaled_per_person(Features(v, {}, people)).values for v in (draw, louder)]
    np.testing.assert_allclose(*scaled, atol=1e-5)
    own = scaled[0][people == "a"]
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(own.std(axis=0), [1, 1, 0], atol=1e-6)


@pytest.mark.parametrize("task", [Task("stress", "stress", classes=("rest", "stress")),
                                  Task("age", "age", "threshold", ("up to 50", "over 50"), 50.0)])  # fmt: skip
@pytest.mark.once
def test_supervised_loss_weighs_classes_alike_and_leaves_unlabelled_windows_out(task, prepared):
    people = [*PEOPLE[:5], UNLABELLED]
    stored = windows(prepared.folder, records=people, labels=[task.label])[task.label]
    counts = np.bincount(task.targets(stored) + 1, minlength=3)[1:]
    weights = supervised.balanced_weights(prepared, task, people)
    stored[3] = np.nan if task.threshold else -1
    target = task.targets(stored)
    logits = np.random.default_rng(1).normal(size=(len(target), 2)).astype("float32")
    loss = supervised.BalancedCrossEntropy(Constants(weights), task.threshold, reduction="sum")(stored, logits)
    kept = target >= 0
    odds = np.exp(logits[kept].astype(np.float64))
    each = (counts.sum() / counts / 2)[target[kept]]
    expected = log_loss(target[kept], odds / odds.sum(axis=1, keepdims=True), sample_weight=each) * each.sum()
    assert float(keras.ops.convert_to_numpy(loss)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.once
def test_what_cannot_be_compared_is_said(prepared, small, tmp_path):
    with pytest.raises(DataError, match=r"no task sleep\. The labels allow: stress, age, age_years"):
        compare.main(["--config", "none", "--data", str(prepared.folder), "--tasks", "sleep", *small])
    with pytest.raises(DataError, match=r"7 people with labels \(stress\)"):
        folds.split(prepared, ["stress"], 7, 0.2)


@pytest.mark.once
def test_networks_learn_from_the_share_of_people_that_probes_do(prepared, small):
    words = ["--config", "none", "--label-share", "0.4", "--strategies", "supervised", *small]
    settings = read(compare.Settings, words)
    (strategy,) = strategies.strategies_of(settings, prepared)
    cell = cells.Cell(strategy, 0, folds.Fold(0, ("gil",), PEOPLE, (), ()), None)
    task, data = tasks_of(prepared.labels)["stress"], windows(prepared.folder, labels=["stress", "record"])
    people = np.array([prepared.records[i].person for i in data["record"]])
    features = Features(np.random.default_rng(0).normal(size=(len(people), 2)), {"stress": data["stress"]}, people)
    found = cells.learners(cell, prepared, task)
    assert len(found) == 2
    options = probe_options(settings)
    expected = Probe.fit(task, features.of_people(PEOPLE), **options, strengths=[1.0])
    alone = Probe.fit(task, features.of_people(found), **{**options, "label_share": 1.0}, strengths=[1.0])
    np.testing.assert_array_equal(expected.weights, alone.weights)
    whole = replace(cell, strategy=replace(strategy, settings=replace(settings, label_share=1.0)))
    assert cells.learners(whole, prepared, task) == PEOPLE
