import gzip
import itertools
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from physiokeras import pipelines
from physiokeras.errors import DataError
from physiokeras.pipelines import damage_named, steps_per_pass, stream, verify, windows
from physiokeras.pipelines.converting.conversion import examples
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.prepared.combining import combine
from physiokeras.pipelines.prepared.selection import share
from physiokeras.pipelines.prepared.shards import write_shard

SPLITS = {"p": "pretrain", "t": "train", "v": "validation", "x": "test"}
DEFINITION = Definition.from_dict(
    {
        "name": "toy",
        "window": 2.0,
        "people": "people.csv",
        "modalities": {
            "eeg": {"rate": 4, "channels": ["A", "B", "C"]},
            "spo2": {"rate": 1, "channels": ["S"], "default": False},
            "ecg": {"rate": 8, "channels": ["D"]},
        },
        "labels": {
            "stage": {"kind": "stages", "annotator": "x", "classes": ["W", "S"]},
            "age": {"kind": "age"},
        },
    }
)


def arrays(name, count):
    """What a record's windows hold: every sample tells record and window."""
    seed = [ord(letter) for letter in name]
    random = np.random.default_rng(seed)
    stored = {
        key: random.integers(-32767, 32768, (count, DEFINITION.samples(key), len(modality.channels)), np.int16)
        for key, modality in DEFINITION.modalities.items()
    }
    present = random.random((count, 5)) < 0.8
    return stored, present, {"stage": np.arange(count, dtype=np.int32) % 3 - 1, "age": np.full(count, 50.5, np.float32)}


def prepare(folder, counts):
    """A prepared folder with `counts` windows per record name; a name's first letter is its split."""
    (folder / "records").mkdir(parents=True)
    sidecars = []
    for name, count in sorted(counts.items()):
        shard = write_shard(folder / "records" / f"{name}.tfrecord", examples(name, *arrays(name, count)))
        sidecar = {"record": name, "seconds": 0, "sex": "F", "age": 50.5, "channels": [], "notes": []}
        sidecar |= {"present": {}, "labels": {}}
        sidecars.append({**sidecar, **shard, "sums": {key: [1, 0, 1] for key in DEFINITION.modalities}})
    people, splits = {name: name for name in counts}, {name: SPLITS[name[0]] for name in counts}
    combine(folder, DEFINITION, sidecars, people, splits, {}).write()
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("toy") / "out", {"p1": 5, "t1": 7, "t2": 12, "t3": 4, "v1": 3, "x1": 6})


@pytest.fixture
def broken(tmp_path):
    return prepare(tmp_path / "out", {"t1": 7, "t2": 12})


def places(dataset, steps=None):
    """(record, window) of each element, batch by batch."""
    batches = dataset if steps is None else dataset.take(steps)
    return [list(zip(b["record"].tolist(), b["window"].tolist(), strict=True)) for _, b in batches.as_numpy_iterator()]


def shuffled(folder, split="train", batch_size=4, seed=1, **options):
    return stream(folder, split, batch_size=batch_size, labels=("record", "window"), seed=seed, **options)


def test_a_batch_has_the_shapes_and_types_of_the_data_contract(toy):
    inputs, labels = stream(
        toy, "train", batch_size=4, labels=("stage", "age", "record", "window"), seed=0
    ).element_spec
    assert {name: (tuple(spec.shape), spec.dtype) for name, spec in inputs.items()} == {
        "eeg": ((4, 8, 3), tf.int16),
        "ecg": ((4, 16, 1), tf.int16),
        "present": ((4, 4), tf.bool),
    }
    assert list(inputs) == ["eeg", "ecg", "present"]
    types = {"stage": tf.int32, "age": tf.float32, "record": tf.int32, "window": tf.int32}
    assert {name: (tuple(spec.shape), spec.dtype) for name, spec in labels.items()} == {
        name: ((4,), kind) for name, kind in types.items()
    }
    assert len(stream(toy, "train", batch_size=4, seed=0).element_spec) == 1


def test_in_order_every_window_comes_back_bit_for_bit(toy):
    found = windows(toy, "train", labels=("stage", "age", "record", "window"), modalities=["ecg", "spo2", "eeg"])
    parts = [arrays(name, count) for name, count in (("t1", 7), ("t2", 12), ("t3", 4))]
    for key in ("eeg", "spo2", "ecg"):
        np.testing.assert_array_equal(found[key], np.concatenate([stored[key] for stored, _, _ in parts]))
    np.testing.assert_array_equal(found["present"], np.concatenate([present for _, present, _ in parts]))
    np.testing.assert_array_equal(found["stage"], np.concatenate([labels["stage"] for _, _, labels in parts]))
    assert found["record"].tolist() == [1] * 7 + [2] * 12 + [3] * 4
    assert found["window"].tolist() == [*range(7), *range(12), *range(4)]
    assert set(found["age"]) == {np.float32(50.5)}


