"""Fourier transform of real numbers by matrix products."""

import math

import numpy as np
from keras import ops


def rfft_by_products(signal):
    """As `keras.ops.rfft`, by matrix products and additions only.

    Runtimes of exported models lack the operation (ONNX from TensorFlow) or have it for powers of two only (LiteRT). A
    length is the product of two factors: the first is transformed, multiplied by the twiddle factors, then the second
    is transformed (Cooley and Tukey 1965). The matrices of a span of 1600 samples have 5,000 numbers instead of
    2.5 million.

    Args:
        signal: float32 `(batch, ..., samples)`; all axes but the first have a fixed length.

    Returns: real and imaginary part, float32 `(batch, ..., samples // 2 + 1)`.
    """
    inner, size = [int(n) for n in signal.shape[1:-1]], int(signal.shape[-1])
    first = max(n for n in range(1, math.isqrt(size) + 1) if size % n == 0)
    second, kept = size // first, size // first // 2 + 1
    parts = ops.transpose(ops.reshape(signal, (-1, first, second)), (0, 2, 1))
    parts = ops.matmul(ops.reshape(parts, (-1, first)), np.concatenate(_wave(first, first, first), axis=1))
    parts = ops.reshape(parts, (-1, second, 2 * first))
    cosine, sine = (ops.convert_to_tensor(wave) for wave in _wave(second, first, size))
    real, imaginary = parts[..., :first], parts[..., first:]
    real, imaginary = real * cosine - imaginary * sine, real * sine + imaginary * cosine
    parts = ops.transpose(ops.concatenate([real, imaginary], axis=1), (0, 2, 1))
    cosine, sine = _wave(second, kept, second)
    both = np.concatenate([np.concatenate([cosine, sine], axis=1), np.concatenate([-sine, cosine], axis=1)])
    parts = ops.reshape(ops.matmul(ops.reshape(parts, (-1, 2 * second)), both), (-1, first, 2 * kept))
    parts = ops.transpose(parts, (0, 2, 1))
    halves = (ops.reshape(half, (-1, *inner, kept * first)) for half in (parts[:, :kept], parts[:, kept:]))
    return tuple(half[..., : size // 2 + 1] for half in halves)


def _wave(rows, columns, period):
    """Real and imaginary part of exp(-2 pi i row column / period), float32 `(rows, columns)`."""
    angle = -2 * np.pi / period * (np.outer(np.arange(rows), np.arange(columns)) % period)
    return np.cos(angle).astype("float32"), np.sin(angle).astype("float32")
