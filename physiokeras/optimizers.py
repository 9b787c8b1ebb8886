"""The optimizer of the experiments."""

import keras

from physiokeras.keras_internals import AdamWSteps


@keras.saving.register_keras_serializable("physiokeras")
class AdamW(AdamWSteps):
    """`keras.optimizers.AdamW`, updated on PyTorch by its fused kernel.

    The values are those of Keras, except that under a `tf.distribute` strategy the gradient of the whole batch is
    clipped, where Keras clips each replica's part.

    Args:
        **kwargs: As in `keras.optimizers.AdamW`.
    """
