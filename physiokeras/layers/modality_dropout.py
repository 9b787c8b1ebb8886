"""Modality dropout: random removal of whole modalities."""

import keras
from keras import ops

from physiokeras.layers.seed_state import SeedState
from physiokeras.seeds import derive


@keras.saving.register_keras_serializable("physiokeras")
class ModalityDropout(SeedState, keras.layers.Layer):
    """Drop random modalities of a recording, never its last.

    ```python
    drop = ModalityDropout(rate=0.5, seed=1)  # in half of the batches, one modality
    kept = drop(present, training=True)
    model = MaskedAutoencoder(encoder, modality_dropout=drop)
    ```

    Args:
        rate: Probability that a drop happens, in `[0, 1]`.
        count: How many modalities a drop takes.
        per: "batch": one draw for all rows, among the modalities that any row has; "sample": one draw for each row,
            among the modalities of that row.
        seed: Seed of the draws. Evaluation (`training=False`) repeats the same draws at each call, one for each row
            whatever `per` is, so that a validation loss averages over modalities and is comparable between passes.

    Call arguments:
        present: Boolean `(batch, modalities)`, true where the recording has the modality.
        training: Whether to draw new modalities.

    Returns: boolean `(batch, modalities)`, true where present and not dropped.

    Source: arXiv 2410.16424 (one modality a batch).
    """

    def __init__(self, rate: float = 1.0, count: int = 1, per: str = "batch", seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` must lie in [0, 1]. Received: rate={rate}.")
        if count < 1:
            raise ValueError(f"`count` must be at least 1. Received: count={count}.")
        if per not in ("batch", "sample"):
            raise ValueError(f'`per` must be "batch" or "sample". Received: per={per!r}.')
        self.rate, self.count, self.per, self.seed = rate, count, per, seed
        self.generator = keras.random.SeedGenerator(derive(seed, "modality dropout", "train"), name="generator")
        self.built = True

    def call(self, present, training=False):  # noqa: D102
        # The layer's kind in the seed's path separates its draws from those of a mask with the same seed.
        seed = self.generator if training else derive(self.seed, "modality dropout", "evaluation")
        together = self.per == "batch" and training
        rows, modalities = 1 if together else ops.shape(present)[0], present.shape[1]
        draws = keras.random.uniform((rows, modalities + 1), seed=seed)
        happens, order = draws[:, :1] < self.rate, draws[:, 1:]
        candidates = ops.any(present, axis=0, keepdims=True) if together else present
        # Order in which modalities are dropped; those that no row has come last.
        turn = ops.argsort(ops.argsort(ops.where(candidates, order, order + 2.0), axis=1), axis=1)
        turn = ops.where(present, turn, -1)
        last = ops.equal(turn, ops.max(turn, axis=1, keepdims=True))
        return ops.logical_and(present, ops.logical_or(last, ops.logical_not((turn < self.count) & happens)))

    def get_config(self):  # noqa: D102
        return {
            **super().get_config(),
            "rate": self.rate,
            "count": self.count,
            "per": self.per,
            "seed": self.seed,
        }
