"""Writes and checks TFRecord shards of `tf.train.Example` without TensorFlow.

Importing TensorFlow takes 790 MB and 11 s; a converting worker without it needs 110 MB and 1.3 s. The formats are small
and stable: TFRecord frames each record with its length and two CRC-32C, an Example is a nested protocol buffer.

Source: tensorflow/core/lib/io/record_writer.h, tensorflow/core/example/example.proto and feature.proto.
"""

import hashlib
import os
import struct

import google_crc32c

from physiokeras.errors import DataError
from physiokeras.files import write_atomic


def write_shard(path, examples):
    """Write one shard atomically.

    Args:
        path: The file.
        examples: Iterable of encoded examples, bytes each.

    Returns: dict with `bytes`, `sha256` and `windows` (number of examples).
    """
    digest, size, count = hashlib.sha256(), 0, 0

    def write(file):
        nonlocal size, count
        for example in examples:
            for part in frame(example):
                file.write(part)
                digest.update(part)
                size += len(part)
            count += 1

    write_atomic(path, write)
    return {"bytes": size, "sha256": digest.hexdigest(), "windows": count}


def frame(payload):
    """Parts of a TFRecord record: length with its CRC, payload, CRC of the payload."""
    length = struct.pack("<Q", len(payload))
    return length + struct.pack("<I", _masked(length)), payload, struct.pack("<I", _masked(payload))


def _masked(payload):
    return crc_mask(google_crc32c.value(payload))


def crc_mask(crc):
    """A CRC-32C as TFRecord stores it."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def encode_example(features):
    """Serialize a `tf.train.Example`; the same features in the same order give the same bytes.

    Args:
        features: dict of name to bytes, int (an int64 list of one) or float (a float list of one).
    """
    return _field(
        1,
        b"".join(_field(1, _field(1, name.encode()) + _field(2, _feature(value))) for name, value in features.items()),
    )


def _feature(value):
    if isinstance(value, bytes):
        return _field(1, _field(1, value))
    if isinstance(value, float):
        return _field(2, _field(1, struct.pack("<f", value)))
    return _field(3, _field(1, _varint(value & 0xFFFFFFFFFFFFFFFF)))


def _field(number, payload):
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(number):
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def parse_example(data):
    """Where the features of a serialized `tf.train.Example` are; each holds one value.

    Args:
        data: Bytes.

    Returns: dict of name to `(kind, begin, size)`: "bytes", "float" or "int" (a varint), and the bytes of the value.

    Raises:
        ValueError: It is not an example as `encode_example` makes it.
    """
    features, (place, end) = {}, _open(data, 0, len(data), 1)
    while place < end:
        begin, place = _open(data, place, end, 1)
        name = slice(*_open(data, begin, place, 1))
        begin, _ = _open(data, name.stop, place, 2)
        number = data[begin] >> 3
        begin, _ = _open(data, begin, place, number)
        begin, stop = _open(data, begin, place, 1)
        features[data[name].decode()] = _KINDS[number], begin, stop - begin
    return features


_KINDS = {1: "bytes", 2: "float", 3: "int"}


def _open(data, place, end, number):
    """Begin and end of the content of field `number`, which must begin at `place` and not reach beyond `end`."""
    if place >= end or data[place] != number << 3 | 2:
        raise ValueError(f"no field {number} at byte {place}")
    length = shift = 0
    more = True
    while more:
        place += 1
        length |= (data[place] & 0x7F) << shift
        more, shift = data[place] > 0x7F, shift + 7
    if place + 1 + length > end:
        raise ValueError(f"a field at byte {place} reaches beyond its example")
    return place + 1, place + 1 + length


def check_lengths(path):
    """Check that the lengths of a shard's records add up to the file's size, without reading the content.

    TensorFlow allocates the length that a record claims: a forged length of 2^60 ends the process.

    Raises:
        DataError: The lengths do not add up; the message names the shard and the byte.
    """
    with open(path, "rb") as file:
        record_extents(path, os.path.getsize(path), lambda offset: os.pread(file.fileno(), 8, offset))


def record_extents(path, size, header):
    """Where the records of a shard are: lists of the bytes at which their payloads begin, and of their lengths.

    Args:
        path: The file, for messages.
        size: Its size in bytes.
        header: Function of a record's byte to its first 8 bytes or more.

    Raises:
        DataError: As for `check_lengths`.
    """
    begins, lengths, offset = [], [], 0
    while offset + 16 <= size:
        length = int.from_bytes(header(offset)[:8], "little")
        if offset + 16 + length > size:
            break
        begins.append(offset + 12)
        lengths.append(length)
        offset += 16 + length
    if offset != size:
        message = f"a record does not end within the shard's {size} bytes; convert its record again."
        raise DataError(message, file=path, place=f"byte {offset}")
    return begins, lengths


def read_shard(path):
    """Yield the payload of each record after checking both of its CRCs.

    Raises:
        DataError: The file is damaged or truncated; the message names the shard and the byte.
    """
    size, offset = os.path.getsize(path), 0
    with open(path, "rb") as file:
        while offset < size:
            header = file.read(12)
            if len(header) < 12:
                raise DataError(
                    "the shard ends inside a record's header; convert its record again.",
                    file=path,
                    place=f"byte {offset}",
                )
            length, crc = struct.unpack("<QI", header)
            if crc != _masked(header[:8]):
                raise DataError(
                    "a record's length is damaged (CRC differs); convert its record again.",
                    file=path,
                    place=f"byte {offset}",
                )
            if offset + 16 + length > size:
                raise DataError(
                    f"a record of {length} bytes reaches beyond the shard's {size} bytes; convert its record again.",
                    file=path,
                    place=f"byte {offset}",
                )
            payload, crc = file.read(length), struct.unpack("<I", file.read(4))[0]
            if crc != _masked(payload):
                raise DataError(
                    "a record is damaged (CRC differs); convert its record again.", file=path, place=f"byte {offset}"
                )
            yield payload
            offset += 16 + length
