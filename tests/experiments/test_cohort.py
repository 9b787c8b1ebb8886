"""Data that a training would refuse are refused before it begins."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from physiokeras.errors import DataError
from physiokeras.experiments import cohort
from physiokeras.experiments.settings import read
from physiokeras.pipelines.prepared.manifest import Manifest, Record
from physiokeras.recipes import pretrain

pytestmark = pytest.mark.once

MODALITY = {"rate": 10, "samples": 300, "channels": ["a"], "default": True}


@pytest.fixture
def manifest(tmp_path):
    """Prepared data of a person in each of three splits, with 20 windows each."""
    records = []
    (tmp_path / "records").mkdir()
    for split in ("pretrain", "train", "test"):
        (tmp_path / "records" / f"{split}.tfrecord").write_bytes(b"1234")
        facts = {"windows": 20, "seconds": 600.0, "sex": None, "age": None, "bytes": 4, "sha256": ""}
        facts |= {"present": {}, "labels": {}, "channels": [], "notes": []}
        records.append(Record(name=split, person=split, split=split, **facts))
    return Manifest(tmp_path, {}, {"eeg": MODALITY, "ecg": MODALITY}, 30, {}, {}, records, [], "hash", {})


def settings(words=""):
    return read(pretrain.Settings, words.split())


def test_data_that_go_with_the_settings_pass(manifest):
    cohort.check(settings("--batch-size 40 --drop-weights 1 2"), manifest, ["pretrain", "train"])
    cohort.check(settings("--batch-size 20 --modalities ecg"), manifest, records=["test"])


def test_length_of_a_training_is_said_in_epochs_too(manifest):
    said = cohort.amount(settings("--steps 100 --batch-size 20"), manifest, ["pretrain", "train"])
    assert said == "Training takes 100 steps of 20 windows: 50 epochs of 40."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--modalities ppg", "There is no modality ppg. Known: eeg, ecg."),
        ("--batch-size 41", "fewer than one batch of 41"),
        ("--drop-weights 1 2 3", "drop_weights must be one number for each of eeg, ecg."),
        ("--objective pairwise --modalities ecg", "pairwise contrasts modalities and needs two. Received: ecg."),
        ("--early-stopping 3", "early_stopping needs a validation loss"),
    ],
)
def test_data_that_a_training_would_refuse_are_refused_before_it(manifest, words, said):
    with pytest.raises(DataError) as caught:
        cohort.check(settings(words), manifest, ["pretrain", "train"])
    assert said in str(caught.value)


def test_a_comparison_stops_early_where_others_than_its_learners_validate(manifest):
    chosen = settings("--batch-size 20 --early-stopping 3")
    cohort.check(chosen, manifest, records=["pretrain"], validation=["train"])
    with pytest.raises(DataError, match="early_stopping needs a validation loss"):
        cohort.check(chosen, manifest, records=["pretrain"])


def test_missing_shard_is_refused_before_training(manifest):
    (manifest.folder / "records" / "train.tfrecord").unlink()
    with pytest.raises(DataError, match=r"train\.tfrecord"):
        cohort.check(settings("--batch-size 20"), manifest, ["train"])


def test_split_to_pretrain_on_that_the_data_lack_is_named_with_the_way_out(manifest):
    lacking = replace(manifest, records=manifest.records[1:])
    with pytest.raises(DataError, match=r"no people in the split pretrain .*train \(20 windows\).*--pretrain-on train"):
        cohort.training_splits(SimpleNamespace(pretrain_on=("pretrain",)), lacking)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--modalities ppg", "simulated recordings have no modality ppg. They have: eeg"),
        (
            "--people 1 --unlabelled 0 --hours 0.1 --batch-size 13",
            "12 simulated windows are fewer than one batch of 13",
        ),
        ("--pretrain-on training", "pretrain_on must name splits, of pretrain, train"),
        ("--pretrain-on test", "the test people are held out"),
        ("--drop-weights 1", "drop_weights must be one number for each of eeg"),
    ],
)
def test_nothing_is_simulated_for_settings_that_could_not_use_it(words, said, tmp_path):
    with pytest.raises(DataError) as caught:
        cohort.prepared(settings(f"{words} --out {tmp_path / 'run'}"))
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_experiment_that_nobody_named_is_said_where_data_are_given(manifest, capsys):
    manifest.write()
    data = f"--data {manifest.folder}"
    cohort.prepared(settings(data))
    assert "those of the experiment demo (500 steps, width 64, depth 4)" in capsys.readouterr().out
    cohort.prepared(settings(f"{data} --config paper"))
    assert capsys.readouterr().out == ""
