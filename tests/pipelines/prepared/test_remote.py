import importlib.util
import sys
import types

import fsspec
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines import Manifest, stream
from physiokeras.pipelines.prepared.remote import Remote, local, located


def test_a_path_stays_a_path_and_a_url_becomes_remote(tmp_path):
    assert located(tmp_path) == tmp_path
    assert located(str(tmp_path)) == tmp_path
    with local(tmp_path) as same:
        assert same == tmp_path


def test_a_missing_tensorflow_io_gets_a_sentence_with_the_versions_that_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    for action in (Manifest.read, lambda folder: stream(folder, batch_size=1)):
        with pytest.raises(
            DataError, match=r"needs tensorflow-io; it is not installed.*2\.17 with tensorflow-io 0\.37"
        ):
            action("s3://bucket/prepared")


def test_a_tensorflow_io_that_does_not_load_gets_a_sentence_with_the_versions_that_work(monkeypatch):
    module = types.ModuleType("tensorflow_io")
    module.__spec__ = importlib.util.spec_from_loader("tensorflow_io", None)
    monkeypatch.setitem(sys.modules, "tensorflow_io", module)
    with pytest.raises(
        DataError, match=r"does not load with TensorFlow 2.*These versions work: tensorflow 2\.16 or 2\.17"
    ):
        Manifest.read("s3://bucket/prepared")


def test_a_remote_folder_reads_as_a_local_one_does(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)  # TensorFlow knows file:// by itself
    (tmp_path / "a").write_bytes(b"12345")
    folder = Remote(f"file://{tmp_path}/")
    assert str(folder / "a") == f"file://{tmp_path}/a"
    assert (folder / "a").read_bytes() == b"12345"
    assert (folder / "a").stat().st_size == 5
    assert not (folder / "b").is_file()
    with pytest.raises(FileNotFoundError):
        (folder / "b").read_bytes()
    with local(folder / "a") as copy:
        assert copy.read_bytes() == b"12345"
    assert not copy.exists()
    with pytest.raises(DataError, match=r"no manifest\.json"):
        Manifest.read(folder)


def test_files_beside_a_recording_are_those_of_its_name_alone():
    files = fsspec.filesystem("memory")
    names = ["S1.edf", "S1.txt", "S1_stages.csv", "S10.edf", "S1b.edf", "T1.edf"]
    for name in names:
        files.pipe(f"/beside/{name}", b"1")
    assert set(Remote("memory://beside/S1.edf")._files.beside("memory://beside/S1.edf")) == set(names[:3])
