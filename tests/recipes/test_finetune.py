import csv
import json
import shutil
import signal

import keras
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score

import physiokeras
from physiokeras.analysis import analysed_runs
from physiokeras.callbacks import Checkpoints
from physiokeras.errors import DataError
from physiokeras.evaluation import extraction
from physiokeras.models import digest, load
from physiokeras.pipelines import Manifest, stream, windows
from physiokeras.recipes import finetune, score

STEPS = "--steps 6 --interval 2 --batch-size 8 --seed 3 --checkpoint-every 1 --no-subset-maps"


@pytest.fixture(scope="module")
def command(pretrained, small):
    """Flags of a fine-tuning of a few steps, without its folder."""
    data = ["--run", str(pretrained.folder), "--data", str(pretrained.cohort / "prepared")]
    return [*data, "--task", "stage", *STEPS.split(), *small[-2:]]


@pytest.fixture(scope="module")
def tuned(command, figures, tmp_path_factory):
    """Folder of a finished run."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    with figures():
        assert finetune.main([*command, "--out", str(out)]) == 0
    return out


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_training_begins_with_the_pretrained_weights_and_changes_them(pretrained, tuned):
    before, after = (load(folder / "model").encoder for folder in (pretrained.folder, tuned))
    moved = [np.abs(a - b).max() for a, b in zip(before.get_weights(), after.get_weights(), strict=True)]
    assert 0 < max(moved) < 0.05
    assert [int(row["step"]) for row in rows(tuned)] == [2, 4, 6]


def test_saved_network_reaches_the_written_score_beside_the_frozen_probe(pretrained, tuned):
    scores = json.loads((tuned / "run.json").read_text())["scores"]
    network, data = load(tuned / "model"), pretrained.cohort / "prepared"
    inputs = windows(data, "test", labels=["stage"], modalities=list(network.encoder.modalities))
    stage = inputs.pop("stage")
    predicted = np.asarray(network.predict(inputs, verbose=0)["stage"]).argmax(axis=1)
    expected = balanced_accuracy_score(stage[stage >= 0], predicted[stage >= 0])
    assert scores["fine-tuned"]["stage"]["windows"]["balanced_accuracy"] == pytest.approx(expected)
    assert scores["frozen probe"]["stage"]["windows"]["windows"] == (stage >= 0).sum()
    assert "| fine-tuned" in (tuned / "scores.md").read_text()


def test_tuned_network_scores_recordings_by_its_own_layer(pretrained, tuned, tmp_path):
    data = pretrained.cohort / "prepared"
    (name, *_), source = [record.name for record in Manifest.read(data).select("test")], pretrained.cohort / "source"
    given = ["--model", str(tuned), "--source", str(source / "training" / name), "--out", str(tmp_path)]
    assert score.main([*given, "--no-figures", "--backend", keras.config.backend()]) == 0
    network = load(tuned / "model")
    inputs = windows(data, records=[name], modalities=list(network.encoder.modalities))
    expected = softmax(np.asarray(network.predict(inputs, verbose=0)["stage"], float), axis=1)
    with open(tmp_path / "records" / f"{name}.csv", newline="") as file:
        found = [
            [float(row[f"stage_{stage}"]) for stage in ("W", "N1", "N2", "N3", "R")] for row in csv.DictReader(file)
        ]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.once
def test_run_has_the_layout_of_every_run_and_is_analysed(pretrained, tuned):
    layout = {path.name for path in tuned.iterdir()}
    assert layout >= {"settings.toml", "run.json", "metrics.csv", "model", "scores.md", "figures", "checkpoints"}
    (model,) = analysed_runs.analysed_models(tuned, ())[:1]
    assert digest(model.encoder) == digest(load(tuned / "model").encoder)
    assert analysed_runs.manifest_of(tuned).folder == pretrained.cohort / "prepared"


@pytest.mark.once
def test_network_trained_from_scratch_is_scored_as_it_is_loaded(command, pretrained, tmp_path):
    run, data = tmp_path / "run", pretrained.cohort / "prepared"
    assert finetune.main([*command, "--scratch", "--seed", "4", "--out", str(run)]) == 0
    assert set(json.loads((run / "run.json").read_text())["scores"]) == {"supervised", "frozen probe"}
    begun = np.concatenate([weight.ravel() for weight in load(pretrained.folder / "model").encoder.get_weights()])
    ended = np.concatenate([weight.ravel() for weight in load(run / "model").encoder.get_weights()])
    assert np.abs(begun - ended).max() > 0.1  # new weights, not the run's
    given = ["--model", str(run), "--source", str(data), "--out", str(tmp_path / "scores"), "--no-figures"]
    assert score.main([*given, "--num-shards", "10", *command[-2:]]) == 0
    (table,) = (tmp_path / "scores" / "records").glob("*.csv")
    with open(table, newline="") as file:
        labels = [row["stage"] for row in csv.DictReader(file)]
    batches = stream(data, records=[table.stem], batch_size=64, modalities=["eeg", "ecg"], labels=["record", "window"])
    assert physiokeras.load(run).predict(batches, "stage").labels == labels


@pytest.mark.once
def test_run_that_was_ended_goes_on_to_the_same_end(command, tuned, tmp_path, monkeypatch):
    original = Checkpoints.on_train_batch_end

    def end_at_three(self, batch, logs=None):
        if self.step == 2:
            signal.raise_signal(signal.SIGTERM)
        original(self, batch, logs)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_batch_end", end_at_three)
        with pytest.raises(SystemExit, match="143"):
            finetune.main([*command, "--out", str(out)])
    assert finetune.main(["--resume", str(out)]) == 0
    assert rows(out) == rows(tuned)
    for ours, theirs in zip(load(out / "model").get_weights(), load(tuned / "model").get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.once
def test_another_model_does_not_take_the_run_over(command, tuned, pretrained, tmp_path):
    shutil.copytree(tuned, tmp_path / "run")
    with pytest.raises(SystemExit, match="data_hash"):
        finetune.main([*command, "--run", str(tuned), "--resume", str(tmp_path / "run")])


@pytest.mark.once
def test_training_sees_the_training_people_of_the_share_alone(command, tmp_path, monkeypatch, pretrained):
    seen = {}

    def spy(network, task, manifest, settings, run, **options):
        seen.update(options)
        raise DataError("seen")

    from physiokeras.experiments import supervised

    monkeypatch.setattr(supervised, "fit", spy)
    with pytest.raises(DataError, match="seen"):
        finetune.main([*command, "--label-share", "0.4", "--out", str(tmp_path / "run")])
    manifest = Manifest.read(pretrained.cohort / "prepared")
    people = {split: {r.name for r in manifest.select(split)} for split in extraction.SPLITS}
    assert set(seen["records"]) < people["train"]
    assert seen["records"]
    assert set(seen["validation"]) == people["validation"]
