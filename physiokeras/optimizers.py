"""The optimizer of the experiments, and its schedule."""

import keras
import numpy as np

from physiokeras.keras_internals import AdamWSteps


@keras.saving.register_keras_serializable("physiokeras")
class AdamW(AdamWSteps):
    """`keras.optimizers.AdamW`, updated on PyTorch by its fused kernel.

    The values are those of Keras, except that under a `tf.distribute` strategy the gradient of the whole batch is
    clipped, where Keras clips each replica's part.

    Args:
        **kwargs: As in `keras.optimizers.AdamW`.
    """


@keras.saving.register_keras_serializable("physiokeras")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises linearly from 0, then falls to 0 along half a cosine.

    The values are those of `keras.optimizers.schedules.CosineDecay` with a warm-up. It has no branch, which JAX would
    compile again each time that the rate is read between steps.

    Args:
        peak: The highest rate.
        warmup: Steps of the rise, at least 1.
        decay: Steps of the fall, at least 1.
    """

    def __init__(self, peak: float, warmup: int, decay: int):
        super().__init__()
        self.peak, self.warmup, self.decay = peak, warmup, decay

    def __call__(self, step):  # noqa: D102
        step = keras.ops.cast(step, "float32")
        fallen = keras.ops.clip((step - self.warmup) / self.decay, 0.0, 1.0)
        rate = 0.5 * (1.0 + keras.ops.cos(np.pi * fallen)) * self.peak
        return keras.ops.where(step < self.warmup, self.peak * (step / self.warmup), rate)

    def get_config(self):  # noqa: D102
        return {"peak": self.peak, "warmup": self.warmup, "decay": self.decay}
