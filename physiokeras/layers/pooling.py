"""Pooling of tokens to one feature vector per window."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("physiokeras")
class TokenPooling(keras.layers.Layer):
    """Mean over each modality's tokens, then the mean or the concatenation of the modalities.

    With `keep_time` the mean over time is left out: tokens of one time are merged over the modalities.

    Args:
        time: Number of tokens along time of each modality.
        how: "mean", or "concatenate" (zeros stand for an absent modality).
        keep_time: Whether to return one vector per time.

    Call arguments:
        tokens: `(batch, tokens, width)`, modality by modality, time inside.
        present: Boolean `(batch, modalities)`.

    Returns: float32 `(batch, width)`, or `(batch, modalities * width)` with "concatenate"; with `keep_time`
        `(batch, time, ...)`.
    """

    def __init__(self, time: int, how: str = "mean", keep_time: bool = False, **kwargs):
        super().__init__(**kwargs)
        if how not in ("mean", "concatenate"):
            raise ValueError(f'`how` must be "mean" or "concatenate". Received: how={how!r}.')
        self.time, self.how, self.keep_time = time, how, keep_time
        self.built = True

    def call(self, tokens, present):  # noqa: D102
        modalities, width = present.shape[1], tokens.shape[-1]
        tokens = ops.cast(ops.reshape(tokens, (-1, modalities, self.time, width)), "float32")
        weight = ops.cast(present, "float32")[:, :, None, None]
        # The mean over time leaves one time.
        means = (tokens if self.keep_time else ops.mean(tokens, axis=2, keepdims=True)) * weight
        if self.how == "concatenate":
            shape = (-1, means.shape[2], modalities * width)
            merged = ops.reshape(ops.transpose(means, (0, 2, 1, 3)), shape)
        else:
            merged = ops.sum(means, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1.0)
        return merged if self.keep_time else merged[:, 0]

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "time": self.time, "how": self.how, "keep_time": self.keep_time}
