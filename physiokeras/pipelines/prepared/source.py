"""Batches of windows by their number, as NumPy arrays: what every stream reads from, without TensorFlow."""

import functools
import threading

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.parts import NUMBER_KINDS
from physiokeras.pipelines.prepared.selection import POSITIONS, check_batch_size
from physiokeras.pipelines.prepared.shard_windows import ShardWindows, Templates
from physiokeras.pipelines.prepared.window_order import PassOrder

OPEN_FILES = 128
"""Shards that stay open. A shuffled pass reads 32 in turn, and the few windows that the shuffle left of others."""

ENDLESS = 1 << 62
"""Number of batches of a shuffled source."""

_ALIGNMENT = 64
"""Bytes at whose multiples arrays begin, so that TensorFlow and JAX take them without a copy."""


class Source:
    """Batches by number. Threads share it; a pickled copy opens the shards again.

    Args:
        chosen: `Selection`.
        batch_size: Windows per batch.
        seed: Integer, or None for one pass in order.
        start_step: Number of batches to leave out: batch 0 is that of this step.
        drop_remainder: Whether to leave out the last partial batch of a pass in order.
    """

    def __init__(self, chosen, batch_size, seed, start_step, drop_remainder):
        check_batch_size(batch_size)
        self._chosen, self.batch_size, self.seed = chosen, batch_size, seed
        self.start_step, self.drop_remainder = start_step, drop_remainder
        self._firsts, counts = np.array(chosen.extents, np.int64).reshape(-1, 2).T
        self._ends = np.cumsum(counts)
        full, all_batches = chosen.windows // batch_size, -(-chosen.windows // batch_size)
        if seed is None:
            self._length = max(0, (full if drop_remainder else all_batches) - start_step)
        else:
            self._per_pass, self._length = chosen.steps(batch_size), ENDLESS
        self._sizes = {name: 2 * np.prod(_shape(modality)) for name, modality in chosen.manifest.modalities.items()}
        self._columns = chosen.columns
        self._numbers = np.array([record.index for record in chosen.records], np.int32)
        self._lock = threading.Lock()
        self._shard = functools.lru_cache(OPEN_FILES)(self._open)
        self._by_time = functools.lru_cache(OPEN_FILES)(self._sort)
        self._order = functools.lru_cache(2)(lambda number: PassOrder(counts, seed, number))

    def __reduce__(self):
        return Source, (self._chosen, self.batch_size, self.seed, self.start_step, self.drop_remainder)

    def __len__(self):
        """Number of batches."""
        return self._length

    def __getitem__(self, step):
        """A batch, `(inputs,)` or `(inputs, labels)`, as `stream` describes it, of arrays.

        Raises:
            DataError: A shard is missing or damaged; the message names it and the byte.
        """
        if not 0 <= step < self._length:
            raise IndexError(f"The source has {self._length} batches. Received: step={step}.")
        records, places = self._places(self.start_step + int(step))
        return self._batch(records.tolist(), places)

    def __iter__(self):
        """Iterator over the batches."""
        return (self[step] for step in range(len(self)))

    def no_windows(self):
        """A batch of no windows, whose arrays show structure, shapes and types of every batch."""
        manifest = self._chosen.manifest
        inputs = {name: np.empty((0, *_shape(manifest.modalities[name])), np.int16) for name in self._chosen.modalities}
        inputs["present"] = np.empty((0, len(self._columns)), bool)
        if not self._chosen.labels:
            return (inputs,)
        numbers = {name for name, label in manifest.labels.items() if label["kind"] in NUMBER_KINDS}
        labels = {name: np.float32 if name in numbers else np.int32 for name in self._chosen.labels}
        return inputs, {name: np.empty(0, kind) for name, kind in labels.items()}

    def _places(self, step):
        """Numbers of the records of a step's windows, and their positions in the shards."""
        if self.seed is None:
            begin = step * self.batch_size
            windows = np.arange(begin, min(begin + self.batch_size, self._chosen.windows))
            records = np.searchsorted(self._ends, windows, side="right")
            places = windows - self._ends[records]  # counted back from the end of the record's share
            pairs = zip(records.tolist(), places.tolist(), strict=True)
            return records, [self._by_time(record)[place] for record, place in pairs]
        number, step = divmod(step, self._per_pass)
        with self._lock:
            records, places = self._order(number).part(step * self.batch_size, (step + 1) * self.batch_size)
        return records, (places + self._firsts[records]).tolist()

    def _batch(self, records, places):
        """The windows at places of records."""
        chosen, size = self._chosen, len(records)
        modalities = chosen.manifest.modalities
        inputs = {name: _aligned((size, *_shape(modalities[name])), np.int16) for name in chosen.modalities}
        templates = Templates(chosen.modalities)
        rows = zip(*(list(samples) for samples in inputs.values()), strict=True)
        read = [
            self._shard(record).read(place, row, templates)
            for record, place, row in zip(records, places, rows, strict=True)
        ]
        table = np.frombuffer(b"".join(read), self._shard(records[0]).table.dtype)
        inputs["present"] = _copied(table["present"][:, self._columns], bool)
        if not chosen.labels:
            return (inputs,)
        labels = {name: table[_feature(name)] for name in chosen.labels if name != "record"}
        labels["record"] = self._numbers[records]
        return inputs, {name: _copied(labels[name]) for name in chosen.labels}

    def _open(self, record):
        record = self._chosen.records[record]
        path = self._chosen.manifest.opened_shard(record)
        shard = ShardWindows(path, record.name, record.windows, self._sizes)
        for label in self._chosen.labels:
            if label != "record" and _feature(label) not in shard.table.dtype.names:
                raise DataError(f"the shard has no label {label}; convert its record again.", file=shard.path)
        return shard

    def _sort(self, record):
        """Positions of this host's windows of a record, by time."""
        first, count = self._chosen.extents[record]
        return np.argsort(self._shard(record).table["window"], kind="stable")[first : first + count].tolist()


def _feature(name):
    return name if name in ("present", *POSITIONS) else f"labels/{name}"


def _shape(modality):
    return modality["samples"], len(modality["channels"])


def _copied(values, dtype=None):
    values = np.asarray(values, dtype)
    result = _aligned(values.shape, values.dtype)
    result[...] = values
    return result


def _aligned(shape, dtype):
    """An empty array that begins at a multiple of `_ALIGNMENT` bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    whole = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -whole.ctypes.data % _ALIGNMENT
    return whole[begin : begin + size].view(dtype).reshape(shape)