def test_the_last_partial_batch_is_kept_in_order_unless_dropped(toy):
    sizes = [len(batch) for batch in places(shuffled(toy, seed=None))]
    assert sizes == [4, 4, 4, 4, 4, 3]
    assert len(places(shuffled(toy, seed=None, drop_remainder=True))) == 5
    assert len(places(shuffled(toy, seed=None, start_step=4))) == 2
    assert int(shuffled(toy, seed=None).cardinality()) == 6


def test_modalities_choose_their_columns_of_present(toy):
    everything = windows(toy, "test", modalities=["eeg", "spo2", "ecg"])["present"]
    np.testing.assert_array_equal(windows(toy, "test")["present"], everything[:, [0, 1, 2, 4]])
    np.testing.assert_array_equal(windows(toy, "test", modalities=["ecg"])["present"], everything[:, [4]])
    assert list(windows(toy, "test", modalities=["ecg"])) == ["ecg", "present"]


def test_splits_and_records_select(toy):
    chosen = windows(toy, ["validation", "train"], labels=("record",))["record"]
    assert sorted(set(chosen.tolist())) == [1, 2, 3, 4]
    assert set(windows(toy, records=["x1", "p1"], labels=("record",))["record"].tolist()) == {0, 5}
    assert windows(toy, "train", limit=9)["eeg"].shape == (9, 8, 3)


def test_a_pass_holds_no_window_twice_and_leaves_out_less_than_a_batch(toy):
    steps = steps_per_pass(toy, "train", 4)
    assert steps == 5
    for number in range(3):
        batches = places(shuffled(toy, start_step=number * steps), steps)
        seen = list(itertools.chain(*batches))
        assert len(set(seen)) == len(seen) == 20


def test_the_order_is_a_pure_function_of_seed_and_pass(toy):
    tf.random.set_seed(3)
    first = places(shuffled(toy), 10)
    tf.random.set_seed(4)
    assert places(shuffled(toy), 10) == first
    assert places(shuffled(toy, seed=2), 10) != first
    assert first[:5] != first[5:]


def test_a_stream_continues_exactly_at_any_step(toy):
    whole = places(shuffled(toy), 18)
    for step in (1, 5, 13):
        assert places(shuffled(toy, start_step=step), 18 - step) == whole[step:]


def test_the_shuffled_stream_is_endless(toy):
    assert int(shuffled(toy).cardinality()) == tf.data.INFINITE_CARDINALITY
    assert len(places(shuffled(toy), 23)) == 23


@pytest.mark.parametrize("seed", [None, 7])
def test_hosts_share_all_windows_and_do_equally_many_steps(toy, seed):
    hosts, shares = 3, []
    for number in range(hosts):
        dataset = shuffled(toy, batch_size=1, seed=seed, host=(number, hosts))
        count = steps_per_pass(toy, "train", 1, host=(number, hosts)) if seed else None
        shares.append([place for batch in places(dataset, count) for place in batch])
    together = list(itertools.chain(*shares))
    assert len(set(together)) == len(together)
    if seed is None:
        assert len(together) == 23
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    else:
        assert {len(part) for part in shares} == {23 // hosts}


@pytest.mark.parametrize("counts", [[7, 12, 4], [1], [0, 5, 0], [100, 1, 1]])
@pytest.mark.parametrize("hosts", [1, 2, 7])
def test_shares_cover_the_row_of_windows_without_meeting(counts, hosts):
    row = [(record, window) for record, count in enumerate(counts) for window in range(count)]
    cut = [
        [(record, window) for record, (first, count) in enumerate(share(counts, number, hosts))
         for window in range(first, first + count)]
        for number in range(hosts)
    ]  # fmt: skip
    assert list(itertools.chain(*cut)) == row
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


def test_batches_mix_people_and_time(tmp_path):
    folder = prepare(tmp_path / "out", {f"t{number:02d}": 150 for number in range(40)})
    batches = places(shuffled(folder, batch_size=64), steps_per_pass(folder, "train", 64))
    people = [len({record for record, _ in batch}) for batch in batches]
    spread = [np.std([window for _, window in batch]) for batch in batches]
    # 64 independent draws from 40 people meet 32 of them on average, and the night's standard deviation is 43.3.
    assert np.mean(people) > 26
    assert min(spread) > 30
    follow = [a[0] == b[0] and abs(a[1] - b[1]) == 1 for batch in batches for a, b in itertools.pairwise(batch)]
    assert np.mean(follow) < 0.005


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "trian"}, r"no record has the split trian.*splits: pretrain \(5 windows\), train"),
        ({"split": []}, "none given"),
        ({"records": ["t1", "t9"]}, "no record has the name t9"),
        ({"split": "train", "modalities": ["eeg", "emg"]}, "There is no modality emg. Known: eeg, spo2, ecg"),
        ({"split": "train", "modalities": []}, "none given"),
        ({"split": "train", "labels": ("sleep",)}, "There is no label sleep. Known: stage, age, record, window"),
        ({"split": "validation", "seed": 0}, "3 windows for 1 host.* are fewer than one batch of 4"),
    ],
)
def test_what_selects_nothing_is_an_error(toy, options, message):
    with pytest.raises(DataError, match=message):
        stream(toy, batch_size=4, **options)


