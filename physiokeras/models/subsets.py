"""Features of windows of which only a subset of the modalities is read."""

from keras import ops

from physiokeras.models.probe import FeatureExtractor
from physiokeras.models.spectral import SpectralModel, pooled_spectra


class SubsetExtractor(FeatureExtractor):
    """`FeatureExtractor` of a subset of the modalities, which computes the tokens of that subset only.

    Subsets of equal size share one compiled program.

    Args:
        encoder: The encoder.
        pooling: "mean" over the present modalities, or "concatenate", with zeros for those that are not read.
        skip: As in `FeatureExtractor`, whose `keep_time` must stay False.

    Call arguments:
        inputs: As in `Encoder`, and "left", a tuple of integers `(batch,)`: numbers of the subset's modalities, in
            rising order. It is a tuple because TensorFlow loses the size of an axis that differs between calls.

    Returns: float32 `(batch, width)` as of `FeatureExtractor`; numbers of spectra that are not read are 0.
    """

    def call(self, inputs):  # noqa: D102
        encoder, left = self.encoder, ops.stack(inputs["left"], axis=1)
        signals, channels = encoder.read(inputs)
        read = ops.any(ops.one_hot(left, len(encoder.modalities), dtype="bool"), axis=1)
        spectra = encoder.measure(signals, channels)
        present = ops.logical_and(encoder.present_modalities(channels), read)
        places = left[:, :, None] * encoder.time + ops.arange(encoder.time, dtype=left.dtype)
        places = ops.reshape(places, (-1, left.shape[1] * encoder.time))
        valid = ops.take_along_axis(ops.repeat(present, encoder.time, axis=1), places, axis=1)
        tokens = ops.take_along_axis(encoder.tokenize(signals, spectra), places[:, :, None], axis=1)
        tokens = encoder.transform(tokens, valid, modality=places // encoder.time)
        # Tokens of all modalities, zero outside the subset.
        shape = (-1, left.shape[1], encoder.time * encoder.width)
        spread = ops.one_hot(left, len(encoder.modalities), axis=1, dtype=tokens.dtype)
        tokens = ops.matmul(spread, ops.reshape(tokens, shape))
        pooled = self.pool(ops.reshape(tokens, (-1, encoder.tokens, encoder.width)), present)
        return ops.concatenate([pooled, *pooled_spectra(spectra, present)], axis=-1) if self.skip else pooled


class PatchReader(SpectralModel):
    """First half of `FeatureExtractor`: what it computes of a window before modalities meet.

    `PatchFeatures` is the second half. Spectra take most of the time of a small encoder, and this computes them once
    for all subsets of the modalities.

    Args:
        encoder: The encoder.

    Call arguments:
        inputs: As in `Encoder`.

    Returns: dict of "tokens" float32 `(batch, tokens, width)`, "present" boolean `(batch, modalities)`, and "spectra":
        a list with the means over time `(batch, numbers)` of each modality's spectra.
    """

    def __init__(self, encoder, **kwargs):
        super().__init__(**{"autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        self.encoder, self.built = encoder, True

    def call(self, inputs):  # noqa: D102
        signals, channels = self.encoder.read(inputs)
        spectra = self.encoder.measure(signals, channels)
        present = self.encoder.present_modalities(channels)
        means = pooled_spectra(spectra, present)
        tokens = ops.cast(self.encoder.tokenize(signals, spectra), "float32")  # NumPy has no bfloat16
        return {"tokens": tokens, "present": present, "spectra": means}


class PatchFeatures(FeatureExtractor):
    """Second half of `FeatureExtractor`, of any subset of the modalities in each window.

    Args:
        encoder: The encoder.
        pooling: As in `FeatureExtractor`.
        skip: As in `FeatureExtractor`.

    Call arguments:
        patches: What `PatchReader` returns; in "present" only the modalities that shall be read are true.

    Returns: float32 `(batch, width)` as of `FeatureExtractor` where the other modalities are absent.
    """

    def call(self, patches):  # noqa: D102
        encoder, present = self.encoder, ops.cast(patches["present"], "bool")
        valid = ops.repeat(present, encoder.time, axis=1)
        modality = ops.arange(encoder.tokens)[None] // encoder.time
        tokens = ops.cast(patches["tokens"], encoder.compute_dtype)
        pooled = self.pool(encoder.transform(tokens, valid, modality), present)
        if not self.skip:
            return pooled
        spectra = [
            ops.where(ops.reshape(present[:, i], (-1, 1)), mean, 0.0) for i, mean in enumerate(patches["spectra"])
        ]
        return ops.concatenate([pooled, *spectra], axis=-1)
