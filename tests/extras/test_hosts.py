"""Run where JAX is installed: pytest tests/extras/test_hosts.py. Hosts are processes on loopback."""

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np

from physiokeras import checkpoint_folders
from physiokeras.experiments import hosts
from physiokeras.recipes.pretrain import Settings

SMALL = {
    "backend": "jax",
    "hosts": 2,
    "modalities": ("eeg", "ecg"),
    "width": 8,
    "depth": 1,
    "heads": 2,
    "decoder_width": 4,
    "decoder_depth": 0,
    "decoder_heads": 1,
    "batch_size": 8,
    "steps": 12,
    "interval": 4,
    "checkpoint_every": 4,
    "validation_steps": 1,
    "learning_rate": 1e-3,
}
CONTRAST = {"objective": "pairwise", "steps": 4, "fusion": -1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared folder."""
    from physiokeras.pipelines import convert
    from physiokeras.pipelines.simulation.simulator import simulate

    folder = tmp_path_factory.mktemp("data")
    convert(
        simulate(folder / "source", 3, 1, hours=0.1, seed=2, progress=False),
        "simulated",
        folder / "prepared",
        progress=None,
    )
    return folder / "prepared"


def start(data, out, *changes):
    """What each host says and its exit status; `changes` are dicts for host 0 and 1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(sys.path),
        # All trainings have the same programs.
        "JAX_COMPILATION_CACHE_DIR": str(data.parent / "programs"),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    both = []
    for index in range(2):
        more = changes[index] if changes else {}
        words = {"data": str(data), "host_index": index, "coordinator": coordinator, **more}
        both.append(
            subprocess.Popen(
                [sys.executable, __file__, str(out), json.dumps(words)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        said = [host.communicate(timeout=280)[0] for host in both]
    finally:
        for host in both:
            host.kill()
    return said, [host.returncode for host in both]


def losses(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def alone(data, folder, **changes):
    """The same training by one process, whose batches are the two hosts' parts side by side."""
    import keras
    import tensorflow as tf

    from physiokeras.callbacks import MetricsFile
    from physiokeras.experiments import training
    from physiokeras.pipelines import Manifest, stream
    from physiokeras.seeds import derive

    settings, manifest = Settings(**{**SMALL, "data": str(data), **changes}), Manifest.read(data)
    splits = ("pretrain", "train")
    model = training.untrained_model(settings, manifest, splits)

    def batches(split, name):
        options = {"batch_size": 4, "modalities": settings.modalities, "seed": derive(settings.seed, name)}
        parts = tf.data.Dataset.zip(*(stream(data, split, host=(index, 2), **options) for index in range(2)))
        return parts.map(lambda a, b: keras.tree.map_structure(lambda *both: tf.concat(both, 0), a, b))

    model.fit(
        batches(splits, "stream"),
        validation_data=batches("validation", "validation stream").take(1),
        callbacks=[MetricsFile(folder / "metrics.csv")],
        shuffle=False,
        verbose=0,
        steps_per_epoch=4,
        epochs=settings.steps // 4,
    )
    return losses(folder)


def test_two_hosts_train_as_one_process_does_and_resume_exactly(data, tmp_path):
    more = {"checkpoint_every": 2, "then": CONTRAST}
    said, status = start(data, tmp_path / "whole", more, more)
    assert status == [0, 0], said
    for folder, changes in (("whole", {}), ("whole/then", CONTRAST)):
        expected = alone(data, tmp_path / folder.replace("whole", "alone"), **changes)
        for ours, theirs in zip(losses(tmp_path / folder), expected, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)

    parts = tmp_path / "parts"
    said, status = start(data, parts, {}, {"at": 6, "signal": int(signal.SIGKILL)})
    assert status == [1, -signal.SIGKILL]
    assert "Host 0 of 2 stops: another host is lost" in said[0]
    assert "with --resume" in said[0]
    said, status = start(data, parts, {}, {"at": 10, "signal": int(signal.SIGTERM)})
    assert status == [128 + signal.SIGTERM] * 2
    assert "step 10 is saved" in said[0]
    ours, theirs = (checkpoint_folders.read(run / "checkpoints", 10)[0] for run in (parts, tmp_path / "whole"))
    assert ours.keys() - theirs.keys() == set()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize(
    ("changes", "data_hash", "said"),
    [
        ({"learning_rate": 0.002}, "a", "learning_rate: 0.001 on host 0, 0.002 on host 1"),
        ({}, "b", "data_hash: 'a' on host 0, 'b' on host 1"),
        ({"data": "there", "host_index": 1, "workers": 3, "resume": "run"}, "a", None),
    ],
)
def test_hosts_that_differ_are_refused_and_told_the_difference(monkeypatch, changes, data_hash, said):
    ours = Settings(**{**SMALL, "data": "here"})
    sent = []
    monkeypatch.setattr("physiokeras.callbacks.hosts.texts", lambda text: sent.append(text) or sent)
    hosts._compare(hosts.Place(0, 2, "first:1"), ours, "a")
    refused = pytest.raises(SystemExit, match=said) if said else contextlib.nullcontext()
    with refused:
        hosts._compare(hosts.Place(1, 2, "first:1"), replace(ours, **changes), data_hash)


def test_a_coordinator_that_is_not_there_is_refused_by_its_address(monkeypatch):
    monkeypatch.setattr(hosts, "PATIENCE_S", 1)
    with pytest.raises(SystemExit, match=r"127\.0\.0\.1:9: no coordinator answers within 1 s"):
        hosts._wait_for("127.0.0.1", 9, hosts.Place(1, 2, "127.0.0.1:9"))


def host(out, words):
    """One host of a training."""
    at, number, then = words.pop("at", 0), words.pop("signal", 0), words.pop("then", None)
    settings = Settings(**{**SMALL, **words})
    from physiokeras.experiments.backend import use

    use("jax")
    from physiokeras.callbacks import MetricsFile
    from physiokeras.experiments import run_folder, training
    from physiokeras.pipelines import Manifest

    class Fatal(MetricsFile):
        def on_train_batch_begin(self, batch, logs=None):
            if number and self._step() == at - 1:
                os.kill(os.getpid(), number)

    training.MetricsFile = Fatal
    here, manifest = hosts.place(settings), Manifest.of(settings.data)
    with hosts.joined(here, settings, manifest.data_hash, out if here.index == 0 else None):
        for one, folder in ((settings, out), (then and Settings(**{**SMALL, **words, **then}), out / "then")):
            if one:
                training.fit_together(here, manifest, one, run_folder.Run(folder, "pretrain"), ("pretrain", "train"))


if __name__ == "__main__":
    host(Path(sys.argv[1]), json.loads(sys.argv[2]))
