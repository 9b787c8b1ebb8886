"""Token masks: random choice of the tokens that the encoder sees."""

from typing import Any

import keras
import numpy as np
from keras import ops

from physiokeras.layers.seed_state import SameSeed, SeedState
from physiokeras.seeds import derive

_SCHEMES = ("uniform", "equal", "dirichlet", "block")
_BUDGETS = ("fixed", "proportional")
_ABSENT = 1e9


@keras.saving.register_keras_serializable("physiokeras")
class TokenMask(SeedState, keras.layers.Layer):
    """Draw the visible tokens of every row at random.

    A row has `round((1 - ratio) * time * modalities)` visible tokens, with the number of its present modalities. With
    budget "fixed" it keeps that number after modalities are dropped, as far as the others have tokens; with
    "proportional" the number is recomputed from the modalities that are kept.

    Args:
        time: Number of tokens along time of each modality.
        ratio: Share hidden, in `[0, 1)`.
        scheme: Distribution of the visible tokens. "uniform": among all tokens; "equal": the same number of each
            modality, within one; "dirichlet": shares of the modalities from a Dirichlet distribution; "block": spans of
            `span` tokens of one modality are visible or hidden together.
        alpha: Concentration of the Dirichlet distribution; small values concentrate the tokens on few modalities.
        span: Length of a block in tokens.
        budget: "fixed" or "proportional".
        seed: Seed of the draw. Evaluation (`training=False`) repeats the same draw at each call, so that losses are
            comparable between passes.

    Call arguments:
        present: Boolean `(batch, modalities)`, true where the recording has the modality.
        kept: Boolean `(batch, modalities)`, true where the modality is present and not dropped.
        training: Whether to draw a new mask.

    Returns: a tuple of
        visible: int32 `(batch, capacity)`, indices of the visible tokens, `capacity` = `round((1 - ratio) * tokens)`.
        valid: boolean `(batch, capacity)`, true for visible tokens; the rest is padding.
        hidden: boolean `(batch, tokens)`, true for all tokens that are not visible.

    Source: He et al. 2022, arXiv 2111.06377; shares by Dirichlet from MultiMAE, arXiv 2204.01678.
    """

    def __init__(
        self,
        time: int,
        ratio: float = 0.7,
        scheme: str = "uniform",
        alpha: float = 1.0,
        span: int = 5,
        budget: str = "fixed",
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= ratio < 1:
            raise ValueError(f"`ratio` must lie in [0, 1). Received: ratio={ratio}.")
        if scheme not in _SCHEMES:
            raise ValueError(f"`scheme` must be one of {_SCHEMES}. Received: scheme={scheme!r}.")
        if budget not in _BUDGETS:
            raise ValueError(f"`budget` must be one of {_BUDGETS}. Received: budget={budget!r}.")
        if alpha <= 0 or span < 1:
            raise ValueError(f"`alpha` must be positive and `span` at least 1. Received: alpha={alpha}, span={span}.")
        self.time, self.ratio, self.scheme, self.alpha = time, ratio, scheme, alpha
        self.span, self.budget, self.seed = span, budget, seed
        self.generator = keras.random.SeedGenerator(derive(seed, "token mask", "train"), name="generator")
        first = derive(seed, "token mask", "evaluation")
        self.same_seeds = SameSeed(first, name="first"), SameSeed(derive(first, "second draw"), name="second")
        self.built = True

    def capacity(self, modalities: int) -> int:
        """Number of slots for visible tokens in a row of `modalities` modalities; unused slots are padding."""
        return round((1 - self.ratio) * (modalities * self.time))

    def call(self, present, kept, training=False):  # noqa: D102
        modalities = present.shape[1]
        tokens, capacity = modalities * self.time, self.capacity(modalities)
        if not capacity:
            raise ValueError(f"`ratio` must leave a token visible. Received: ratio={self.ratio} of {tokens} tokens.")
        seeds = (self.generator, self.generator) if training else self.same_seeds
        score = getattr(self, f"_{self.scheme}")(ops.shape(present)[0], modalities, *seeds)
        score = ops.reshape(ops.where(kept[:, :, None], score, _ABSENT), (-1, tokens))
        order = ops.argsort(score, axis=1)
        count = self._count(present, kept)[:, None]
        hidden = ops.argsort(order, axis=1) >= count
        return ops.cast(order[:, :capacity], "int32"), ops.arange(capacity)[None] < count, hidden

    def _count(self, present, kept):
        """Number of visible tokens of each row, int32 `(batch,)`."""
        # A table, because rounding a float32 product could differ between backends.
        table = np.array([self.capacity(m) for m in range(present.shape[1] + 1)], "int32")
        left = ops.sum(ops.cast(kept, "int32"), axis=1)
        base = left if self.budget == "proportional" else ops.sum(ops.cast(present, "int32"), axis=1)
        return ops.minimum(ops.take(ops.convert_to_tensor(table), base, axis=0), left * self.time)

    # Each scheme returns scores (batch, modalities, time); the tokens with the lowest scores are visible.

    def _uniform(self, rows, modalities, seed, _):
        return keras.random.uniform((rows, modalities, self.time), seed=seed)

    def _equal(self, rows, modalities, seed, _):
        draws = keras.random.uniform((rows, modalities, self.time + 1), seed=seed)
        rank = ops.argsort(ops.argsort(draws[:, :, 1:], axis=2), axis=2)
        # One token of each modality per round; the last, incomplete round in an order drawn for the row.
        return ops.cast(rank, "float32") + draws[:, :, :1]

    def _dirichlet(self, rows, modalities, seed, second):
        # Independent gamma draws have Dirichlet shares for every subset of modalities. A gamma(alpha) draw is
        # gamma(alpha + 1) * uniform ** (1 / alpha); its logarithm does not underflow where alpha is small.
        share = ops.log(keras.random.gamma((rows, modalities, 1), self.alpha + 1.0, seed=seed))
        draws = keras.random.uniform((rows, modalities, self.time + 1), seed=second)
        share = share + ops.log(ops.maximum(draws[:, :, :1], 1e-30)) / self.alpha
        rank = ops.argsort(ops.argsort(draws[:, :, 1:], axis=2), axis=2)
        # Webster's divisor method: tokens taken in this order are in proportion to the shares.
        return ops.minimum(ops.log(ops.cast(rank, "float32") + 0.5) - share, _ABSENT / 2)

    def _block(self, rows, modalities, seed, _):
        blocks = -(-self.time // self.span) + 1
        draws = keras.random.uniform((rows, modalities, blocks + 1), seed=seed)
        offset = ops.cast(draws[:, :, :1] * self.span, "int32")
        block = (ops.arange(self.time, dtype="int32") + offset) // self.span
        noise = ops.reshape(draws[:, :, 1:], (-1, modalities * blocks))
        rank = ops.reshape(ops.argsort(ops.argsort(noise, axis=1), axis=1), (-1, modalities, blocks))
        rank = ops.take_along_axis(rank, block, axis=2)
        return ops.cast(ops.cast(rank, "int32") * self.time + ops.arange(self.time, dtype="int32"), "float32")

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        names = ("time", "ratio", "scheme", "alpha", "span", "budget", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
