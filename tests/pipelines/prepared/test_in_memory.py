import keras
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines import WindowsInMemory, stream
from physiokeras.pipelines.prepared import in_memory
from physiokeras.recipes.pretrain import Settings
from tests.pipelines.prepared.test_stream import prepare
from tests.two_folders import SLEEP, WRIST
from tests.two_folders import prepare as prepare_one_of_two

LABELS = ("stage", "age", "record", "window")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("toy") / "out", {"t1": 7, "t2": 300, "t3": 40, "x1": 6})


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    place = tmp_path_factory.mktemp("two")
    sleep = prepare_one_of_two(place / "sleep", SLEEP, {"t1": 7, "t2": 5, "x3": 4})
    return [sleep, prepare_one_of_two(place / "wrist", WRIST, {"t1": 6, "v2": 3})]


@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize("data", ["toy", "toy, second of three hosts", "two"])
def test_batches_equal_those_of_the_stream_bit_for_bit_at_any_step(place, data, request):
    name, _, hosts = data.partition(", ")
    folder = request.getfixturevalue(name)
    options = {"labels": LABELS, "modalities": ["ecg", "eeg"], "host": (1, 3) if hosts else (0, 1)}
    kept = WindowsInMemory(folder, "train", place=place, **options)
    for start in (0, 47):  # a pass of the first has 43 steps
        expected = stream(folder, "train", batch_size=8, seed=3, start_step=start, **options).as_numpy_iterator()
        count = 0
        for batch, other in zip(kept.stream(8, 3, start).take(60), expected, strict=False):
            if place == "device":
                assert all(keras.ops.is_tensor(values) for values in batch[0].values())
            for found, wanted in zip(batch, other, strict=True):
                assert list(found) == list(wanted)
                for name, values in found.items():
                    values = keras.ops.convert_to_numpy(values)
                    assert values.dtype == wanted[name].dtype
                    np.testing.assert_array_equal(values, wanted[name])
            count += 1
        assert count == 60


@pytest.mark.parametrize(("place", "full"), [("host", "host"), ("device", "host"), ("device", "device")])
def test_windows_that_do_not_fit_are_refused_with_both_sizes(place, full, toy, monkeypatch):
    monkeypatch.setattr(in_memory, "free_bytes", lambda where: 8000 if where == full else None)
    size = f"{347 * (2 * (8 * 3 + 16) + 4) / 1e9:.3g}"
    with pytest.raises(
        DataError, match=rf"347 windows of eeg, ecg take {size} GB, and the {full}'s .* has 8e-06 GB free"
    ):
        WindowsInMemory(toy, "train", place=place)


def test_free_memory_of_the_host_is_known():
    assert 1e6 < in_memory.free_bytes("host") < 1e14


def test_damage_is_found_when_the_windows_are_read(tmp_path):
    folder = prepare(tmp_path / "out", {"t1": 7, "t2": 12})
    shard = folder / "records" / "t2.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-30] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"t2\.tfrecord: byte \d+: a record is damaged"):
        WindowsInMemory(folder, "train")


@pytest.mark.parametrize("options", [{"seed": None}, {"seed": 0, "start_step": -3}])
def test_impossible_arguments_of_a_stream_are_errors(toy, options):
    with pytest.raises(ValueError, match="must be an integer and `start_step` at least 0"):
        WindowsInMemory(toy).stream(4, **options)


def test_what_cannot_be_kept_on_a_device_is_refused(toy, monkeypatch):
    for values in ({"backend": "tensorflow"}, {"backend": "jax", "devices": 2}):
        with pytest.raises(ValueError, match="cache device needs backend jax or torch and a single device"):
            Settings(cache="device", **values)
    monkeypatch.setattr(in_memory, "keras_backend", lambda: "tensorflow")
    with pytest.raises(DataError, match="with the backends jax and torch"):
        WindowsInMemory(toy, place="device")
    assert Settings(cache="host", backend="jax", devices=2).cache == "host"
