"""From tokens to one feature vector a window."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("physiokeras")
class TokenPooling(keras.layers.Layer):
    """Mean over each modality's tokens, then mean over the present modalities, or all side by side.

    Args:
        time: Number of tokens along time of each modality.
        how: "mean", or "concatenate" (zeros stand for an absent modality).

    Call arguments:
        tokens: `(batch, tokens, width)`, modality by modality, time inside.
        present: Boolean `(batch, modalities)`.

    Returns: float32 `(batch, width)`, or `(batch, modalities * width)` with "concatenate".
    """

    def __init__(self, time, how="mean", **kwargs):
        super().__init__(**kwargs)
        if how not in ("mean", "concatenate"):
            raise ValueError(f'`how` must be "mean" or "concatenate". Received: how={how!r}.')
        self.time, self.how = time, how
        self.built = True

    def call(self, tokens, present):  # noqa: D102
        modalities, width = present.shape[1], tokens.shape[-1]
        tokens = ops.cast(ops.reshape(tokens, (-1, modalities, self.time, width)), "float32")
        weight = ops.cast(present, "float32")[:, :, None]
        means = ops.mean(tokens, axis=2) * weight
        if self.how == "concatenate":
            return ops.reshape(means, (-1, modalities * width))
        return ops.sum(means, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1.0)

    def get_config(self):  # noqa: D102
        return {**super().get_config(), "time": self.time, "how": self.how}
