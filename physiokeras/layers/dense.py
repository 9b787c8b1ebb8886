"""A dense layer over tokens."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("physiokeras")
def gelu(x):
    """The exact Gaussian error linear unit, `keras.activations.gelu(x, approximate=False)`.

    Written with the error function, which XLA computes faster on CPUs than the complementary one that JAX takes.

    Args:
        x: A tensor of floats.

    Returns: The same shape and type.

    Source: Hendrycks and Gimpel 2016, arXiv 1606.08415.
    """
    if keras.config.backend() == "torch":
        import torch

        if isinstance(x, torch.Tensor):
            return torch.nn.functional.gelu(x)
    return 0.5 * x * (1.0 + ops.erf(x * 0.5**0.5))


@keras.saving.register_keras_serializable("physiokeras")
class TokenDense(keras.layers.Dense):
    """`keras.layers.Dense` over the last axis, computed on all tokens of the batch as one matrix.

    The values are those of `Dense`. Flattening spares JAX on CPUs the batched weight gradient, which is 1.6 times
    slower; on PyTorch product, bias and flattening are one call, which spares a copy of the output.

    Args:
        units: Width of the output.
        **kwargs: As in `keras.layers.Dense`.

    Call arguments:
        inputs: `(batch, ..., width)`; all axes but the first must be known.

    Returns: `(batch, ..., units)`.
    """

    def call(self, inputs, training=None):  # noqa: D102
        if keras.config.backend() == "torch":
            import torch

            bias = ops.convert_to_tensor(self.bias) if self.use_bias else None
            outputs = torch.nn.functional.linear(inputs, ops.convert_to_tensor(self.kernel).T, bias)
            return outputs if self.activation is None else self.activation(outputs)
        outputs = super().call(ops.reshape(inputs, (-1, inputs.shape[-1])))
        return ops.reshape(outputs, (-1, *inputs.shape[1:-1], self.units))

    def parts(self, inputs, count):
        """What `call` returns, cut along the last axis, of a layer with bias and without activation.

        XLA adds up the gradients of the parts' biases faster than that of the whole bias, which it concatenates first.

        Args:
            inputs: As in `call`.
            count: Number of parts, which divides `units`.

        Returns: list of `(batch, ..., units / count)`.
        """
        if keras.config.backend() == "torch":
            return ops.split(self.call(inputs), count, axis=-1)
        products = ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), self.kernel)
        shape = (-1, *inputs.shape[1:-1], self.units // count)
        pairs = zip(ops.split(products, count, axis=-1), ops.split(self.bias, count), strict=True)
        return [ops.reshape(product + bias, shape) for product, bias in pairs]
