"""Run where the extra `[remote]` and moto's server are installed: pytest tests/extras/test_remote.py."""

import contextlib
import functools
import http.server
import shutil
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

import physiokeras
from physiokeras.errors import DataError
from physiokeras.experiments.saved_models import PRESETS
from physiokeras.files import cache_folder
from physiokeras.models import Encoder, MaskedAutoencoder, digest
from physiokeras.pipelines import Manifest, convert, stream, verify, windows
from physiokeras.pipelines.prepared.remote import local_folder
from physiokeras.pipelines.simulation.simulator import simulate
from physiokeras.recipes import score

BACKEND = ["--backend", keras.config.backend()]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    source = simulate(folder / "source", 4, hours=0.1, seed=4, progress=False)
    return convert(source, "simulated", folder / "out", progress=None)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PHYSIOKERAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def bucket():
    """Function that uploads a folder to a bucket on a server of loopback, and gives its URL."""
    import boto3

    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        for name, value in {**names, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")

        def upload(folder, name, change=lambda path: path.read_bytes()):
            for path in Path(folder).rglob("*.*"):
                if path.is_file():
                    key = f"{name}/{path.relative_to(folder).as_posix()}"
                    client.put_object(Bucket="bucket", Key=key, Body=change(path))
            return f"s3://bucket/{name}"

        yield upload
    server.stop()


@pytest.fixture
def web():
    """Function that serves a folder on loopback, and gives its URL."""
    with contextlib.ExitStack() as stack:

        def serve(folder):
            handler = functools.partial(Quiet, directory=str(folder))
            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield serve


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def copies():
    return len(list((cache_folder() / "shards").glob("*.tfrecord")))


def test_model_trains_on_s3_as_on_disk_and_shards_are_copied_when_they_are_read(prepared, bucket):
    there = bucket(prepared.folder, "prepared")
    assert Manifest.read(there).data_hash == prepared.data_hash
    assert copies() == 0
    ours, theirs = (windows(place, "test", labels=["stage"]) for place in (prepared.folder, there))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert copies() == len(prepared.select("test"))
    losses = []
    for place in (prepared.folder, there):
        keras.utils.set_random_seed(1)
        model = MaskedAutoencoder(Encoder.for_data(Manifest.read(place), width=16, depth=1, heads=2))
        model.compile("adam", run_eagerly=True)  # compiling takes longer than both trainings
        data = stream(place, "train", batch_size=4, seed=3)
        losses.append(model.fit(data, steps_per_epoch=2, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    assert verify(there) == sum(record.windows for record in prepared.records)


def test_what_is_cut_or_not_there_is_refused_by_name(prepared, bucket):
    cut = bucket(
        prepared.folder,
        "cut",
        lambda path: path.read_bytes()[: -1 if path.suffix == ".tfrecord" else None],
    )
    with pytest.raises(DataError, match=r"tfrecord: the shard has \d+ bytes, the manifest says"):
        stream(cut, "train", batch_size=4)
    with pytest.raises(DataError, match=r"no manifest\.json"):
        Manifest.read("s3://bucket/nowhere")


def test_prepared_data_are_read_from_a_web_server(prepared, web):
    ours, theirs = (windows(place, "test") for place in (prepared.folder, web(prepared.folder)))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_model_is_read_from_s3_and_from_the_web(bucket, web, tmp_path):
    ours, run = physiokeras.load("eeg_small"), shutil.copytree(PRESETS / "eeg_small", tmp_path / "run")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "state.bin").write_bytes(b"not to be copied")
    for address in (bucket(run, "run"), web(run)):
        model = physiokeras.load(address)
        assert digest(model.model) == digest(ours.model)
        assert model.tasks == ours.tasks
        assert not list(model.folder.rglob("state.bin"))
    (run / "model" / "weights.safetensors").write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"SHA-256 is not the one in metadata\.json"):
        physiokeras.load(bucket(run, "changed"))


def test_recordings_on_s3_are_scored_as_those_on_disk_and_so_is_a_single_one(bucket, web, tmp_path):
    from physiokeras.models import save
    from physiokeras.models.probe import LinearProbe
    from physiokeras.pipelines import Definition

    source = simulate(tmp_path / "source", 2, hours=0.1, seed=5, progress=False)
    definition = Definition.read("simulated")
    manifest = convert(source, definition, tmp_path / "prepared", progress=None)
    network = LinearProbe(Encoder.for_data(manifest, width=16, depth=1, heads=2), {"stage": 5}, frozen=False)
    task = {"name": "stage", "label": "stage", "kind": "classes", "classes": ["W", "N1", "N2", "N3", "R"]}
    save(network, tmp_path / "run" / "model", definition=manifest.definition, tasks=[task], data_hash="0")
    places = {"recordings": source, "prepared": manifest.folder}
    for name, folder in places.items():
        found = []
        for place in (folder, bucket(folder, name)):
            out = tmp_path / f"{name}-{len(found)}"
            given = ["--model", str(tmp_path / "run"), "--source", str(place), "--out", str(out), "--no-figures"]
            assert score.main([*given, *BACKEND]) == 0
            found.append({path.name: path.read_bytes() for path in (out / "records").glob("*.csv")})
        assert found[0] == found[1]
        assert len(found[0]) == 2
    (header,) = source.rglob(f"{next(iter(found[0])).removesuffix('.csv')}.hea")
    (header.parent / "other.hea").write_text("not to be copied")
    for place in (bucket(header.parent, "one"), web(header.parent)):
        with pytest.raises(DataError, match=r"\.hea: this is a file\. Give its folder"):
            local_folder(f"{place}/{header.name}")
        out = tmp_path / place.partition(":")[0]
        given = ["--model", str(tmp_path / "run"), "--source", f"{place}/{header.name}", "--out", str(out)]
        assert score.main([*given, "--no-figures", *BACKEND]) == 0
        (path,) = (out / "records").glob("*.csv")
        assert path.read_bytes() == found[0][path.name]
    assert not list(cache_folder().rglob("other.hea"))


def test_prepared_data_are_read_from_google_cloud_storage(prepared, monkeypatch):
    # With this on, gcsfs asks the server of loopback by TLS first, for minutes.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    gcsfs, server = pytest.importorskip("gcsfs"), pytest.importorskip("gcp_storage_emulator.server")
    server = server.create_server("127.0.0.1", 0, in_memory=True, default_bucket="bucket")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server._api._httpd.server_port}")
    files = gcsfs.GCSFileSystem(token="anon")
    for path in prepared.folder.rglob("*.*"):
        if path.is_file():
            files.pipe(f"bucket/prepared/{path.relative_to(prepared.folder).as_posix()}", path.read_bytes())
    ours, theirs = (windows(place, "test") for place in (prepared.folder, "gs://bucket/prepared"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    copy = local_folder("gs://bucket/prepared", lambda name: name == "manifest.json")
    assert (copy / "manifest.json").read_bytes() == (prepared.folder / "manifest.json").read_bytes()
    server.stop()
