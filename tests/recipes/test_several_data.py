import json
import signal

import keras
import numpy as np
import pytest

import physiokeras
from physiokeras import checkpoint_folders
from physiokeras.callbacks import Checkpoints
from physiokeras.evaluation import probe_report
from physiokeras.evaluation.subset_maps import SubsetMaps
from physiokeras.figures import pretraining_run
from physiokeras.pipelines import Manifest, windows
from physiokeras.pipelines.prepared.joined import in_layout_of
from physiokeras.recipes import pretrain, probe, search
from tests.two_folders import SLEEP, WRIST, prepare

pytestmark = pytest.mark.once
STEPS = "--steps 5 --interval 3 --validation-steps 1 --seed 3 --checkpoint-every 2"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("two")
    sleep = prepare(place / "sleep", SLEEP, {"t1": 12, "t2": 12, "v3": 8, "x4": 8})
    return str(sleep), str(prepare(place / "wrist", WRIST, {"t1": 12, "t2": 12, "x4": 8}))


@pytest.fixture(scope="module")
def run(folders, small, tmp_path_factory):
    """A pretraining on both folders, with probes."""
    folder = tmp_path_factory.mktemp("joined") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining_run, "draw_all", lambda *_: None)
        assert pretrain.main(["--data", *folders, *STEPS.split(), *small, "--out", str(folder)]) == 0
    return folder


def test_resumed_training_on_two_folders_ends_as_one_without_interruption(run, folders, small, tmp_path, monkeypatch):
    follow = Checkpoints.on_train_batch_end

    def terminate(self, batch, logs=None):
        if self.step == 2:
            signal.raise_signal(signal.SIGTERM)
        follow(self, batch, logs)

    monkeypatch.setattr(probe_report, "probe_encoder", lambda *_: ({}, {}))
    monkeypatch.setattr(pretraining_run, "draw_all", lambda *_: None)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_batch_end", terminate)
        with pytest.raises(SystemExit):
            pretrain.main(["--data", *folders, *STEPS.split(), *small, "--out", str(tmp_path / "run")])
    other = prepare(tmp_path / "wrist", WRIST, {"t1": 12, "t2": 12, "x4": 8}, seed=1)
    with pytest.raises(SystemExit, match="data_hash"):
        pretrain.main(["--resume", str(tmp_path / "run"), "--data", folders[0], str(other)])
    assert pretrain.main(["--resume", str(tmp_path / "run")]) == 0
    states = [
        checkpoint_folders.read(folder / "checkpoints", checkpoint_folders.steps(folder / "checkpoints")[-1])[0]
        for folder in (run, tmp_path / "run")
    ]
    assert [name for name in states[0] if not np.array_equal(states[0][name], states[1][name])] == []
    assert (run / "metrics.csv").read_text() == (tmp_path / "run" / "metrics.csv").read_text()


def test_saved_model_reads_each_of_the_folders(run, folders, small, tmp_path):
    facts = json.loads((run / "run.json").read_text())
    assert facts["data_hash"] == Manifest.joined(folders).data_hash
    assert "stage" in facts["scores"]["pretrained"]
    # No window has all modalities; each folder has maps to its own.
    maps = SubsetMaps.load(run / "subset_maps.npz")
    assert maps.whole == (("eeg", "ecg"), ("eeg", "bvp"))
    assert set(maps.maps) == {("eeg",), ("ecg",), ("bvp",)}
    out = tmp_path / "probe"
    assert probe.main(["--run", str(run), "--data", folders[1], "--out", str(out), *small[-2:]]) == 0
    model, small_model = physiokeras.load(run), physiokeras.load(out)
    assert list(model.definition.modalities) == ["eeg", "ecg", "bvp"]
    # What wrist data lack is absent: the pooled features of both encoders are those of the same tokens.
    joined = windows(folders, records=["wrist/x4"])
    own = windows(in_layout_of(Manifest.read(folders[1]), model.definition.to_dict()), "test")
    whole, part = model.encoder(joined), small_model.encoder(own)
    time = model.encoder.time
    kept = np.r_[0:time, 2 * time : 3 * time]
    whole, part = (keras.ops.convert_to_numpy(tokens) for tokens in (whole, part))
    np.testing.assert_allclose(whole[:, kept], part, atol=1e-5)


def test_commands_of_one_folder_say_so(folders, capsys):
    with pytest.raises(SystemExit):
        search.main(["--data", *folders])
    assert "--data takes one value in this command" in capsys.readouterr().err


def test_several_folders_are_refused_where_one_has_nothing_to_train_on(folders, small, tmp_path):
    with pytest.raises(ValueError, match=r"wrist: 2 records to train on without any of the modalities ecg"):
        pretrain.main(["--data", *folders, "--modalities", "ecg", *STEPS.split(), *small, "--out", str(tmp_path / "r")])
