"""Decoder of one modality: encoder tokens to samples."""

from typing import Any

import keras
from keras import ops

from physiokeras.layers.block import TransformerBlock
from physiokeras.layers.embeddings import sin_cos
from physiokeras.layers.token_matrix import flatten, unflatten
from physiokeras.seeds import derive


@keras.saving.register_keras_serializable("physiokeras")
class ModalityDecoder(keras.layers.Layer):
    """Reconstruct all patches of one modality from the encoder's tokens.

    The queries, one for each patch, are a learned mask token plus the embedding of time. They attend to the encoder's
    tokens, to which the embedding of time is added again, pass transformer blocks, and are projected to samples.

    Args:
        time: Number of patches of a window.
        patch: Samples of a patch.
        channels: Channels of the modality.
        width: Width of the decoder.
        depth: Number of transformer blocks after the cross-attention.
        heads: Attention heads of each block.
        seed: Seed from which those of the blocks derive.

    Call arguments:
        context: `(batch, keys, encoder width)`.
        when: Integer `(batch, keys)`, the context tokens' positions in time, in `[0, time)`; none if they are unknown.
        valid: Boolean `(batch, keys)`, true for tokens that may serve as context.

    Returns: `(batch, samples, channels)` in scaled units.

    Source: arXiv 2410.16424; cross-attention from MultiMAE, arXiv 2204.01678.
    """

    def __init__(
        self,
        time: int,
        patch: int,
        channels: int,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.time, self.patch, self.channels = time, patch, channels
        self.width, self.depth, self.heads, self.seed = width, depth, heads, seed
        policy = self.dtype_policy
        self.project = keras.layers.Dense(width, name="project", dtype=policy)
        self.cross = TransformerBlock(width, heads, cross=True, seed=derive(seed, "cross"), name="cross", dtype=policy)
        self.blocks = [
            TransformerBlock(width, heads, seed=derive(seed, "block", i), name=f"block_{i}", dtype=policy)
            for i in range(depth)
        ]
        self.samples = keras.layers.Dense(patch * channels, name="samples", dtype=policy)

    def build(self, shape):  # noqa: D102
        # Twice the encoder's embedding, so that at the start queries attend to their own time.
        self.positions = 2 * sin_cos(self.time, self.width)
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.mask_token = self.add_weight(shape=(1, self.width), initializer=initializer, name="mask_token")
        self.project.build((None, shape[-1]))
        for block in (self.cross, *self.blocks):
            block.build((None, self.time, self.width))
        self.samples.build((None, self.width))

    def call(self, context, when=None, valid=None):  # noqa: D102
        positions = ops.cast(self.positions, self.compute_dtype)
        query = ops.cast(self.mask_token, self.compute_dtype) + positions
        context = unflatten(self.project(flatten(context)), context.shape[1])
        if when is not None:
            context = context + ops.take(positions, when, axis=0)
        tokens = self.cross(query[None], context=context, valid=valid)
        for block in self.blocks:
            tokens = block(tokens)
        return ops.reshape(self.samples(flatten(tokens)), (-1, self.time * self.patch, self.channels))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        names = ("time", "patch", "channels", "width", "depth", "heads", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
