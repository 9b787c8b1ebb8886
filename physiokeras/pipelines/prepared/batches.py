"""A source's batches for Keras on JAX or PyTorch where TensorFlow is not installed."""

from concurrent.futures import ThreadPoolExecutor

import keras

AHEAD = 4
"""Batches that are read before they are asked for."""


class Batches(keras.utils.PyDataset):
    """What `stream` returns without TensorFlow: `fit`, `predict` and loops read it as they read a `tf.data.Dataset`.

    Args:
        source: `Source`.
        count: Number of batches; None: endless.
    """

    def __init__(self, source, count):
        super().__init__()
        self._source, self._count = source, count
        self._thread, self._reading = ThreadPoolExecutor(1), {}

    def __getitem__(self, index):
        """The batch of a number; the next ones are read meanwhile."""
        last = index + AHEAD + 1 if self._count is None else min(index + AHEAD + 1, self._count)
        wanted = range(index, max(last, index + 1))
        reading = {number: self._reading.get(number) for number in wanted}
        self._reading = {
            number: found or self._thread.submit(self._source.__getitem__, number) for number, found in reading.items()
        }
        return self._reading.pop(index).result()

    @property
    def num_batches(self):
        """Number of batches, or None."""
        return self._count

    @property
    def element_spec(self):
        """A batch of no windows, with the shapes and types of every batch."""
        return self._source.no_windows()

    def take(self, count):
        """The first `count` batches, as those of a `tf.data.Dataset`."""
        return Batches(self._source, count if self._count is None else min(count, self._count))

    def as_numpy_iterator(self):
        """Iterator over the batches."""
        return iter(self)
