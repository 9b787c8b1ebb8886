"""Embeddings of time and modality."""

from typing import Any

import keras
import numpy as np
from keras import ops


def sin_cos(time: int, width: int) -> np.ndarray:
    """Sine and cosine embedding of positions in time.

    Args:
        time: Number of positions.
        width: Width of the embedding, an even number.

    Returns: float32 array `(time, width)`, sines in the first half, cosines in the second. Wavelengths run from 4
    positions to 4 × `time`, so that every frequency varies within a window.

    Source: Vaswani et al. 2017, arXiv 1706.03762, with wavelengths up to 62832 positions.
    """
    if width % 2:
        raise ValueError(f"`width` must be even for a sin-cos embedding. Received: width={width}.")
    frequency = np.pi / 2 * float(time) ** -np.linspace(0, 1, width // 2)
    angle = np.arange(time)[:, None] * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype("float32")


@keras.saving.register_keras_serializable("physiokeras")
class TokenEmbedding(keras.layers.Layer):
    """Add the embeddings of time (fixed sin-cos) and modality (learned) to every token.

    Args:
        modalities: Number of modalities.
        time: Number of tokens along time.

    Call arguments:
        tokens: `(batch, tokens, width)`, modality by modality, time inside; `tokens` = modalities × time.

    Returns: `(batch, tokens, width)`.
    """

    def __init__(self, modalities: int, time: int, **kwargs):
        super().__init__(**kwargs)
        self.modalities, self.time = modalities, time

    def build(self, shape):  # noqa: D102
        width = shape[-1]
        self.positions = sin_cos(self.time, width)
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.modality = self.add_weight(shape=(self.modalities, 1, width), initializer=initializer, name="modality")

    def call(self, tokens):  # noqa: D102
        where = ops.cast(self.modality, self.compute_dtype) + ops.cast(self.positions, self.compute_dtype)
        return tokens + ops.reshape(where, (1, self.modalities * self.time, tokens.shape[-1]))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "modalities": self.modalities, "time": self.time}
