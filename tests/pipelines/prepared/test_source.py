import gc
import itertools
import os
import pickle
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from physiokeras.errors import DataError
from physiokeras.pipelines import Manifest, source, stream, windows
from physiokeras.pipelines.prepared import folder_windows
from physiokeras.pipelines.prepared.folder_windows import FolderWindows
from physiokeras.pipelines.prepared.window_order import PassOrder
from physiokeras.recent import Recent
from physiokeras.seeds import derive
from tests.pipelines.prepared.test_stream import arrays, prepare

COUNTS = {"t1": 7, "t2": 300, "t3": 40, "x1": 6}
EVERYTHING = {"labels": ("stage", "age", "record", "window"), "modalities": ["eeg", "spo2", "ecg"]}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("toy") / "out", COUNTS)


def same(found, expected):
    """Whether two batches are equal bit for bit, in structure, types and values."""
    assert [list(part) for part in found] == [list(part) for part in expected]
    for part, other in zip(found, expected, strict=True):
        for name, values in part.items():
            assert values.dtype == other[name].dtype
            np.testing.assert_array_equal(values, other[name])
    return True


def tf_order(counts, seed, number):
    """The order of one pass, by `tf.data` and TensorFlow's generators, as the first version of the stream had it."""
    key = tf.constant([derive(seed, "stream", name) for name in ("high", "low")], tf.int32)

    def one_pass(number):
        tf.random.set_seed(1)
        keys = tf.random.split(tf.random.fold_in(key, number), 2)
        order = tf.argsort(tf.random.stateless_uniform([len(counts)], keys[0], dtype=tf.float64), stable=True)
        draw = tf.random.stateless_uniform([], keys[1], None, None, tf.int64)
        files = tf.data.Dataset.from_tensor_slices((order, tf.gather(tf.constant(counts, tf.int64), order)))
        taken = files.interleave(
            lambda file, count: tf.data.Dataset.range(count).map(lambda place: (file, place)),
            cycle_length=min(len(counts), 32),
            block_length=1,
        )
        return taken.shuffle(2048, seed=draw, reshuffle_each_iteration=False)

    passes = tf.data.Dataset.from_tensors(tf.constant(number, tf.int64)).flat_map(one_pass)
    return [(int(file), int(place)) for file, place in passes.as_numpy_iterator()]


@pytest.mark.parametrize(
    ("counts", "seed", "number"),
    [([5], 0, 0), ([7, 12, 4], 1, 3), (list(range(1, 71)), 5, 2**33 + 1), ([300, 2, 1] * 12, 2**40, 4)],
)
def test_the_order_is_that_of_tf_data(counts, seed, number):
    order, total = PassOrder(counts, seed, number), sum(counts)
    parts = [order.part(begin, min(begin + 1000, total)) for begin in range(0, total, 1000)]
    found = [pair for shards, places in parts for pair in zip(shards.tolist(), places.tolist(), strict=True)]
    assert found == tf_order(counts, seed, number)


@pytest.mark.parametrize(
    "options",
    [{"seed": 3}, {"seed": 3, "start_step": 73}, {"seed": None, "start_step": 2}, {"seed": 3, "host": (1, 2)}],
)
def test_stream_and_source_give_equal_batches_at_any_step(toy, options):
    options = {"batch_size": 8, **EVERYTHING, **options}
    batches = stream(toy, "train", **options).take(12).as_numpy_iterator()
    by_number = source(toy, "train", **options)
    assert sum(same(by_number[number], batch) for number, batch in enumerate(batches)) == 12


@pytest.mark.parametrize("options", [{"seed": 3, "start_step": 40}, {"seed": None, "drop_remainder": True}])
def test_a_url_gives_the_batches_of_the_folder(toy, options):
    options = {"batch_size": 8, **EVERYTHING, **options}
    remote = stream(f"file://{toy}", "train", **options).take(12).as_numpy_iterator()
    local = source(toy, "train", **options)
    assert sum(same(local[number], batch) for number, batch in enumerate(remote)) == 12


