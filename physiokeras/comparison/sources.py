"""Sources of the features that probes read: an encoder, log band powers, or the time alone."""

from dataclasses import dataclass

import numpy as np

from physiokeras.comparison.strategies import BAND_POWER, TIME
from physiokeras.evaluation import band_power
from physiokeras.evaluation.extraction import FULL_BATCH, features_by, features_of_windows, predict
from physiokeras.experiments.compiled_models import shared_extractor
from physiokeras.models import Encoder
from physiokeras.models.subsets import SubsetExtractor
from physiokeras.pipelines import Manifest


@dataclass(frozen=True)
class EncoderFeatures:
    """Pooled tokens of a frozen encoder.

    Args:
        manifest: `Manifest`.
        encoder: `Encoder`.
        pooling: As in `FeatureExtractor`.
    """

    manifest: Manifest
    encoder: Encoder
    pooling: str

    @property
    def modalities(self):
        """Names of the modalities that can be missing."""
        return tuple(self.encoder.modalities)

    @property
    def parameters(self):
        """Number of the encoder's weights."""
        return self.encoder.count_params()

    def features(self, records, left=None):
        """`Features` of all windows of records; of the modalities only those in `left` are read, None for all."""
        if left is None:
            extractor = shared_extractor(self.encoder, self.pooling)
            return features_of_windows(extractor, self.manifest, records=records)
        extractor = shared_extractor(self.encoder, self.pooling, SubsetExtractor)
        places = [self.modalities.index(name) for name in left]

        def of_batch(inputs, _):
            numbers = tuple(np.full(len(inputs["present"]), place, np.int32) for place in places)
            return predict(extractor, {**inputs, "left": numbers}, FULL_BATCH)

        return features_by(of_batch, self.manifest, self.modalities, records=records)


@dataclass(frozen=True)
class BandPowers:
    """Log band powers of the windows; see `physiokeras.evaluation.band_power`.

    Args:
        manifest: `Manifest`.
        modalities: Names of those that are read.
    """

    manifest: Manifest
    modalities: tuple[str, ...]
    parameters = 0

    def features(self, records, left=None):
        """As `EncoderFeatures.features`."""
        return band_power.features_of_records(self.manifest, records, self.modalities, left)


@dataclass(frozen=True)
class TimeAlone:
    """Number of the window in its recording; no signal is read.

    Args:
        manifest: `Manifest`.
    """

    manifest: Manifest
    modalities = ()
    parameters = 0

    def features(self, records):
        """`Features` of width 1 of all windows of records."""

        def of_batch(_, labels):
            return labels["window"][:, None].astype(np.float32)

        return features_by(of_batch, self.manifest, self.manifest.defaults[:1], records=records)


def source_of(strategy, encoder, manifest):
    """The source of features of a `Strategy`; its encoder is None where it has none."""
    if strategy.name == TIME:
        return TimeAlone(manifest)
    if strategy.name == BAND_POWER:
        return BandPowers(manifest, strategy.modalities)
    return EncoderFeatures(manifest, encoder, strategy.settings.pooling)
