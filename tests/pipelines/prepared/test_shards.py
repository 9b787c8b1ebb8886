import hashlib
import struct

import numpy as np
import pytest
import tensorflow as tf

from physiokeras.errors import DataError
from physiokeras.pipelines.prepared.shards import check_lengths, encode_example, read_shard, write_shard

FEATURES = {
    "signals/eeg": np.arange(-3, 3, dtype="<i2").tobytes(),
    "empty": b"",
    "long": bytes(300),
    "labels/stage": -1,
    "large": 2**62,
    "labels/age": 54.5,
    "ünï": 7,
}


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_shard(path, [encode_example({"window": number, "payload": bytes([number]) * 50}) for number in range(5)])
    return path


def test_tensorflow_parses_what_we_encode():
    example = tf.train.Example.FromString(encode_example(FEATURES))
    found = example.features.feature
    assert set(found) == set(FEATURES)
    assert list(found["signals/eeg"].bytes_list.value) == [FEATURES["signals/eeg"]]
    assert list(found["empty"].bytes_list.value) == [b""]
    assert list(found["labels/stage"].int64_list.value) == [-1]
    assert list(found["large"].int64_list.value) == [2**62]
    assert list(found["labels/age"].float_list.value) == [54.5]
    assert list(found["ünï"].int64_list.value) == [7]


def test_tensorflow_reads_what_we_write(shard):
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    assert records == list(read_shard(shard))
    windows = [
        tf.io.parse_single_example(r, {"window": tf.io.FixedLenFeature([], tf.int64)})["window"] for r in records
    ]
    assert [int(window) for window in windows] == [0, 1, 2, 3, 4]


def test_we_read_what_tensorflow_writes(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "t")) as writer:
        writer.write(b"one")
        writer.write(bytes(1000))
    assert list(read_shard(tmp_path / "t")) == [b"one", bytes(1000)]


def test_the_summary_describes_the_file(tmp_path):
    summary = write_shard(tmp_path / "a", iter([b"x", b"yy"]))
    data = (tmp_path / "a").read_bytes()
    assert summary == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "windows": 2}


def test_any_flipped_byte_is_noticed_and_located(shard):
    good = shard.read_bytes()
    size = len(good) // 5
    for place in range(0, len(good), 7):
        bad = bytearray(good)
        bad[place] ^= 0x10
        shard.write_bytes(bad)
        with pytest.raises(DataError, match=rf"a\.tfrecord: byte {place // size * size}: "):
            list(read_shard(shard))


def test_a_cut_inside_a_record_is_noticed_and_one_between_records_is_not(shard):
    good = shard.read_bytes()
    size = len(good) // 5
    for length in range(len(good)):
        shard.write_bytes(good[:length])
        if length % size:
            with pytest.raises(DataError, match=f"byte {length // size * size}"):
                list(read_shard(shard))
        else:
            assert len(list(read_shard(shard))) == length // size


def test_a_forged_length_allocates_nothing(tmp_path):
    import google_crc32c

    length = struct.pack("<Q", 1 << 60)
    crc = google_crc32c.value(length)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    (tmp_path / "forged").write_bytes(length + struct.pack("<I", masked) + bytes(100))
    with pytest.raises(DataError, match="reaches beyond the shard's 112 bytes"):
        list(read_shard(tmp_path / "forged"))
    with pytest.raises(DataError, match=r"forged: byte 0: .* the shard's 112 bytes"):
        check_lengths(tmp_path / "forged")


def test_lengths_add_up_in_a_whole_shard_alone(shard):
    good = shard.read_bytes()
    for length in range(len(good) + 1):
        shard.write_bytes(good[:length])
        if length % (len(good) // 5):
            with pytest.raises(DataError, match=f"byte {length // (len(good) // 5) * (len(good) // 5)}"):
                check_lengths(shard)
        else:
            check_lengths(shard)


def test_a_failure_in_the_middle_leaves_the_old_shard_and_nothing_temporary(shard):
    good = shard.read_bytes()

    def failing():
        yield b"x" * 100
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_shard(shard, failing())
    assert shard.read_bytes() == good
    assert [path.name for path in shard.parent.iterdir()] == ["a.tfrecord"]
