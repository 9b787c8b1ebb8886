"""Prepared data and folders on a remote file system of fsspec; tests/extras/test_remote.py has a server of S3."""

import os
import time

import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.files import cache_folder
from physiokeras.pipelines import Manifest, convert, damage_named, stream, verify, windows
from physiokeras.pipelines.prepared import cache
from physiokeras.pipelines.prepared.remote import local_folder
from physiokeras.pipelines.simulation.simulator import simulate

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    source = simulate(folder / "source", 3, hours=0.1, seed=4, progress=False)
    return convert(source, "simulated", folder / "out", progress=None)


@pytest.fixture
def there(prepared, tmp_path, monkeypatch):
    """URL of the same folder in fsspec's memory, and the folder of an empty cache."""
    monkeypatch.setenv("PHYSIOKERAS_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    for path in prepared.folder.rglob("*.*"):
        files.pipe(f"/data/{path.relative_to(prepared.folder).as_posix()}", path.read_bytes())
    yield "memory://data"
    files.rm("/data", recursive=True)


def copies():
    return {path.stem for path in (cache_folder() / "shards").glob("*.tfrecord")}


def test_remote_data_stream_as_local_ones_and_a_shard_is_copied_when_it_is_read_first(prepared, there):
    first, *_ = prepared.records
    theirs = windows(there, records=[first.name], labels=["stage"])
    assert copies() == {first.sha256}
    ours = windows(prepared.folder, records=[first.name], labels=["stage"])
    assert all(np.array_equal(theirs[name], ours[name]) for name in ours)
    batches = [next(iter(stream(place, "train", batch_size=4, seed=3)))[0] for place in (there, prepared.folder)]
    assert all(np.array_equal(batches[0][name], batches[1][name]) for name in batches[1])
    assert verify(there) == sum(record.windows for record in prepared.records)


def test_shard_that_is_not_the_manifests_is_refused_by_name_and_not_kept(prepared, there):
    name = prepared.records[0].name
    path = f"/data/records/{name}.tfrecord"
    files = fsspec.filesystem("memory")
    content = files.cat_file(path)
    files.pipe(path, content[:-1])
    with pytest.raises(DataError, match=f"{name}.tfrecord: the shard has {len(content) - 1} bytes"):
        windows(there, records=[name])
    files.pipe(path, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=rf"{name}\.tfrecord"):
        windows(there, records=[name])
    assert copies() == set()
    files.rm(path)
    with pytest.raises(DataError, match=f"{name}.tfrecord: the shard is missing"):
        windows(there, records=[name])


def test_damaged_copy_is_noticed_and_removed(prepared, there):
    (record,) = prepared.records[:1]
    Manifest.read(there).opened_shard(record)
    copy = cache_folder() / "shards" / f"{record.sha256}.tfrecord"
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    with pytest.raises(DataError, match="its copy in the cache was damaged, and is removed"):
        windows(there, records=[record.name])
    assert copies() == set()


def test_cache_stays_within_its_bound_and_forgets_what_was_used_longest_ago(prepared, there, monkeypatch):
    one, two, three = prepared.records
    remote = Manifest.read(there)
    for age, record in ((300, one), (200, two)):
        remote.opened_shard(record)
        moment = time.time() - age
        os.utime(cache_folder() / "shards" / f"{record.sha256}.tfrecord", (moment, moment))
    monkeypatch.setenv("PHYSIOKERAS_CACHE_GB", str((two.bytes + three.bytes) / 1e9))
    remote.opened_shard(three)
    assert copies() == {two.sha256, three.sha256}
    monkeypatch.setenv("PHYSIOKERAS_CACHE_GB", "much")
    with pytest.raises(DataError, match="PHYSIOKERAS_CACHE_GB must be a positive number"):
        cache.limit()


def test_copies_that_another_process_removes_meanwhile_are_no_error(prepared, there, monkeypatch):
    one, two, three = prepared.records
    remote = Manifest.read(there)
    for record in (one, two):
        remote.opened_shard(record)
    measure = cache._bytes

    def removing(path):
        for name in copies() - {path.stem}:
            (cache_folder() / "shards" / f"{name}.tfrecord").unlink()
        return measure(path)

    monkeypatch.setattr(cache, "_bytes", removing)
    remote.opened_shard(three)
    assert three.sha256 in copies()
    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "utime", lambda path: path.unlink() or os.stat(path))
        assert remote.opened_shard(three).stat().st_size == three.bytes


def test_folder_is_copied_and_afterwards_only_what_changed(there, monkeypatch, capsys):
    files = fsspec.filesystem("memory")
    for name, content in {"a.csv": b"1", "deep/b.csv": b"2", "c.txt": b"3"}.items():
        files.pipe(f"/data/tables/{name}", content)
    folder = local_folder("memory://data/tables", lambda name: name.endswith(".csv"))
    assert {path.name: path.read_bytes() for path in folder.rglob("[a-z]*.*")} == {"a.csv": b"1", "b.csv": b"2"}
    assert "Copying 2 files" in capsys.readouterr().out
    files.pipe("/data/tables/a.csv", b"4")
    files.rm("/data/tables/deep/b.csv")
    assert local_folder("memory://data/tables", lambda name: name.endswith(".csv")) == folder
    assert "Copying 1 file (" in capsys.readouterr().out
    assert (folder / "a.csv").read_bytes() == b"4"
    assert not (folder / "deep" / "b.csv").exists()
    monkeypatch.setenv("PHYSIOKERAS_CACHE_GB", "1e-9")
    with pytest.raises(DataError, match=r"has 0\.0 GB, more than the cache may take"):
        local_folder("memory://data/tables")
    with pytest.raises(DataError, match="no files there"):
        local_folder("memory://data/nothing")


def test_name_that_leads_out_of_the_folder_is_refused(there, tmp_path):
    fsspec.filesystem("memory").pipe("/data/tables/../../evil.csv", b"1")
    with pytest.raises(DataError, match=r"evil\.csv' would lie outside of the folder"):
        local_folder("memory://data/tables")
    assert not list(tmp_path.rglob("evil.csv"))


def test_damage_of_a_stream_is_named(prepared, there):
    name = prepared.records[0].name
    path, files = f"/data/records/{name}.tfrecord", fsspec.filesystem("memory")
    content = files.cat_file(path)
    batches = stream(there, batch_size=4, records=[name])
    files.pipe(path, content[:-9] + b"?" + content[-8:])
    with pytest.raises(DataError, match=rf"{name}\.tfrecord"), damage_named(there, records=[name]):
        list(batches)
