"""Log band powers of windows: features without a network, the floor that an encoder has to beat."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import spectrogram

from physiokeras.channel_layout import ChannelLayout
from physiokeras.constants import INT16_SCALE
from physiokeras.evaluation.extraction import features_by
from physiokeras.evaluation.features import Features
from physiokeras.layers.patch_spectrum import band_edges
from physiokeras.pipelines import Manifest
from physiokeras.recent import Recent

SPANS = (1, 4, 16)
"""Lengths in seconds of the spans whose spectra are taken; those longer than a window are left out."""

BANDS = 8
"""Most bands of a spectrum."""

_kept = Recent(4)
"""Features of sets of records: those of the splits of one fold."""


@dataclass(frozen=True)
class BandPowers:
    """Log band powers of every channel: a source of features for probes, as `EncoderFeatures`, without an encoder.

    Args:
        manifest: `Manifest`.
        modalities: Names of those that are read.
    """

    manifest: Manifest
    modalities: tuple[str, ...]
    parameters = 0

    def features(self, records: Sequence[str], left: Sequence[str] | None = None) -> Features:
        """As `EncoderFeatures.features`."""
        return features_of_records(self.manifest, records, self.modalities, left)


def features_of_records(manifest, records, modalities, left=None):
    """Band powers of every channel in all windows of records.

    Args:
        manifest: `Manifest`.
        records: Names of records.
        modalities: Names of the modalities whose channels are read.
        left: Names of those that are kept, all others being treated as absent; None: all.

    Returns: `Features`, as `features_of_windows` gives them: the numbers of `band_powers` channel by channel, zeros
        where a channel is absent.
    """
    whole = _kept_features(manifest, tuple(records), tuple(modalities))
    if left is None:
        return whole
    widths = {name: _width(manifest.modalities[name]) for name in modalities}
    kept = np.repeat([name in left for name in modalities], list(widths.values()))
    return replace(whole, values=np.where(kept, whole.values, np.float32(0)))


def _width(modality):
    """Number of features of a modality."""
    one = band_powers(np.zeros((1, modality["samples"])), modality["rate"])
    return len(modality["channels"]) * one.shape[1]


def _kept_features(manifest, records, modalities):
    """Features with all modalities, kept for later calls: seeds and subsets of a comparison ask for the same again."""
    read = json.dumps({name: manifest.modalities[name] for name in modalities}, sort_keys=True)
    key = manifest.folder, manifest.data_hash, records, read
    return _kept.get(key, lambda: _features(manifest, records, modalities))


def _features(manifest, records, modalities):
    layout = ChannelLayout.of({name: manifest.modalities[name] for name in modalities})

    def of_batch(inputs, _):
        found = []
        for name, present in layout.split(inputs["present"]).items():
            for channel, there in zip(np.moveaxis(inputs[name], 2, 0), present.T, strict=True):
                own = band_powers(channel * INT16_SCALE, manifest.modalities[name]["rate"])
                found.append(np.where(there[:, None], own, np.float32(0)))
        return np.concatenate(found, axis=1)

    return features_by(of_batch, manifest, modalities, records=list(records))


def band_powers(signals: np.ndarray, rate: float) -> np.ndarray:
    """Log powers of one channel in frequency bands, averaged over each window, and the window's mean.

    At every second a span of each length in `SPANS` is centred, reflected at the window's ends. Its power spectral
    density (mean subtracted, Hann window) is averaged in at most `BANDS` bands with logarithmically spaced edges. The
    logarithm of each band's power is averaged over the window. The spectral density of the stored integers' rounding
    noise is added to each power, so that a silent channel has a finite logarithm.

    Args:
        signals: `(windows, samples)`, scaled values.
        rate: Samples per second.

    Returns: float32 `(windows, numbers)`: the mean, then the bands from low to high, span by span.

    Source of the spectral density: Welch 1967, doi 10.1109/TAU.1967.1161901, by `scipy.signal.spectrogram`.
    """
    signals = np.asarray(signals, np.float64)
    found = [signals.mean(axis=1, keepdims=True)]
    hop = max(1, round(rate))
    noise = INT16_SCALE**2 / 12 / (rate / 2)  # the variance of rounding, spread evenly over 0 to rate / 2
    for span in SPANS:
        samples = round(span * rate)
        if not 4 <= samples <= signals.shape[1]:
            continue
        beyond = max(0, samples - hop)
        padded = np.pad(signals, ((0, 0), (beyond // 2, beyond - beyond // 2)), mode="reflect")
        _, _, density = spectrogram(
            padded, rate, "hann", samples, samples - min(hop, samples), detrend="constant", axis=1
        )
        edges = band_edges(samples, BANDS)
        bands = [density[:, low:high].mean(axis=1) for low, high in itertools.pairwise(edges)]
        found.append(np.log(np.stack(bands, axis=1) + noise).mean(axis=2))
    return np.concatenate(found, axis=1).astype(np.float32)
