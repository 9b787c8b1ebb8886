"""Windows of a selection's records at known places, as arrays: of one prepared folder, or of several together."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from physiokeras.channel_layout import ChannelLayout
from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.parts import NUMBER_KINDS
from physiokeras.pipelines.prepared.joined import JoinedManifest
from physiokeras.pipelines.prepared.selection import POSITIONS
from physiokeras.pipelines.prepared.shard_windows import ShardWindows, Templates
from physiokeras.recent import Recent

OPEN_FILES = 128
"""Most shards that a process has open, which all its readers share.

A shuffled pass reads 32 in turn, and now and then a window of an earlier one.
"""

_ALIGNMENT = 64
"""Bytes at whose multiples arrays begin, so that TensorFlow and JAX take them without a copy."""


def reader(chosen):
    """`FolderWindows` of a `Selection`, or `JoinedWindows` where it is of several folders."""
    return (JoinedWindows if isinstance(chosen.manifest, JoinedManifest) else FolderWindows)(chosen)


_open_shards = Recent(OPEN_FILES)


def _forget():
    """Start empty in a forked process: a thread of the parent may hold the lock, and none here would release it."""
    global _open_shards
    _open_shards = Recent(OPEN_FILES)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class FolderWindows:
    """Windows of one prepared folder.

    Args:
        chosen: `Selection`.
    """

    def __init__(self, chosen):
        self._chosen, self._columns = chosen, chosen.columns
        self._sizes = {name: 2 * np.prod(_shape(modality)) for name, modality in chosen.manifest.modalities.items()}
        self._mine = object()

    def numbers(self, record):
        """Numbers of a record's windows along time, in stored order; `record` is its number in the selection."""
        return self._shard(record).table["window"]

    def read(self, records, places):
        """The windows at places of records.

        Args:
            records: `(windows,)`, numbers of records in the selection.
            places: `(windows,)`, positions in their shards.

        Returns: dict of inputs, as those of `stream`, and dict of labels, all but "record".
        """
        chosen, size = self._chosen, len(records)
        modalities, records = chosen.manifest.modalities, records.tolist()
        inputs = {name: aligned((size, *_shape(modalities[name])), np.int16) for name in chosen.modalities}
        templates = Templates(chosen.modalities)
        rows = zip(*(list(samples) for samples in inputs.values()), strict=True) if inputs else [()] * size
        shards = {record: self._shard(record) for record in set(records)}
        read = [
            shards[record].read(place, row, templates)
            for record, place, row in zip(records, places.tolist(), rows, strict=True)
        ]
        table = np.frombuffer(b"".join(read), self._type_of(shards.values()))
        inputs["present"] = aligned_copy(table["present"][:, self._columns], bool)
        return inputs, {name: table[_feature(name)] for name in chosen.labels if name != "record"}

    def _shard(self, number):
        record, manifest = self._chosen.records[number], self._chosen.manifest

        def opened():
            return ShardWindows(manifest.opened_shard(record), record.name, record.windows, self._sizes)

        # The copy of a remote shard is kept for this reader only: other readers compare it with the manifest again.
        file = _identity(manifest.shard(record.name)) or (self._mine, number)
        return _open_shards.get((file, record.name, record.windows), opened)

    def _type_of(self, shards):
        """Type of the shards' tables, which is one, with all labels that are wanted."""
        first = next(iter(shards))
        for shard in shards:
            found = shard.table.dtype
            for name in (name for name in self._chosen.labels if name != "record"):
                if _feature(name) not in found.names:
                    raise DataError(f"the shard has no label {name}; convert its record again.", file=shard.path)
            if found != first.table.dtype:
                problem = f"the shard has other features than {first.path}"
                raise DataError(f"{problem}; convert its record again.", file=shard.path)
        return first.table.dtype


def _identity(path):
    """What tells a local file from one that is put in its place later; None for a remote one."""
    if isinstance(path, Path):
        with contextlib.suppress(OSError):  # reading says what is wrong with it
            found = path.stat()
            return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
    return None


