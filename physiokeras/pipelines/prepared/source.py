"""Batches of windows by their number, as NumPy arrays: what every stream reads from, without TensorFlow."""

import functools
import threading

import numpy as np

from physiokeras.pipelines.prepared.folder_windows import OPEN_FILES, aligned_copy, blank, reader
from physiokeras.pipelines.prepared.selection import checked_batch_size
from physiokeras.pipelines.prepared.window_order import PassOrder

ENDLESS = 1 << 62
"""Number of batches of a shuffled source."""


class Source:
    """Batches by number. Threads share it; a pickled copy opens the shards again.

    Args:
        chosen: `Selection`.
        batch_size: Windows per batch.
        seed: Integer, or None for one pass in order.
        start_step: Number of batches to leave out: batch 0 is that of this step.
        drop_remainder: Whether to leave out the last partial batch of a pass in order.
        windows: What reads the windows; None: `folder_windows.reader` of the selection.
    """

    def __init__(self, chosen, batch_size, seed, start_step, drop_remainder, windows=None):
        checked_batch_size(batch_size)
        self._chosen, self.batch_size, self.seed = chosen, batch_size, seed
        self.start_step, self.drop_remainder = start_step, drop_remainder
        self._firsts, counts = np.array(chosen.extents, np.int64).reshape(-1, 2).T
        self._ends = np.cumsum(counts)
        full, all_batches = chosen.windows // batch_size, -(-chosen.windows // batch_size)
        if seed is None:
            self._length = max(0, (full if drop_remainder else all_batches) - start_step)
        else:
            self._per_pass, self._length = chosen.steps(batch_size), ENDLESS
        self._windows = windows or reader(chosen)
        self._numbers = np.array([record.index for record in chosen.records], np.int32)
        self._lock = threading.Lock()
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
        inputs, labels = self._windows.read(records, np.asarray(places))
        if not self._chosen.labels:
            return (inputs,)
        labels["record"] = self._numbers[records]
        return inputs, {name: aligned_copy(labels[name]) for name in self._chosen.labels}

    def __iter__(self):
        """Iterator over the batches."""
        return (self[step] for step in range(len(self)))

    def no_windows(self):
        """A batch of no windows, whose arrays show structure, shapes and types of every batch."""
        chosen = self._chosen
        inputs, labels = blank(chosen, 0)
        return (inputs, labels) if chosen.labels else (inputs,)

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

    def _sort(self, record):
        """Positions of this host's windows of a record, by time."""
        first, count = self._chosen.extents[record]
        return np.argsort(self._windows.numbers(record), kind="stable")[first : first + count].tolist()
