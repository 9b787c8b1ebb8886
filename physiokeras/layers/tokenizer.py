"""Patch tokenizer: samples of a modality to tokens."""

from typing import Any

import keras
from keras import ops

from physiokeras.layers.token_matrix import flatten, unflatten


@keras.saving.register_keras_serializable("physiokeras")
class PatchTokenizer(keras.layers.Layer):
    """One token for each patch of a modality, all its channels merged.

    A convolution over non-overlapping patches, GELU, then a linear layer. Kernel and stride of the convolution are one
    patch, so it is computed as one matrix product over the patches.

    Args:
        time: Number of patches of a window.
        width: Width of the tokens.

    Call arguments:
        signal: `(batch, samples, channels)` in scaled units; `samples` must be a multiple of `time`.

    Returns: `(batch, time, width)`.

    Source: arXiv 2410.16424.
    """

    def __init__(self, time: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.time, self.width = time, width
        self.patch = keras.layers.Dense(width, activation="gelu", name="patch", dtype=self.dtype_policy)
        self.linear = keras.layers.Dense(width, name="linear", dtype=self.dtype_policy)

    def build(self, shape):  # noqa: D102
        _, samples, channels = shape
        if samples % self.time:
            raise ValueError(
                f"A window must divide into `time` equal patches. Received: samples={samples}, time={self.time}."
            )
        self.patch.build((None, samples // self.time * channels))
        self.linear.build((None, self.width))

    def call(self, signal):  # noqa: D102
        patches = ops.reshape(signal, (-1, self.time, signal.shape[1] // self.time * signal.shape[2]))
        return unflatten(self.linear(self.patch(flatten(patches))), self.time)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "time": self.time, "width": self.width}
