"""Memory of a process that trains."""

import keras

from physiokeras.memory import start_afresh


class FreshMemory(keras.callbacks.Callback):
    """Leave behind what compiling made of the heap, after a process's first step: `physiokeras.memory.start_afresh`."""

    async_safe = True

    def on_train_batch_end(self, batch, logs=None):  # noqa: D102
        start_afresh()
