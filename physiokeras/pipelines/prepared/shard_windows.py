"""A shard as a table of windows at known bytes: one system call reads any window, without TensorFlow."""

import os

import google_crc32c
import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.prepared.shards import crc_mask, parse_example, read_shard, record_extents

SAMPLES = "signals/"
"""Features of a window that begin so are samples."""

ENDS = 2048
"""Bytes of a window before its samples, and after them, at most: enough for 40 labels."""


class ShardWindows:
    """An open shard. Everything about its windows except their samples is in memory, about 60 bytes a window.

    Args:
        path: The file.
        record: Name of the record, which each window must carry.
        windows: Number of windows that the manifest counts.
        sizes: Modality -> bytes of its samples in a window.

    Attributes:
        table: Structured array `(windows,)` in stored order: the features that are not samples, such as "window",
            "present" and "labels/stage".

    Raises:
        DataError: The file does not hold these windows; where it is damaged, the message gives the byte.
    """

    def __init__(self, path, record, windows, sizes):
        self.path, self.table, self._layouts = path, None, [None] * windows
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"the shard cannot be read ({error.strerror}).", file=path) from error
        heads, tails = self._read_ends()
        if len(heads) != windows:
            self._refuse(f"has {len(heads)} windows, the manifest says {windows}")
        try:
            self._read_table(heads, tails, record.encode(), sizes)
        except (ValueError, IndexError, KeyError) as error:
            self._refuse(f"does not hold windows of this record ({error})")
        self._rows, self._width = self.table.tobytes(), self.table.itemsize

    def __del__(self):
        if hasattr(self, "_file"):
            os.close(self._file)

    def read(self, place, rows, templates):
        """Read the samples of a window and check its CRC.

        Args:
            place: Position of the window in the shard.
            rows: An array for each of the modalities that the templates were made for; it takes the samples.
            templates: `Templates`, which no other thread uses.

        Returns: the window's row of `table`, as bytes.

        Raises:
            DataError: The window is damaged; the message gives the byte.
        """
        parts, positions = templates[self._layouts[place]]
        for position, row in zip(positions, rows, strict=True):
            parts[position] = row
        if os.preadv(self._file, parts, self._begins[place]) == self._lengths[place] + 4:
            crc = google_crc32c.value(parts[0])
            for part in parts[1:-1]:
                crc = google_crc32c.extend(crc, part)
            if crc_mask(crc) == int.from_bytes(parts[-1], "little"):
                return self._rows[place * self._width : (place + 1) * self._width]
        return self._refuse(f"changes while it is read, at window {self.table['window'][place]}")

    def _read_ends(self):
        """The first and the last `ENDS` bytes of each window, uint8 `(windows, ENDS)` both: all but its samples.

        The end of a window and the beginning of the next are neighbours, so that a window takes one call.
        """
        size, width, around = os.fstat(self._file).st_size, ENDS + 16 + ENDS, []

        def header(offset):
            missing = max(0, ENDS + 4 - offset)
            found = os.pread(self._file, width - missing, offset + missing - ENDS - 4)
            around.append(found.rjust(len(found) + missing, b"\0").ljust(width, b"\0"))
            return around[-1][ENDS + 4 :]

        self._begins, self._lengths = record_extents(self.path, size, header)
        header(size)
        table = np.frombuffer(b"".join(around), np.uint8).reshape(-1, width)
        return table[:-1, ENDS + 16 :], table[1:, :ENDS]

    def _read_table(self, heads, tails, record, sizes):
        """Fill `table` and the layouts; windows whose features have equal lengths are decoded together."""
        lengths, left = np.array(self._lengths), np.arange(len(heads))
        while len(left):
            length = self._lengths[left[0]]
            features = parse_example(os.pread(self._file, length, self._begins[left[0]]))
            head, tail, layout = _layout(features, length, sizes)
            alike = left[lengths[left] == length]
            block = np.concatenate([heads[alike, :head], tails[alike, ENDS - tail :]], axis=1)
            values, frame = {}, np.ones(head + tail, bool)
            for name, (kind, begin, size) in features.items():
                if not name.startswith(SAMPLES):
                    begin -= 0 if begin < head else length - head - tail
                    values[name] = kind, slice(begin, begin + size)
                    frame[begin : begin + size] = False
            same = (block[:, frame] == block[0, frame]).all(axis=1)
            alike, block = alike[same], block[same]
            decoded = {name: _decode(kind, block[:, columns]) for name, (kind, columns) in values.items()}
            if (decoded.pop("record") != np.frombuffer(record, np.uint8)).any():
                raise ValueError("it is another record")
            if self.table is None:
                kinds = [(name, found.dtype, found.shape[1:]) for name, found in decoded.items()]
                self.table = np.zeros(len(heads), kinds)
            for name, found in decoded.items():
                self.table[name][alike] = found
            for place in alike.tolist():
                self._layouts[place] = layout
            left = np.setdiff1d(left, alike, assume_unique=True)

    def _refuse(self, problem):
        for _ in read_shard(self.path):
            pass  # raises where a CRC differs, with the byte
        raise DataError(f"the shard {problem}; convert its record again.", file=self.path)


class Templates(dict):
    """Layout -> `(parts, positions)`: buffers for a window's bytes in order, and which of them take samples.

    Args:
        modalities: Names of the modalities whose samples are wanted, in the order in which `read` gets arrays.
    """

    def __init__(self, modalities):
        super().__init__()
        self._modalities = modalities

    def __missing__(self, layout):
        parts, positions, skipped = [], {}, 0
        for modality, size in layout:
            if modality not in self._modalities:
                skipped += size
                continue
            parts.append(np.empty(skipped, np.uint8))
            positions[modality], skipped = len(parts), 0
            parts.append(None)
        parts += [np.empty(skipped, np.uint8), np.empty(4, np.uint8)]  # the last takes the stored CRC
        self[layout] = parts, [positions[name] for name in self._modalities]
        return self[layout]


def _layout(features, length, sizes):
    """How a window with these features is read.

    Returns: number of its bytes before its samples; number after them; and `(modality, size)` of its parts in order,
        None for what lies between samples.

    Raises:
        ValueError: The samples are not those of the manifest, or other features are too large.
    """
    parts, end = [], 0
    samples = {name.removeprefix(SAMPLES): place for name, place in features.items() if name.startswith(SAMPLES)}
    if {name: size for name, (_, _, size) in samples.items()} != sizes:
        raise ValueError("its modalities are not those of the manifest")
    for name, (_, begin, size) in samples.items():
        parts += [(None, begin - end), (name, size)]
        end = begin + size
    parts.append((None, length - end))
    head, tail = parts[0][1], parts[-1][1]
    between = sum(head <= begin < end for _, begin, _ in features.values()) > len(samples)
    if max(head, tail) > ENDS or between:
        raise ValueError("its features are not in the order in which windows are written")
    return head, tail, tuple(parts)


def _decode(kind, block):
    """Values of one feature from its bytes `(windows, size)`: bytes as they are, int32 or float32."""
    if kind == "bytes":
        return block
    if kind == "float":
        return np.ascontiguousarray(block).view("<f4")[:, 0]
    digits = (block & 0x7F).astype(np.uint64)
    shifts = np.arange(digits.shape[1], dtype=np.uint64) * np.uint64(7)
    return (digits << shifts).sum(axis=1, dtype=np.uint64).view(np.int64).astype(np.int32)
