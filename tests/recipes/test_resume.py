import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from physiokeras import checkpoint_folders
from physiokeras.callbacks import Checkpoints
from physiokeras.errors import TrainingError
from physiokeras.evaluation import probe_report
from physiokeras.experiments import training
from physiokeras.experiments.settings import read
from physiokeras.figures import pretraining_run
from physiokeras.models import digest, load
from physiokeras.pipelines import Manifest, windows
from physiokeras.recipes import pretrain

TOOL = Path(__file__).parents[2] / "tools" / "kill_training.py"
CACHES = {"torch": ("none", "device"), "jax": ("device",), "tensorflow": ("host",)}


def leave_out(patch):
    """Leave out probes and figures, which take longer than a few steps."""
    patch.setattr(probe_report, "probe_encoder", lambda *_: ({}, {}))
    patch.setattr(pretraining_run, "draw_all", lambda *_: None)


@pytest.fixture(scope="module")
def terminated(pretrained, tmp_path_factory):
    """A run like `pretrained` that SIGTERM ended in its second of five steps, inside a Keras epoch of three."""
    follow, folder = Checkpoints.on_train_batch_end, tmp_path_factory.mktemp("terminated") / "run"

    def terminate(self, batch, logs=None):
        if self.step == 1:
            signal.raise_signal(signal.SIGTERM)
        follow(self, batch, logs)

    settings = ["--config", str(pretrained.folder / "settings.toml"), "--data", str(pretrained.cohort / "prepared")]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        leave_out(patch)
        patch.setattr(Checkpoints, "on_train_batch_end", terminate)
        with pytest.raises(SystemExit) as end:
            pretrain.main([*settings, "--out", str(folder)])
    assert end.value.code == 128 + signal.SIGTERM
    assert f"Go on with: physiokeras pretrain --resume {folder}" in said.getvalue()
    return folder


@pytest.fixture
def interrupted(terminated, tmp_path, monkeypatch):
    """A copy of the terminated run, which goes on without probes and figures."""
    leave_out(monkeypatch)
    return shutil.copytree(terminated, tmp_path / "run")


def state_of(run):
    step = checkpoint_folders.steps(run / "checkpoints")[-1]
    return checkpoint_folders.read(run / "checkpoints", step)


@pytest.mark.parametrize("cache", CACHES[keras.config.backend()])
def test_terminated_run_goes_on_and_ends_as_one_that_was_not(interrupted, pretrained, cache):
    assert checkpoint_folders.steps(interrupted / "checkpoints") == [2]
    assert pretrain.main(["--resume", str(interrupted), "--cache", cache]) == 0
    (arrays, facts), (others, their_facts) = state_of(interrupted), state_of(pretrained.folder)
    assert [name for name in others if not np.array_equal(arrays[name], others[name])] == []
    assert {**facts, "sha256": 0} == {**their_facts, "sha256": 0}
    assert (interrupted / "metrics.csv").read_text() == (pretrained.folder / "metrics.csv").read_text()


@pytest.mark.once
def test_resuming_is_refused_with_the_differences_and_changes_nothing(interrupted):
    before = {path: path.read_bytes() for path in interrupted.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit, match=r"learning_rate: 0.003 then, 0.001 now[^$]*--accept learning_rate$"):
        pretrain.main(["--resume", str(interrupted), "--learning-rate", "0.001"])
    assert {path: path.read_bytes() for path in interrupted.rglob("*") if path.is_file()} == before
    changed = ["--learning-rate", "0.001", "--accept", "learning_rate"]
    assert pretrain.main(["--resume", str(interrupted), *changed]) == 0
    assert "learning_rate = 0.001" in (interrupted / "settings.toml").read_text()
    assert len(json.loads((interrupted / "run.json").read_text())["resumed"]) == 1


def test_bad_loss_names_the_records_of_its_batch(interrupted, monkeypatch):
    check, seen = Checkpoints._check_loss, []
    original = training.stream

    def spied(folder, split=None, **options):
        if "labels" not in options and options.get("start_step"):
            (inputs,), *_ = original(folder, split, **options).take(1)
            seen.append(inputs["ecg"].numpy())
        return original(folder, split, **options)

    monkeypatch.setattr(training, "stream", spied)
    monkeypatch.setattr(Checkpoints, "_check_loss", lambda self, loss: check(self, np.nan if self.step == 4 else loss))
    with pytest.raises(TrainingError, match="stopped at step 4: the mean loss is nan") as caught:
        pretrain.main(["--resume", str(interrupted)])
    settings = read(pretrain.Settings, ["--config", str(interrupted / "settings.toml")])
    data = windows(settings.data, ["pretrain", "train"], modalities=["ecg"], labels=["record"])
    names = [record.name for record in Manifest.of(settings.data).records]
    rows = [int(np.flatnonzero((data["ecg"] == window).all(axis=(1, 2)))[0]) for window in seen[-1]]
    records = [names[data["record"][row]] for row in rows]
    expected = ", ".join(f"{name} ({records.count(name)})" for name in sorted(set(records)))
    assert f"The batch of this step: windows of {expected}." in str(caught.value)


def test_early_stopping_ends_with_the_best_weights_also_where_the_run_is_resumed_after_its_end(
    pretrained, small, tmp_path, monkeypatch
):
    leave_out(monkeypatch)
    folder = tmp_path / "run"
    data = ["--data", str(pretrained.cohort / "prepared"), "--modalities", "ecg", "--out", str(folder)]
    flags = "--steps 40 --interval 1 --validation-steps 1 --early-stopping 2 --learning-rate 0.3 --warmup 0"
    assert pretrain.main([*data, *small, *flags.split()]) == 0
    losses = np.genfromtxt(folder / "metrics.csv", delimiter=",", names=True)["val_loss"]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 2 < 40
    arrays, _ = checkpoint_folders.read(folder / "checkpoints", best)
    weights = load(folder / "model").weights
    kept = [array for name, array in arrays.items() if name.startswith("model/") and "/seed_" not in name]
    assert [weight for weight in weights if not any(np.array_equal(weight, array) for array in kept)] == []
    digest_then = digest(load(folder / "model"))
    shutil.rmtree(folder / "model")
    assert pretrain.main(["--resume", str(folder)]) == 0
    assert digest(load(folder / "model")) == digest_then


def test_killed_runs_end_as_one_that_nobody_killed(tmp_path):
    command = [sys.executable, str(TOOL), "--backend", keras.config.backend(), "--moments", "1"]
    command += ["--operations", "1", "--first", "10"]  # inside the first save
    environment = {**os.environ, "PYTHONPATH": str(TOOL.parents[1])}
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1].endswith("2 kills, every run equal to the uninterrupted one")