def test_windows_of_a_long_record_come_back_bit_for_bit(toy):
    found = windows(toy, records=["t2"], **EVERYTHING)
    stored, present, labels = arrays("t2", 300)
    for name, values in {**stored, "present": present, **labels, "window": np.arange(300)}.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_later_start_reads_nothing_of_what_it_leaves_out(tmp_path):
    folder = prepare(tmp_path / "out", {"t1": 8, "t2": 8})
    (folder / "records" / "t1.tfrecord").unlink()
    batches = source(folder, "train", batch_size=4, labels=["window"], start_step=2, verify=False)
    assert [labels["window"].tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(DataError, match=r"t1\.tfrecord: the shard cannot be read"):
        source(folder, "train", batch_size=4, verify=False)[0]


def test_a_shard_of_another_record_or_other_modalities_is_refused(tmp_path):
    folder = prepare(tmp_path / "out", {"t1": 8, "t2": 8})
    records = folder / "records"
    (records / "t1.tfrecord").write_bytes((records / "t2.tfrecord").read_bytes())
    with pytest.raises(DataError, match=r"t1\.tfrecord: the shard does not hold .*another record"):
        source(folder, "train", batch_size=4, verify=False)[0]


def test_copies_read_the_same_in_any_order(toy):
    batches = source(toy, "train", batch_size=8, seed=5, **EVERYTHING)
    copy = pickle.loads(pickle.dumps(batches))
    for number in (90, 0, 44, 43):
        assert same(copy[number], batches[number])
    with pytest.raises(IndexError, match="has 44 batches"):
        source(toy, "train", batch_size=8)[44]


def test_grain_reads_a_source(toy):
    grain = pytest.importorskip("grain")
    batches = source(toy, "train", batch_size=8, seed=5, **EVERYTHING)
    found = itertools.islice(grain.MapDataset.source(batches).to_iter_dataset(), 50)
    assert sum(same(batch, batches[number]) for number, batch in enumerate(found)) == 50


def test_without_tensorflow_a_stream_gives_the_same_batches(toy, monkeypatch):
    options = {"batch_size": 8, **EVERYTHING}
    with_it = {
        seed: list(stream(toy, "train", seed=seed, **options).take(50).as_numpy_iterator()) for seed in (None, 2)
    }
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for seed, expected in with_it.items():
        batches = stream(toy, "train", seed=seed, **options)
        assert isinstance(batches, keras.utils.PyDataset)
        assert batches.num_batches == (44 if seed is None else None)
        found = list(batches.take(50))
        assert sum(map(same, found, expected)) == len(found) == len(expected)
        assert same(batches[7], expected[7])


def descriptors(folder):
    """Number of open files of this process in a folder."""
    links = (os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
    return sum(link.startswith(str(folder)) for link in links)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
def test_streams_that_are_read_keep_no_files_open_and_no_memory(toy):
    for seed in range(3):
        list(stream(toy, batch_size=64, seed=seed).take(8).as_numpy_iterator())
        list(stream(toy, batch_size=64, labels=("stage",)).as_numpy_iterator())
    gc.collect()
    assert descriptors(toy) <= len(COUNTS)
    ours = [one for one in gc.get_objects() if isinstance(one, FolderWindows) and one._chosen.manifest.folder == toy]
    assert not ours


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
def test_more_shards_than_may_be_open_are_read_in_turn(tmp_path, monkeypatch):
    folder = prepare(tmp_path / "out", COUNTS)
    batches = source(folder, batch_size=16, seed=3, **EVERYTHING)
    with monkeypatch.context() as few:
        few.setattr(folder_windows, "_open_shards", Recent(2))
        found = [batches[step] for step in range(20)]
        assert descriptors(folder) <= 2
    assert all(same(batches[step], batch) for step, batch in enumerate(found))


def test_a_shard_that_is_converted_again_is_read_anew(tmp_path):
    folder, other = prepare(tmp_path / "out", {"t1": 7}), prepare(tmp_path / "other", {"t1": 7, "t2": 3})
    before = source(folder, batch_size=7, **EVERYTHING)[0]
    shard = Manifest.read(folder).shard("t1")
    os.replace(shutil.copy(Manifest.read(other).shard("t2"), shard.with_suffix(".new")), shard)
    with pytest.raises(DataError, match="3 windows, the manifest says 7"):
        source(folder, batch_size=7, **EVERYTHING, verify=False)[0]
    assert len(before[0]["eeg"]) == 7
