"""Losses that Keras lacks."""

from keras import ops


def hidden_patch_error(target, prediction, hidden, present):
    """Mean squared error over hidden patches of present channels.

    Args:
        target: float32 `(batch, samples, channels)`.
        prediction: `(batch, samples, channels)`.
        hidden: Boolean `(batch, time)`, true for patches that count.
        present: Boolean `(batch, channels)`, true for channels that count.

    Returns: a pair of float32 scalars: the mean, 0 where nothing counts; and the number of samples that counted.
    """
    _, samples, channels = target.shape
    time = hidden.shape[1]
    patches = (-1, time, samples // time, channels)
    error = ops.square(ops.reshape(ops.cast(prediction, "float32") - target, patches))
    weight = ops.cast(ops.logical_and(hidden[:, :, None], present[:, None, :]), "float32")
    count = ops.sum(weight) * (samples // time)
    return ops.sum(ops.sum(error, axis=2) * weight) / ops.maximum(count, 1.0), count


def normalize_patches(signal, time):
    """Give every patch of every channel mean 0 and variance 1.

    Args:
        signal: `(batch, samples, channels)`.
        time: Number of patches.

    Returns: `(batch, samples, channels)`.

    Source: MultiMAE, arXiv 2204.01678: unbiased variance, plus 1e-6; here channel by channel, since absent channels
    would shift the others.
    """
    _, samples, channels = signal.shape
    size = samples // time
    patches = ops.reshape(signal, (-1, time, size, channels))
    centred = patches - ops.mean(patches, axis=2, keepdims=True)
    variance = ops.sum(ops.square(centred), axis=2, keepdims=True) / max(size - 1, 1)
    return ops.reshape(centred / ops.sqrt(variance + 1e-6), (-1, samples, channels))
