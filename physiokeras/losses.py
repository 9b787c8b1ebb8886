"""Losses of masked autoencoding and of contrastive pretraining."""

from keras import ops

from physiokeras.constants import Tensor


def hidden_patch_error(
    target: Tensor, prediction: Tensor, hidden: Tensor, present: Tensor, sample_weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean squared error over hidden patches of present channels.

    Args:
        target: float32 `(batch, samples, channels)`.
        prediction: `(batch, samples, channels)`.
        hidden: Boolean `(batch, time)`, true for patches that count.
        present: Boolean `(batch, channels)`, true for channels that count.
        sample_weight: Weight of each row, `(batch,)` or `(batch, 1)`; by default 1.

    Returns: a pair of float32 scalars: the mean, 0 where nothing counts; and the sum of the weights of the samples that
        counted.
    """
    _, samples, channels = target.shape
    time = hidden.shape[1]
    patches = (-1, time, samples // time, channels)
    error = ops.square(ops.reshape(ops.cast(prediction, "float32") - target, patches))
    weight = ops.cast(ops.logical_and(hidden[:, :, None], present[:, None, :]), "float32")
    if sample_weight is not None:
        weight = weight * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1, 1))
    count = ops.sum(weight) * (samples // time)
    return ops.sum(ops.sum(error, axis=2) * weight) / ops.where(count > 0, count, 1.0), count


def normalize_patches(signal: Tensor, time: int) -> Tensor:
    """Scale every patch of every channel to mean 0 and variance 1.

    Args:
        signal: `(batch, samples, channels)`.
        time: Number of patches.

    Returns: `(batch, samples, channels)`.

    Source: MultiMAE, arXiv 2204.01678: unbiased variance, plus 1e-6; here per channel, so that absent channels do not
    affect the others.
    """
    _, samples, channels = signal.shape
    size = samples // time
    patches = ops.reshape(signal, (-1, time, size, channels))
    centred = patches - ops.mean(patches, axis=2, keepdims=True)
    variance = ops.sum(ops.square(centred), axis=2, keepdims=True) / max(size - 1, 1)
    return ops.reshape(centred / ops.sqrt(variance + 1e-6), (-1, samples, channels))


def pairwise_contrast(embeddings: Tensor, present: Tensor, log_scale: Tensor) -> Tensor:
    """Contrastive loss over all pairs of modalities: match the two embeddings of each window within the batch.

    Args:
        embeddings: `(batch, modalities, width)`.
        present: Boolean `(batch, modalities)`; a row counts in the pairs of which both are present.
        log_scale: Scalar, logarithm of the factor on the similarities.

    Returns: float32 scalar: mean over the pairs that at least two rows have, 0 if there is none.

    Source: SleepFM, Thapa et al. 2024, arXiv 2405.17766.
    """
    modalities = embeddings.shape[1]
    first, second = zip(*((i, j) for j in range(modalities) for i in range(j)), strict=True)
    embeddings = unit_length(embeddings)
    first, second = (ops.convert_to_tensor(places, "int32") for places in (first, second))
    return matching_error(
        ops.take(embeddings, first, axis=1),
        ops.take(embeddings, second, axis=1),
        ops.logical_and(ops.take(present, first, axis=1), ops.take(present, second, axis=1)),
        log_scale,
    )


def leave_one_out_contrast(embeddings: Tensor, present: Tensor, log_scale: Tensor) -> Tensor:
    """Contrastive loss of each modality against the mean of a window's others.

    Args:
        embeddings: `(batch, modalities, width)`.
        present: Boolean `(batch, modalities)`; the mean is over the other present modalities, and a row without any
            does not count.
        log_scale: Scalar, logarithm of the factor on the similarities.

    Returns: float32 scalar: mean over the modalities that at least two rows have beside another one, 0 if there is
        none.

    Source: SleepFM, Thapa et al. 2024, arXiv 2405.17766; the mean is not normalised again.
    """
    embeddings = unit_length(embeddings)
    weight = ops.cast(present, "float32")[:, :, None]
    kept = embeddings * weight
    count = ops.sum(weight, axis=1, keepdims=True) - weight
    others = (ops.sum(kept, axis=1, keepdims=True) - kept) / ops.maximum(count, 1.0)
    return matching_error(embeddings, others, ops.logical_and(present, count[:, :, 0] > 0), log_scale)


def matching_error(first: Tensor, second: Tensor, takes_part: Tensor, log_scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of matching each row's two embeddings among all rows, by similarity.

    Args:
        first: float32 `(batch, pairs, width)`.
        second: float32 `(batch, pairs, width)`.
        takes_part: Boolean `(batch, pairs)`, false for rows that are left out.
        log_scale: Scalar, logarithm of the factor on the similarities.

    Returns: float32 scalar: mean over rows, both directions, and the pairs in which two rows or more take part; 0 if
        there is none.
    """
    asked = ops.cast(ops.transpose(takes_part), "float32")
    # A single row always matches itself, so its pair is left out of the mean.
    asked = asked * ops.cast(ops.sum(asked, axis=1, keepdims=True) > 1, "float32")
    offered = ops.transpose(takes_part)[:, None, :]
    first, second = ops.transpose(first, (1, 0, 2)), ops.transpose(second, (1, 0, 2))
    scale = ops.exp(ops.cast(log_scale, "float32"))
    similar = ops.matmul(first, ops.transpose(second, (0, 2, 1))) * scale
    right = ops.sum(first * second, axis=-1) * scale
    forth, back = (
        ops.logsumexp(ops.where(offered, logits, -1e9), axis=-1) - right
        for logits in (similar, ops.transpose(similar, (0, 2, 1)))
    )
    error = ops.sum((forth + back) / 2 * asked, axis=1) / ops.maximum(ops.sum(asked, axis=1), 1.0)
    pairs = ops.sum(ops.max(asked, axis=1))
    return ops.sum(error) / ops.maximum(pairs, 1.0)


def unit_length(vectors: Tensor) -> Tensor:
    """Vectors divided by their length; zero vectors stay zero, with a finite gradient.

    Args:
        vectors: `(..., width)`.

    Returns: float32, the same shape.
    """
    vectors = ops.cast(vectors, "float32")
    return vectors * ops.rsqrt(ops.maximum(ops.sum(ops.square(vectors), axis=-1, keepdims=True), 1e-12))
