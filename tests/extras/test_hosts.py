"""Run where JAX is installed: pytest tests/extras/test_hosts.py. Machines are processes on loopback."""

import contextlib
import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

os.environ["KERAS_BACKEND"] = "jax"
# The process of the tests has four devices, the others have one.
os.environ["XLA_FLAGS"] = os.environ.get(
    "FLAGS_OF_PROGRAM", os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import numpy as np

from physiokeras import checkpoint_folders
from physiokeras.experiments import hosts
from physiokeras.recipes.pretrain import Settings

SMALL = {
    "backend": "jax",
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
    "learning_rate": 1e-2,
    # It draws (dropout), contrasts the windows of both hosts, and compiles in half the time of an autoencoder.
    "objective": "pairwise",
    "fusion": -1,
    "dropout": 0.1,
}
AUTOENCODER = {"objective": "autoencoder", "fusion": 0, "steps": 4}
SPLITS = ("pretrain", "train")


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


def by_srun(index):
    """The environment that `srun` gives a task."""
    # The job's number decides the port, of which there are 4096.
    return {
        **{"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "localhost"},
        **{"SLURM_NTASKS": "2", "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index), "SLURM_NODEID": "0"},
    }


def by_torchrun(index):
    """The environment that torchrun gives a process."""
    return {
        **{"MASTER_ADDR": "localhost", "MASTER_PORT": str(29500 + os.getpid() % 1000), "WORLD_SIZE": "2"},
        **{"RANK": str(index), "LOCAL_RANK": str(index), "LOCAL_WORLD_SIZE": "2"},
    }


def start(data, launcher, *trainings):
    """What each of two hosts says, and its exit status.

    Args:
        data: The prepared folder.
        launcher: Function from the number of a host to its environment.
        *trainings: Dicts of a training's folder, changes of its settings, and the signal, step and host at which one of
            the hosts gets it.
    """
    both = [program(data, launcher(index), "host", str(data), json.dumps(trainings)) for index in range(2)]
    return ended(both), [host.returncode for host in both]


def program(data, environment, *words):
    """A process that runs a function of this file."""
    common = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "FLAGS_OF_PROGRAM": os.environ["XLA_FLAGS"].rpartition(" ")[0],
        "PYTHONPATH": os.pathsep.join(sys.path),
        # Later ones have the programs of the first.
        "JAX_COMPILATION_CACHE_DIR": str(data.parent / "programs"),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, __file__, *words], env={**common, **environment}, **pipes)


def ended(programs):
    """What each of some processes says until it ends."""
    try:
        return [one.communicate(timeout=280)[0] for one in programs]
    finally:
        for one in programs:
            one.kill()


def losses(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def batches(data, settings, split, name, start_step=0):
    """Batches that are the two hosts' parts side by side."""
    import keras

    from physiokeras.pipelines import source
    from physiokeras.seeds import derive

    options = {"batch_size": 4, "modalities": settings.modalities, "start_step": start_step}
    parts = [source(data, split, host=(i, 2), seed=derive(settings.seed, name), **options) for i in range(2)]
    return (keras.tree.map_structure(lambda *both: np.concatenate(both), *pair) for pair in zip(*parts, strict=True))


def alone(data, folder, model=None, **changes):
    """The same training by one process, from the last checkpoint in the folder: its losses and its model."""
    from physiokeras.callbacks import Checkpoints, MetricsFile
    from physiokeras.experiments import devices, training
    from physiokeras.pipelines import Manifest

    settings = Settings(**{**SMALL, "hosts": 1, "data": str(data), **changes})
    model = model or training.untrained_model(settings, Manifest.read(data), SPLITS)
    (valid,) = next(batches(data, settings, "validation", "validation stream"))
    checkpoints = Checkpoints(folder / "checkpoints", every=2)
    checkpoints.restore(model)
    for part in checkpoints.parts(settings.steps, 4):
        with devices.sharing(settings):
            model.fit(
                batches(data, settings, SPLITS, "stream", checkpoints.step),
                validation_data=(valid, None),
                validation_batch_size=8,
                callbacks=[MetricsFile(folder / "metrics.csv"), checkpoints],
                shuffle=False,
                verbose=0,
                **part,
            )
    return losses(folder), model


@pytest.fixture(scope="module")
def masked(data, tmp_path_factory):
    """Losses of a masked autoencoder that one process trains on one device."""
    return alone(data, tmp_path_factory.mktemp("masked"), **AUTOENCODER)[0]


def test_a_model_whose_weights_lie_on_several_devices_trains_as_on_one(data, masked, tmp_path, monkeypatch):
    from physiokeras.callbacks import state
    from physiokeras.models import load, save

    split = {**AUTOENCODER, "devices": 4, "model_parallel": 2}
    found, model = alone(data, tmp_path, **split)
    for ours, theirs in zip(found, masked, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    parts = {variable.path: part(variable) for variable in model.variables}
    parts |= {variable.name: part(variable) for variable in model.optimizer.variables}
    assert parts["encoder/block_0/query_key_value/kernel"] == (8, 12)
    assert parts["encoder/block_0/up/kernel"] == parts["encoder_block_0_up_kernel_velocity"] == (8, 16)
    assert parts["autoencoder/decoder_eeg/cross/down/kernel"] == (8, 4)
    assert parts["encoder/embedding/modality"] == (2, 1, 8)

    trained = state.arrays(model)
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # Keras imports it to save a model
    save(model, tmp_path / "model")
    for ours, theirs in zip(load(tmp_path / "model").get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    shutil.rmtree(tmp_path / "checkpoints" / "step-000000004")
    again, _ = alone(data, tmp_path, model, **split)
    assert again == found
    for name, array in state.arrays(model).items():
        np.testing.assert_array_equal(array, trained[name], err_msg=name)


def test_fine_tuning_on_two_devices_is_that_on_one(data, tmp_path, monkeypatch):
    from physiokeras.experiments import build, training
    from physiokeras.models import save
    from physiokeras.pipelines import Manifest
    from physiokeras.recipes import finetune

    monkeypatch.setitem(sys.modules, "tensorflow", None)  # Keras imports it to save a model
    manifest = Manifest.read(data)
    settings = Settings(**{**SMALL, "hosts": 1, "data": str(data), "view": "spectrum"})
    encoder = build.build_encoder(settings, manifest)
    training.adapt(encoder, manifest, settings, SPLITS)
    save(encoder, tmp_path / "run" / "model", definition=manifest.definition)
    words = f"--backend jax --run {tmp_path / 'run'} --data {data} --task stage --steps 8 --interval 4 --batch-size 8"
    words += " --no-subset-maps --learning-rate 1e-2 --devices"
    for devices in ("1", "2"):
        assert finetune.main([*words.split(), devices, "--out", str(tmp_path / devices)]) == 0
    one, two = (losses(tmp_path / devices) for devices in ("1", "2"))
    assert len(one) == 2
    assert one[1]["loss"] != one[0]["loss"]
    for ours, theirs in zip(two, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def part(variable):
    """Shape of the part of a variable that one device holds."""
    return variable.value.addressable_shards[0].data.shape


def test_two_hosts_train_as_one_process_does_and_resume_exactly(data, masked, tmp_path):
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    said, status = start(
        data,
        by_srun,
        {"folder": str(whole), "changes": {"checkpoint_every": 2}},
        {"folder": str(tmp_path / "masked"), "changes": AUTOENCODER},
        {"folder": str(parts), "signal": signal.SIGKILL, "host": 1, "at": 6},
    )
    assert status == [1, -signal.SIGKILL], said
    assert "Host 0 of 2 stops: another host is lost" in said[0]
    assert "with --resume" in said[0]
    for folder, expected in ((whole, alone(data, tmp_path / "alone")[0]), (tmp_path / "masked", masked)):
        for ours, theirs in zip(losses(folder), expected, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)

    said, status = start(data, by_torchrun, {"folder": str(parts), "signal": signal.SIGTERM, "host": 1, "at": 10})
    assert status == [128 + signal.SIGTERM] * 2, said
    assert "Going on from step 4" in said[0]
    assert "step 10 is saved" in said[0]
    ours, theirs = (checkpoint_folders.read(run / "checkpoints", 10)[0] for run in (parts, whole))
    assert ours.keys() - theirs.keys() == set()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_two_processes_share_the_cells_of_a_comparison_and_one_goes_on_where_the_other_is_killed(data, tmp_path):
    words = "--backend jax --strategies untrained band_power --reference untrained --folds 3 --seeds 1 --tasks stage"
    words += " --no-subsets --draws 8 --width 8 --depth 1 --heads 2 --data"
    words = [*words.split(), str(data)]
    command = ["compared", json.dumps([*words, "--out", str(tmp_path / "run")])]
    killed, other = program(data, {"KILLED": "1"}, *command), program(data, {"WAITS": str(tmp_path / "dead")}, *command)
    said = ended([killed])
    (tmp_path / "dead").touch()
    said += ended([other])
    assert [killed.returncode, other.returncode] == [-signal.SIGKILL, 0], said
    computed = [re.findall(r"^computes (.*)", text, re.MULTILINE) for text in said]
    cells = {path.name for path in (tmp_path / "run" / "cells").iterdir()}
    # Its second cell is computed again, its first one is not.
    assert len(computed[0]) == 2
    assert sorted(computed[1]) == sorted(cells - {computed[0][0]})
    assert len(cells) == 6
    assert "Everything is in" in said[1]
    assert (tmp_path / "run" / "scores.md").is_file()


@pytest.mark.parametrize(
    ("changes", "data_hash", "said"),
    [
        ({"learning_rate": 0.002}, "a", "learning_rate: 0.01 on host 0, 0.002 on host 1"),
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


def host(data, trainings):
    """One host of some trainings, each the function of a command."""
    settings = Settings(**{**SMALL, "data": data})
    from physiokeras.experiments.backend import use

    use("jax")
    from physiokeras.callbacks import MetricsFile
    from physiokeras.experiments import run_folder, training
    from physiokeras.pipelines import Manifest

    here, manifest, at = hosts.place(settings), Manifest.of(data), {}

    class Fatal(MetricsFile):
        def on_train_batch_begin(self, batch, logs=None):
            if at.get("host") == here.index and self._step() == at["at"] - 1:
                os.kill(os.getpid(), at["signal"])

    build, compile_model, kept = training.build_model, training.compile_model, {}

    def build_once(settings, manifest):
        key = settings.objective, settings.hosts
        return kept[key] if key in kept else kept.setdefault(key, build(settings, manifest))

    # Trainings of one network share its compiled program: compiling takes longer than all else.
    training.build_model = build_once
    training.compile_model = lambda model, settings: model.compiled or compile_model(model, settings)
    training.MetricsFile = Fatal
    with hosts.joined(here, settings, manifest.data_hash, trainings[-1]["folder"]):
        for at in trainings:
            own = replace(settings, **at.get("changes", {}))
            training.fit_together(here, manifest, own, run_folder.Run(Path(at["folder"]), "pretrain"), SPLITS)


def compared(words):
    """One process of a comparison. It is killed in its second cell, or waits in its first one for a file to appear."""
    from physiokeras.experiments.backend import use

    use("jax")
    from physiokeras.comparison import cells, report
    from physiokeras.recipes import compare

    compute, number = cells.compute, itertools.count()

    def watched(cell, *rest):
        print("computes", cell.folder.name, flush=True)
        if next(number) and os.environ.get("KILLED"):
            os.kill(os.getpid(), signal.SIGKILL)
        while "WAITS" in os.environ and not os.path.exists(os.environ["WAITS"]):
            time.sleep(0.05)
        compute(cell, *rest)

    cells.compute, report.draw = watched, lambda *_: None
    compare.main(words)


if __name__ == "__main__":
    sys.modules["tensorflow"] = None  # its import takes as long as a training
    if sys.argv[1] == "host":
        host(sys.argv[2], json.loads(sys.argv[3]))
    else:
        compared(json.loads(sys.argv[2]))
