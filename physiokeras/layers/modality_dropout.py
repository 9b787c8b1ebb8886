"""Modality dropout: random removal of whole modalities."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from physiokeras.layers.seed_state import SameSeed, SeedState
from physiokeras.seeds import derive

_NEVER = 1e-9
"""Rate of a modality of weight 0, which comes after all others."""


@keras.saving.register_keras_serializable("physiokeras")
class ModalityDropout(SeedState, keras.layers.Layer):
    """Drop random modalities of a recording, but never the last one that is present.

    ```python
    drop = ModalityDropout(rate=0.5, seed=1)  # in half of the batches, one modality
    kept = drop(present, training=True)
    model = MaskedAutoencoder(encoder, modality_dropout=drop)
    ModalityDropout(weights={"eeg": 2, "ecg": 0})  # EEG twice as often as others, ECG never
    ModalityDropout(weights={"eeg": hp.Float("drop_eeg", 0, 4)})  # searched by KerasTuner
    ```

    Args:
        rate: Probability that a drop happens, in `[0, 1]`.
        count: How many modalities a drop takes.
        per: "batch": one draw for all rows, among the modalities that any row has; "sample": one draw for each row,
            among the modalities of that row.
        seed: Seed of the draws. Evaluation (`training=False`) repeats the same draws at each call, one for each row
            whatever `per` is, so that a validation loss averages over modalities and is comparable between passes.
        weights: Relative probability of each modality to be the one that is dropped, among those that a draw may take:
            a list in the order of the modalities, or dict of name -> weight, which only a `MaskedAutoencoder` can put
            in order; names left out weigh 1. A modality of weight 0 is never dropped. Default: equal.

    Call arguments:
        present: Boolean `(batch, modalities)`, true where the recording has the modality.
        training: Whether to draw new modalities.

    Returns: boolean `(batch, modalities)`, true where present and not dropped.

    Source: arXiv 2410.16424 (one modality a batch).
    """

    def __init__(
        self,
        rate: float = 1.0,
        count: int = 1,
        per: str = "batch",
        seed: int = 0,
        weights: Sequence[float] | dict[str, float] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` must lie in [0, 1]. Received: rate={rate}.")
        if count < 1:
            raise ValueError(f"`count` must be at least 1. Received: count={count}.")
        if per not in ("batch", "sample"):
            raise ValueError(f'`per` must be "batch" or "sample". Received: per={per!r}.')
        self.rate, self.count, self.per, self.seed = rate, count, per, seed
        # Not `weights`: every Keras layer has a property of that name.
        self.drop_weights = _checked(weights)
        # The layer's kind in the seed's path separates its draws from those of a mask with the same seed.
        self.generator = keras.random.SeedGenerator(derive(seed, "modality dropout", "train"), name="generator")
        self.same_seeds = (SameSeed(derive(seed, "modality dropout", "evaluation"), name="evaluation"),)
        self.built = True

    def call(self, present, training=False):  # noqa: D102
        seed = self.generator if training else self.same_seeds[0]
        together = self.per == "batch" and training
        rows, modalities = 1 if together else ops.shape(present)[0], present.shape[1]
        draws = keras.random.uniform((rows, modalities + 1), seed=seed)
        happens, order = draws[:, :1] < self.rate, self._order(draws[:, 1:])
        candidates = ops.any(present, axis=0, keepdims=True) if together else present
        # Order in which modalities are dropped; those that no row has come last.
        turn = ops.argsort(ops.argsort(ops.where(candidates, order, math.inf), axis=1), axis=1)
        turn = ops.where(present, turn, -1)
        stays = ops.equal(turn, ops.max(turn, axis=1, keepdims=True))
        if self.drop_weights is not None:
            stays = ops.logical_or(stays, np.array(self.drop_weights) == 0)
        return ops.logical_and(present, ops.logical_or(stays, ops.logical_not((turn < self.count) & happens)))

    def _order(self, draws):
        """From uniform draws `(rows, modalities)`, numbers whose least is the modality to drop first."""
        if self.drop_weights is None:
            return draws
        if isinstance(self.drop_weights, dict):
            raise ValueError(
                "`weights` by name need a `MaskedAutoencoder`, which knows the order of the modalities; give a list. "
                f"Received: weights={self.drop_weights}."
            )
        if len(self.drop_weights) != draws.shape[1]:
            raise ValueError(
                f"`weights` must be one for each of the {draws.shape[1]} modalities. "
                f"Received: weights={self.drop_weights}."
            )
        # Exponential waiting times: modality i comes first with probability weight i / sum of the weights.
        rates = np.maximum(np.array(self.drop_weights) / max(self.drop_weights), _NEVER).astype("float32")
        return ops.divide(-ops.log(ops.maximum(draws, 1e-9)), rates)

    def in_order(self, names: Iterable[str]) -> None:
        """Put weights by name in the order of a model's modalities; `MaskedAutoencoder` calls it.

        Args:
            names: Names of the modalities, in order.

        Raises:
            ValueError: Weights of other names, not as many as the modalities, or all 0.
        """
        names, weights = list(names), self.drop_weights
        if isinstance(weights, dict):
            unknown = sorted(set(weights) - set(names))
            if unknown:
                raise ValueError(f"`weights` must be of {names}. Received also: {unknown}.")
            weights = _checked([weights.get(name, 1.0) for name in names])
        if weights is not None and len(weights) != len(names):
            raise ValueError(f"`weights` must be one for each of {names}. Received: weights={weights}.")
        self.drop_weights = weights

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {
            **super().get_config(),
            "rate": self.rate,
            "count": self.count,
            "per": self.per,
            "seed": self.seed,
            "weights": self.drop_weights,
        }


def _checked(weights):
    """Weights as a list or dict of floats, or None."""
    if weights is None:
        return None
    named = isinstance(weights, dict)
    values = [float(value) for value in (weights.values() if named else weights)]
    # Of weights by name, those left out are 1.
    if not all(0 <= value < math.inf for value in values) or not (named or any(values)):
        raise ValueError(f"`weights` must be finite, at least 0, and not all 0. Received: weights={weights}.")
    return dict(zip(weights, values, strict=True)) if named else values
