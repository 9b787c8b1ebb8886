"""Windows of a selection's records at known places, as arrays: of one prepared folder, or of several together."""

import functools
from dataclasses import replace

import numpy as np

from physiokeras.channel_layout import ChannelLayout
from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.parts import NUMBER_KINDS
from physiokeras.pipelines.prepared.joined import JoinedManifest
from physiokeras.pipelines.prepared.selection import POSITIONS
from physiokeras.pipelines.prepared.shard_windows import ShardWindows, Templates

OPEN_FILES = 128
"""Shards that stay open. A shuffled pass reads 32 in turn, and the few windows that the shuffle left of others."""

_ALIGNMENT = 64
"""Bytes at whose multiples arrays begin, so that TensorFlow and JAX take them without a copy."""


def reader(chosen):
    """`FolderWindows` of a `Selection`, or `JoinedWindows` where it is of several folders."""
    return (JoinedWindows if isinstance(chosen.manifest, JoinedManifest) else FolderWindows)(chosen)


class FolderWindows:
    """Windows of one prepared folder.

    Args:
        chosen: `Selection`.
    """

    def __init__(self, chosen):
        self._chosen, self._columns = chosen, chosen.columns
        self._sizes = {name: 2 * np.prod(_shape(modality)) for name, modality in chosen.manifest.modalities.items()}
        self._shard = functools.lru_cache(OPEN_FILES)(self._open)

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
        read = [
            self._shard(record).read(place, row, templates)
            for record, place, row in zip(records, places.tolist(), rows, strict=True)
        ]
        table = np.frombuffer(b"".join(read), self._shard(records[0]).table.dtype)
        inputs["present"] = aligned_copy(table["present"][:, self._columns], bool)
        return inputs, {name: table[_feature(name)] for name in chosen.labels if name != "record"}

    def _open(self, record):
        record = self._chosen.records[record]
        path = self._chosen.manifest.opened_shard(record)
        shard = ShardWindows(path, record.name, record.windows, self._sizes)
        for label in self._chosen.labels:
            if label != "record" and _feature(label) not in shard.table.dtype.names:
                raise DataError(f"the shard has no label {label}; convert its record again.", file=shard.path)
        return shard


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
