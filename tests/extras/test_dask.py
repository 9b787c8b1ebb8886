"""Run where the extra `[dask]` is installed: pytest tests/extras/test_dask.py."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import distributed
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines import Definition, convert, dask
from physiokeras.pipelines.simulation.simulator import simulate
from physiokeras.recipes import extract, prepare, score


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Four records, one of them cut."""
    folder = simulate(tmp_path_factory.mktemp("dask"), 3, 1, hours=0.1, seed=2, progress=False)
    (folder / "training" / "tr03-0005" / "tr03-0005.mat").write_bytes(b"cut")
    return folder


@pytest.fixture(scope="module")
def pool(source, tmp_path_factory):
    """Bytes that the process pool writes."""
    folder = tmp_path_factory.mktemp("pool")
    convert(source, "simulated", folder, progress=None)
    return files(folder)


class Cluster:
    """A scheduler and workers, processes of their own on loopback."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address, self.folder, self.workers = f"tcp://127.0.0.1:{self.port}", folder, []

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + words[0], *map(str, words[1:])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
        )

    def start_scheduler(self):
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", self.port, "--no-dashboard")

    def start_worker(self):
        # Without a nanny: a worker that dies stays dead.
        options = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory", self.folder)
        self.workers.append(self.start("worker", self.address, *options))

    def stop(self):
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    """A scheduler with two workers that have answered."""
    running = Cluster(tmp_path)
    running.start_scheduler()
    for _ in range(2):
        running.start_worker()
    try:
        with distributed.Client(running.address, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        yield running
    finally:
        running.stop()


def files(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("**/*.*") if not path.name.startswith(".")}


def test_dask_workers_write_the_bytes_that_the_process_pool_writes(cluster, source, pool, tmp_path, capsys):
    words = ["--dataset", "simulated", "--source", str(source), "--out", str(tmp_path / "out"), "--no-report"]
    assert prepare.main([*words, "--dask", cluster.address]) == 1
    assert files(tmp_path / "out") == pool
    said = capsys.readouterr().out
    assert "4 records, 4 to convert by an engine" in said
    assert "Set aside: tr03-0005" in said


@pytest.fixture
def network(source, tmp_path):
    """Folder of an untrained network of two tasks, which reads the source's EEG and ECG."""
    from physiokeras.models import Encoder, LinearProbe, save

    definition = Definition.read("simulated")
    modalities = {
        name: {"samples": 3000, "channels": len(definition.modalities[name].channels)} for name in ("eeg", "ecg")
    }
    encoder = Encoder(modalities, time=30, width=8, depth=1, heads=2)
    model = LinearProbe(encoder, {"stage": 5}, frozen=False)
    save(model, tmp_path / "network" / "model_stage", definition=definition.to_dict(), data_hash="0", pooling="mean")
    return tmp_path / "network"


def engine_with_a_death(address, marker, is_target):
    """An engine whose worker is killed, once, when it begins a record."""
    engine = dask.engine(address)

    def run(function, arguments):
        def dies_first(*given):
            if is_target(given) and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*given)

        return engine(dies_first, arguments)

    return run


def test_scores_and_features_are_those_of_the_command_alone_also_where_a_worker_is_killed(
    cluster, source, network, tmp_path, monkeypatch, capsys
):
    import keras

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # than the workers
    words = ["--model", os.path.relpath(network), "--source", os.path.relpath(source), "--no-figures"]
    words += ["--backend", keras.config.backend(), "--features"]
    assert score.main([*words, "--out", "alone"]) == 1
    engine = engine_with_a_death(cluster.address, tmp_path / "died", lambda given: given[-1].name == "tr05-0015")
    monkeypatch.setattr(dask, "engine", lambda address: engine)
    assert score.main([*words, "--out", "out", "--dask", cluster.address]) == 1
    assert (tmp_path / "died").exists()
    tables = [{n: b for n, b in files(folder).items() if n.endswith((".csv", ".edf"))} for folder in ("alone", "out")]
    assert len(tables[0]) > 6
    for path in Path("alone", "records").glob("*.npz"):
        with np.load(path) as ours, np.load(Path("out", "records", path.name)) as theirs:
            np.testing.assert_allclose(theirs["features"], ours["features"], atol=1e-5)
    assert tables[0] == tables[1]
    assert "3 scored, 0 were scored already, 1 set aside" in capsys.readouterr().out.splitlines()[-1]
    assert score.main([*words, "--out", "out"]) == 1
    assert "0 scored, 3 were scored already, 1 set aside" in capsys.readouterr().out.splitlines()[-1]

    words = ["--run", *words[1:-1]]
    for out, more in (("rows", []), ("rows-dask", ["--dask", cluster.address])):
        assert extract.main([*words, "--out", out, *more]) == 1
    assert Path("rows", "predictions.csv").read_bytes() == Path("rows-dask", "predictions.csv").read_bytes()
    with np.load("rows/features.npz") as ours, np.load("rows-dask/features.npz") as theirs:
        assert len(ours["features"]) == 36
        np.testing.assert_allclose(theirs["features"], ours["features"], atol=1e-5)
        np.testing.assert_array_equal(theirs["record"], ours["record"])


def test_the_record_of_a_worker_that_is_killed_is_converted_again(cluster, source, pool, tmp_path):
    marker, target = tmp_path / "died", next(name.removesuffix(".tfrecord") for name in pool if "tfrecord" in name)
    engine = engine_with_a_death(cluster.address, marker, lambda given: given[0].stem == target)
    convert(source, "simulated", tmp_path / "out", engine=engine, progress=None)
    assert marker.exists()
    assert files(tmp_path / "out") == pool


def test_a_restarted_scheduler_is_given_again_what_was_not_finished(cluster, source, pool, tmp_path):
    restarted = []

    def restart(line):
        if "windows" in line and not restarted:
            restarted.append(line)
            cluster.stop()
            cluster.start_scheduler()
            cluster.start_worker()

    convert(source, "simulated", tmp_path / "out", engine=dask.engine(cluster.address), progress=restart)
    assert restarted
    assert files(tmp_path / "out") == pool


def test_a_scheduler_that_is_not_there_is_refused_by_its_address(source, tmp_path):
    begin = time.monotonic()
    with pytest.raises(DataError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler answers within 1 s"):
        convert(source, "simulated", tmp_path, engine=dask.engine("tcp://127.0.0.1:9", patience=1), progress=None)
    assert time.monotonic() - begin < 30