@pytest.mark.parametrize(
    "options",
    [{"host": (2, 2)}, {"batch_size": 0}, {"start_step": -1}, {"records": ["t1"]}, {"labels": "stage"}],
)
def test_impossible_arguments_are_errors(toy, options):
    with pytest.raises(ValueError, match="Received"):
        stream(toy, "train", **{"batch_size": 4, "seed": 0, **options})


@pytest.mark.parametrize("damage", ["missing", "empty", "cut between records", "cut inside a record"])
def test_a_missing_or_cut_shard_is_refused_before_the_first_batch(broken, damage):
    path = broken / "records" / "t2.tfrecord"
    data = path.read_bytes()
    size = len(data) // 12
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            data[: {"empty": 0, "cut between records": 5 * size, "cut inside a record": 5 * size + 4}[damage]]
        )
    for action in (lambda: stream(broken, "train", batch_size=2), lambda: verify(broken)):
        with pytest.raises(DataError, match=r"t2\.tfrecord: the shard"):
            action()


def test_a_flipped_byte_names_shard_and_byte(broken):
    path = broken / "records" / "t2.tfrecord"
    data = bytearray(path.read_bytes())
    size = len(data) // 12
    data[3 * size + 40] ^= 1
    path.write_bytes(data)
    expected = rf"t2\.tfrecord: byte {3 * size}: a record is damaged"
    with pytest.raises(DataError, match=expected):
        verify(broken)
    with pytest.raises(DataError, match=expected):
        windows(broken, "train")
    with pytest.raises(DataError, match=expected), damage_named(broken, "train"):
        places(shuffled(broken, batch_size=2), 20)


def test_a_shard_cut_behind_the_streams_back_ends_it_with_an_error(broken):
    path = broken / "records" / "t2.tfrecord"
    data = path.read_bytes()
    path.write_bytes(data[: 5 * len(data) // 12])
    for seed in (None, 1):
        with pytest.raises(DataError, match="t2"), damage_named(broken):
            places(shuffled(broken, batch_size=2, seed=seed, verify=False), 9)


def test_a_forged_length_ends_the_stream_with_an_error_and_not_the_process(broken):
    script = textwrap.dedent("""
        import struct, sys
        import google_crc32c
        from physiokeras.errors import DataError
        from physiokeras.pipelines import damage_named, stream
        path = f"{sys.argv[1]}/records/t2.tfrecord"
        data = bytearray(open(path, "rb").read())
        data[:8] = struct.pack("<Q", 1 << 60)
        crc = google_crc32c.value(bytes(data[:8]))
        data[8:12] = struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
        open(path, "wb").write(data)
        for seed in (None, 1):
            try:
                with damage_named(sys.argv[1]):
                    list(stream(sys.argv[1], "train", batch_size=2, seed=seed).take(9))
                sys.exit("no error")
            except DataError as error:
                assert "t2.tfrecord: byte 0" in str(error), error
    """)
    subprocess.run([sys.executable, "-c", script, str(broken)], check=True, timeout=100)


def test_a_compressed_shard_is_refused_before_the_first_batch(broken):
    path = broken / "records" / "t2.tfrecord"
    path.write_bytes(gzip.compress(path.read_bytes()))
    for action in (lambda: stream(broken, "train", batch_size=2), lambda: verify(broken)):
        with pytest.raises(DataError, match=r"t2\.tfrecord: the shard has \d+ bytes, the manifest says"):
            action()


def test_a_replaced_shard_of_equal_length_is_noticed_by_its_hash(broken):
    path = broken / "records" / "t2.tfrecord"
    stored, present, labels = arrays("t2", 12)
    write_shard(path, examples("t2", stored, ~present, labels))
    with pytest.raises(DataError, match="SHA-256"):
        verify(broken)


def test_verify_counts_what_it_read(toy):
    assert verify(toy) == 37
    assert verify(toy, "train") == 23


def test_importing_the_package_or_converting_imports_no_tensorflow():
    script = (
        "import sys, physiokeras.pipelines.converting.driver, physiokeras.recipes.prepare;"
        "assert not {'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_exported_name_is_there():
    assert all(getattr(pipelines, name) for name in pipelines.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pipelines.nothing
