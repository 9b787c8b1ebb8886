"""Floating-point operations of a training step of the masked autoencoder, and peak rates of GPUs."""

PEAKS = {
    "H100": {"mixed_bfloat16": 989e12, "float32": 494.5e12},
    "H200": {"mixed_bfloat16": 989e12, "float32": 494.5e12},
}
"""Dense operations per second of SXM cards according to NVIDIA's datasheets; float32 uses TF32 units."""


def peak(card, policy):
    """Peak operations per second according to the datasheet, or None for an unlisted card."""
    return next((rates[policy] for name, rates in PEAKS.items() if name in card), None)


def step_flops(modalities, batch, time, width, depth, ratio=0.7, decoder_width=128, decoder_depth=2):
    """Operations of all matrix products in one training step, forward and backward, without element-wise operations.

    A multiplication and an addition are two operations. The backward pass of a product is two products, for the
    gradients of both factors; the first layer needs no gradient of its input.

    Args:
        modalities: As in `Encoder`.
        batch: Number of windows.
        time: Number of tokens of a modality.
        width: Width of the encoder.
        depth: Number of the encoder's blocks.
        ratio: Share of the tokens hidden.
        decoder_width: Width of the decoders.
        decoder_depth: Number of blocks of a decoder.

    Returns: integer.
    """
    kept, d = batch * round((1 - ratio) * len(modalities) * time), decoder_width
    decoded, keys = batch * time, kept // batch
    patches = [m["samples"] // time * m["channels"] for m in modalities.values()]
    first = sum(_dense(decoded, patch, width) for patch in patches)
    rest = len(patches) * _dense(decoded, width, width)
    rest += depth * (_dense(kept, width, 3 * width) + _mix(kept, keys, width) + _perceptron(kept, width))
    for patch in patches:
        rest += (
            _dense(kept, width, d) + _dense(kept, d, 2 * d) + _dense(time, d, d)
        )  # the queries are the same in all rows
        rest += _mix(decoded, keys, d) + _perceptron(decoded, d)
        rest += decoder_depth * (_dense(decoded, d, 3 * d) + _mix(decoded, time, d) + _perceptron(decoded, d))
        rest += _dense(decoded, d, patch)
    return 2 * first + 3 * rest


def _dense(rows, inputs, outputs):
    return 2 * rows * inputs * outputs


def _mix(rows, keys, width):
    """Operations of attention scores, the weighted sum, and the linear layer after it."""
    return 2 * _dense(rows, width, keys) + _dense(rows, width, width)


def _perceptron(rows, width):
    return 2 * _dense(rows, width, 4 * width)