class JoinedWindows:
    """Windows of several prepared folders in one layout: what a folder lacks is zero and absent, its labels unknown.

    Args:
        chosen: `Selection` of a `JoinedManifest`.
    """

    def __init__(self, chosen):
        self._chosen, manifest = chosen, chosen.manifest
        self._part = np.array([manifest.homes[record.index][0] for record in chosen.records], np.int64)
        self._own = np.zeros(len(self._part), np.int64)
        layout = ChannelLayout.of({name: manifest.modalities[name] for name in chosen.modalities})
        self._readers, self._columns, self._present = [], [], []
        for number, part in enumerate(manifest.parts):
            mine = np.flatnonzero(self._part == number)
            self._own[mine] = np.arange(len(mine))
            own = _of_part(chosen, part, mine)
            columns = {name: _places(name, part, manifest) for name in own.modalities}
            self._readers.append(reader(own))
            self._columns.append(columns)
            self._present.append([layout.columns[name].start + i for name, places in columns.items() for i in places])

    def numbers(self, record):
        """As `FolderWindows.numbers`."""
        return self._readers[self._part[record]].numbers(int(self._own[record]))

    def read(self, records, places):
        """As `FolderWindows.read`."""
        inputs, labels = blank(self._chosen, len(records))
        labels.pop("record", None)
        parts = self._part[records]
        for number in np.unique(parts).tolist():
            rows = np.flatnonzero(parts == number)
            found, known = self._readers[number].read(self._own[records[rows]], places[rows])
            for name, columns in self._columns[number].items():
                for i, column in enumerate(columns):
                    inputs[name][rows, :, column] = found[name][:, :, i]
            inputs["present"][np.ix_(rows, self._present[number])] = found["present"]
            for name, values in known.items():
                labels[name][rows] = values
        return inputs, labels


def _places(modality, part, manifest):
    """Places of a folder's channels of a modality among those of all folders."""
    channels = manifest.modalities[modality]["channels"]
    return [channels.index(channel) for channel in part.modalities[modality]["channels"]]


def _of_part(chosen, part, mine):
    """The part of a `Selection` that lies in one folder; `mine` are the numbers of its records."""
    known = (*part.labels, *POSITIONS)
    return replace(
        chosen,
        manifest=part,
        records=[chosen.manifest.home(chosen.records[number])[1] for number in mine.tolist()],
        extents=[chosen.extents[number] for number in mine.tolist()],
        modalities=tuple(name for name in part.modalities if name in chosen.modalities),
        labels=tuple(name for name in chosen.labels if name in known),
    )


def blank(chosen, size):
    """Inputs and labels of `size` windows of a `Selection` without any signal: zeros, absent, labels unknown."""
    manifest = chosen.manifest
    inputs = {name: aligned((size, *_shape(manifest.modalities[name])), np.int16) for name in chosen.modalities}
    inputs["present"] = aligned((size, len(chosen.columns)), bool)
    for values in inputs.values():
        values[...] = 0
    numbers = {name for name, label in manifest.labels.items() if label["kind"] in NUMBER_KINDS}
    labels = {
        name: np.full(size, np.nan, np.float32) if name in numbers else np.full(size, -1, np.int32)
        for name in chosen.labels
    }
    return inputs, labels


def aligned_copy(values, dtype=None):
    """A copy of an array, as `aligned`."""
    values = np.asarray(values, dtype)
    result = aligned(values.shape, values.dtype)
    result[...] = values
    return result


def aligned(shape, dtype):
    """An empty array that begins at a multiple of `_ALIGNMENT` bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    whole = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -whole.ctypes.data % _ALIGNMENT
    return whole[begin : begin + size].view(dtype).reshape(shape)


def _feature(name):
    return name if name in ("present", *POSITIONS) else f"labels/{name}"


def _shape(modality):
    return modality["samples"], len(modality["channels"])
