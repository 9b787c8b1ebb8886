"""Tuning of features to modalities: the share of the variance of a feature (a unit of a layer) that each causes."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from physiokeras.channel_layout import ChannelLayout
from physiokeras.evaluation.extraction import predict, present_modalities
from physiokeras.models import Encoder
from physiokeras.seeds import derive

ROWS = 64


class LayerMeans(keras.Model):
    """Mean over the tokens of each modality, after the tokenizers and after each block.

    Args:
        encoder: `Encoder`.

    Call arguments:
        inputs: As in `Encoder`.

    Returns: float32 `(batch, 1 + depth, modalities, width)`.
    """

    def __init__(self, encoder, **kwargs):
        super().__init__(**{"name": "layer_means", "autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        self.encoder = encoder
        self.built = True

    def call(self, inputs):  # noqa: D102
        encoder = self.encoder
        signals, channels = encoder.read(inputs)
        first = encoder.tokenize(signals, encoder.measure(signals, channels))
        layers = ops.stack([first, *encoder(inputs, return_layers=True)["layers"]], axis=1)
        shape = (-1, encoder.depth + 1, len(encoder.modalities), encoder.time, encoder.width)
        return ops.mean(ops.reshape(ops.cast(layers, "float32"), shape), axis=3)


@dataclass(frozen=True)
class Tuning:
    """Variance of units that each modality causes.

    Args:
        modalities: Names.
        variance: `(modalities, ...)` of units: variance when one modality varies and the others are held fixed.
        ablation: `(modalities, ...)`: variance over windows of the change when a modality is set to zero.
    """

    modalities: tuple
    variance: np.ndarray
    ablation: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """`variance` as shares `(modalities, ...)` that sum to 1 over modalities; NaN for a constant unit."""
        return _normalized(self.variance)

    @property
    def ablation_shares(self) -> np.ndarray:
        """`ablation` as shares, like `shares`."""
        return _normalized(self.ablation)

    @property
    def distributedness(self) -> np.ndarray:
        """`(...)` of units: entropy of `shares` / log modalities; 0 if tuned to one modality, 1 if to all equally."""
        return distributedness(self.shares)


def distributedness(shares: np.ndarray) -> np.ndarray:
    """Entropy of shares over the first axis, relative to its maximum.

    Args:
        shares: `(modalities, ...)`, sum 1.

    Returns: `(...)` in [0, 1]; NaN with one modality.
    """
    shares = np.asarray(shares, np.float64)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(len(shares) > 1, entropy / np.log(len(shares)), np.nan)


def unit_tuning(
    respond: Callable[[dict[str, np.ndarray]], np.ndarray],
    inputs: dict[str, np.ndarray],
    present: np.ndarray,
    channels: dict[str, slice],
    *,
    bases: int = 32,
    variants: int = 8,
    seed: int = 0,
) -> Tuning:
    """Measure the responses of units when one modality at a time varies over windows and the others are held fixed.

    Args:
        respond: Function of a batch of inputs; returns the responses of units, `(batch, ...)`.
        inputs: dict of arrays `(windows, ...)`: signals by modality, and "present" `(windows, channels)`.
        present: Boolean `(windows, modalities)`; windows without a modality are not used for it.
        channels: Modality -> slice of its columns in "present".
        bases: Number of windows whose other modalities are held fixed.
        variants: Number of windows from which the varied modality is taken, for each base.
        seed: Seed of the choice of windows.

    Returns: `Tuning`. If a response is a sum of functions of single modalities, its shares are the shares of the
        functions' variances.

    Raises:
        ValueError: Fewer than two windows have a modality.
    """
    draw, variance, ablation = np.random.default_rng(derive(seed, "tuning")), [], []
    for number, name in enumerate(channels):
        here = np.flatnonzero(present[:, number])
        if len(here) < 2:
            raise ValueError(f"Tuning needs at least two windows with each modality. {name!r} has {len(here)}.")
        chosen = draw.permutation(here)[:bases]
        lenders = np.stack([draw.permutation(here)[:variants] for _ in chosen])
        variance.append(_varied(respond, inputs, chosen, lenders, name, channels[name]))
        ablation.append(_ablated(respond, inputs, draw.permutation(here)[: 2 * bases], name))
    return Tuning(tuple(channels), np.stack(variance), np.stack(ablation))


def encoder_tuning(encoder: Encoder, inputs: dict[str, np.ndarray], **options) -> Tuning:
    """Tuning of the units of each layer, read at the tokens of each modality and, as probes do, at the mean of all.

    Args:
        encoder: `Encoder` of at least two modalities.
        inputs: Arrays as in `Encoder`, with "present": a few hundred windows of many people.
        **options: Options of `unit_tuning`.

    Returns: `Tuning` of units `(1 + depth, modalities + 1, width)`. The first axis holds the tokenizers, then the
        blocks; the second the tokens of each modality, then the mean over all tokens.
    """
    reader, channels = LayerMeans(encoder), ChannelLayout.of(encoder.modalities).columns

    def respond(batch):
        weight = present_modalities(encoder, batch)[:, None, :, None]
        means = predict(reader, batch, ROWS) * weight
        pooled = means.sum(axis=2, keepdims=True) / np.maximum(weight.sum(axis=2, keepdims=True), 1)
        return np.concatenate([means, pooled], axis=2)

    return unit_tuning(respond, inputs, present_modalities(encoder, inputs), channels, **options)


def _varied(respond, inputs, chosen, lenders, name, columns):
    """Variance over variants, mean over bases."""
    total, step = 0.0, max(1, ROWS // lenders.shape[1])
    for start in range(0, len(chosen), step):
        some, lent = chosen[start : start + step], lenders[start : start + step]
        batch = {key: values[np.repeat(some, lent.shape[1])] for key, values in inputs.items()}
        batch[name] = inputs[name][lent.ravel()]
        batch["present"][:, columns] = inputs["present"][lent.ravel()][:, columns]
        made = _in_parts(respond, batch)
        made = made.reshape(*lent.shape, *made.shape[1:])
        total = total + made.var(axis=1, ddof=1).sum(axis=0)
    return total / len(chosen)


def _ablated(respond, inputs, chosen, name):
    """Variance over windows of the change when a modality is set to zero; a constant change carries no information."""
    batch = {key: values[chosen] for key, values in inputs.items()}
    change = _in_parts(respond, batch) - _in_parts(respond, {**batch, name: np.zeros_like(batch[name])})
    return change.var(axis=0, ddof=1)


def _in_parts(respond, batch):
    rows = len(batch["present"])
    parts = [{key: values[i : i + ROWS] for key, values in batch.items()} for i in range(0, rows, ROWS)]
    return np.concatenate([np.asarray(respond(part), np.float64) for part in parts])


def _normalized(values):
    total = values.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, values / total, np.nan)
