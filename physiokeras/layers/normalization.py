"""Layer normalisation over tokens."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("physiokeras")
class TokenNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, computed on all tokens of the batch as one matrix.

    The values are those of `LayerNormalization`. XLA fuses this form on CPUs, where it writes the other's statistics
    out at full width.

    Args:
        **kwargs: As in `keras.layers.LayerNormalization`; `axis` stays the last.

    Call arguments:
        inputs: `(batch, ..., width)`; all axes but the first must be known.

    Returns: The same shape.
    """

    def call(self, inputs):  # noqa: D102
        if keras.config.backend() == "torch":
            import torch

            gamma, beta = (ops.convert_to_tensor(x).float() for x in (self.gamma, self.beta))
            outputs = torch.nn.functional.layer_norm(inputs.float(), gamma.shape, gamma, beta, self.epsilon)
            return ops.cast(outputs, self.compute_dtype)
        flat = ops.cast(ops.reshape(inputs, (-1, inputs.shape[-1])), "float32")
        flat = flat - ops.mean(flat, axis=1, keepdims=True)
        variance = ops.mean(ops.square(flat), axis=1, keepdims=True)
        outputs = flat * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta
        return ops.cast(ops.reshape(outputs, (-1, *inputs.shape[1:])), self.compute_dtype)
