"""Attention of an encoder over a stream of windows, reduced as it passes: what is kept grows with people, not windows.

Three nulls go with it. Key times permuted inside each modality: time then makes no difference by construction. All
modalities shifted in time against each other, which leaves each signal as it was: attention that follows the clock
stays, attention that follows what happened in two modalities at once moves with the signals. And another encoder, such
as an untrained one, over the same windows.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from physiokeras.analysis import attention_measures as measure
from physiokeras.evaluation.extraction import BATCH, predict, present_modalities
from physiokeras.evaluation.sum_intervals import sum_intervals
from physiokeras.seeds import derive

CONDITIONS = ("as recorded", "key times permuted", "shifted, by the clock", "shifted, by the signals")
"""How windows are shown and times are counted: the first is the finding, the others its nulls."""


class HeadMeans(keras.Model):
    """Attention of every layer, averaged over heads.

    Args:
        encoder: `Encoder`.

    Call arguments:
        inputs: As in `Encoder`.

    Returns: float32 `(batch, layers, tokens, tokens)`.
    """

    def __init__(self, encoder, **kwargs):
        super().__init__(**{"name": "head_means", "autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        self.encoder = encoder
        self.built = True

    def call(self, inputs):  # noqa: D102
        attention = self.encoder(inputs, return_attention=True)["attention"]
        return ops.stack([ops.mean(weights, axis=1) for weights in attention], axis=1)


@dataclass(frozen=True)
class AttentionSums:
    """What is kept of the attention of many windows.

    Attributes:
        modalities: Names.
        layers: "1", "2", ... and "rollout", the order of the axis `layers` below.
        people: Names, sorted.
        windows: `(people,)`, how many of each in which there was any attention.
        bands: `(people, layers)`, sums of `attention_measures.bands`.
        mass: Condition (see `CONDITIONS`) -> `(people, layers, modalities, modalities, time)`, sums of
            `attention_measures.spread`.
        expected: The same of uniform attention in the same windows, one layer.
        picture: `(layers, tokens, tokens)`, mean over the windows that have both tokens, each's own attention included.
    """

    modalities: tuple
    layers: tuple
    people: np.ndarray
    windows: np.ndarray
    bands: np.ndarray
    mass: dict
    expected: dict
    picture: np.ndarray

    def total(self, condition=CONDITIONS[0]):
        """Mass and uniform mass `(layers, modalities, modalities, time)` over all people."""
        return self.mass[condition].sum(axis=0), self.expected[condition].sum(axis=0)


def attention_sums(encoder, batches, *, seed=0, nulls=True):
    """Run an encoder over windows and keep sums of its attention.

    Args:
        encoder: `Encoder`; all tokens are shown, none masked.
        batches: Iterable of `(inputs, people)`: arrays as in `Encoder`, up to 32 windows, and whose each window is.
        seed: Seed of the permuted key times.
        nulls: Whether to compute the conditions besides the first; without, it takes half the time.

    Returns: `AttentionSums`.

    Raises:
        ValueError: No window.
    """
    reader, sums, draw = HeadMeans(encoder), {}, np.random.default_rng(derive(seed, "key times"))
    size, time = len(encoder.modalities), encoder.time
    shape = (encoder.depth + 1, encoder.tokens, encoder.tokens)
    pictures, pairs = np.zeros(shape), np.zeros((size, size))
    shift = np.arange(size) * time // size
    moved = (np.arange(time) - shift[:, None]) % time
    for inputs, people in batches:
        present = present_modalities(encoder, inputs)
        layers, others = _read(reader, inputs, present)
        found = {CONDITIONS[0]: _spread(others, present, time)}
        if nulls:
            permuted = np.stack([draw.permutation(time) for _ in range(size)])
            found[CONDITIONS[1]] = _spread(others, present, time, None, permuted)
            _, other = _read(reader, shifted(encoder, inputs, shift), present)
            found[CONDITIONS[2]] = _spread(other, present, time)
            found[CONDITIONS[3]] = _spread(other, present, time, moved, moved)
        both = present[:, :, None] & present[:, None, :]
        pairs += both.sum(axis=0)
        weight = np.repeat(np.repeat(both, time, axis=1), time, axis=2)[:, None]
        pictures += np.where(weight, layers, 0).sum(axis=0)
        bands = measure.bands(others, present)
        known = np.isfinite(bands).all(axis=1)
        _add(sums, people, {"windows": known, "bands": np.where(known[:, None], bands, 0), **found})
    if not sums:
        raise ValueError("No window to analyse.")
    with np.errstate(invalid="ignore"):
        pictures /= np.repeat(np.repeat(pairs, time, axis=0), time, axis=1)
    return _whole(encoder, sums, found, pictures)


def attention_table(sums, *, width=1, draws=1000, seed=0):
    """All measures of all layers and conditions, with intervals over people.

    Args:
        sums: `AttentionSums`.
        width: Largest |Δt| in tokens that counts as aligned.
        draws: Resamplings of people.
        seed: Seed of these.

    Returns: list of dicts of `condition`, `layer`, `measure`, `value`, `low`, `high`. Measures: see
        `attention_measures`; "bands" for the first condition only, which permuting and shifting leave alone.
    """
    rows = []
    for condition in sums.mass:
        for name, (statistic, arrays) in _measures(sums, condition, width).items():
            rows += _rows(sums, condition, name, sum_intervals(statistic, arrays, draws=draws, seed=seed))
    return rows


def attention_differences(first, second, *, width=1, draws=1000, seed=0):
    """Measures of the last layer, the rollout, of one model less those of another, the same people drawn on both sides.

    Args:
        first: `AttentionSums`.
        second: Those of the other, of windows of the same people.
        width: As in `attention_table`.
        draws: Resamplings of people.
        seed: Seed of these.

    Returns: dict of measure to value, low and high.

    Raises:
        ValueError: Other people.
    """
    if list(first.people) != list(second.people):
        raise ValueError(f"Both must be of the same people. Received: {list(first.people)}, {list(second.people)}.")
    found = {}
    pairs = [_measures(sums, CONDITIONS[0], width) for sums in (first, second)]
    for name, (statistic, arrays) in pairs[0].items():

        def less(*both, statistic=statistic):
            half = len(both) // 2
            return statistic(*both[:half])[..., -1] - statistic(*both[half:])[..., -1]

        both = (*arrays, *pairs[1][name][1])
        found[name] = tuple(float(x) for x in sum_intervals(less, both, draws=draws, seed=seed))
    return found


def _measures(sums, condition, width):
    """Measure to its function of sums, and these sums."""
    arrays = sums.mass[condition], sums.expected[condition]
    measures = {
        "cross_modality": (measure.cross_modality, arrays),
        "alignment": (lambda mass, expected: measure.alignment(mass, expected, width), arrays),
        "alignment_of_others": (lambda mass, expected: measure.alignment_of_others(mass, expected, width), arrays),
    }
    if condition == CONDITIONS[0]:
        measures["bands"] = lambda a, n: a / n[:, None], (sums.bands, sums.windows)
    return measures


def curve_intervals(sums, *, others=True, condition=CONDITIONS[0], draws=1000, seed=0):
    """Attention by |Δt|, see `attention_measures.curve`: value, low and high, each `(layers, time)`."""
    arrays = sums.mass[condition], sums.expected[condition]
    return sum_intervals(lambda *of: measure.curve(*of, others=others), arrays, draws=draws, seed=seed)


def shifted(encoder, inputs, shift):
    """Windows in which each modality is rolled in time by its own number of tokens, what leaves at the end comes first.

    Args:
        encoder: `Encoder`.
        inputs: Arrays as in `Encoder`.
        shift: `(modalities,)`, tokens.

    Returns: dict of arrays.
    """
    rolled = dict(inputs)
    for (name, m), tokens in zip(encoder.modalities.items(), shift, strict=True):
        rolled[name] = np.roll(inputs[name], tokens * m["samples"] // encoder.time, axis=1)
    return rolled


def _read(reader, inputs, present):
    """Attention of every layer and the rollout, and the same without each token's own."""
    layers = predict(reader, inputs, max(BATCH, len(present)))
    layers = np.concatenate([layers, measure.rollout(layers)[:, None]], axis=1)
    return layers, measure.without_self(layers, present)


def _spread(others, present, time, query_times=None, key_times=None):
    modalities = present.shape[1]
    even = measure.without_self(measure.uniform(present, time), present)
    return [measure.spread(x, modalities, query_times, key_times) for x in (others, even)]


def _add(sums, people, found):
    """Add up each person's windows."""
    for person in np.unique(people):
        rows = people == person
        part = {name: [x[rows].sum(axis=0) for x in _listed(values)] for name, values in found.items()}
        if person in sums:
            for name, arrays in sums[person].items():
                for array, more in zip(arrays, part[name], strict=True):
                    array += more
        else:
            sums[person] = {name: [np.array(x, np.float64) for x in arrays] for name, arrays in part.items()}


def _listed(values):
    return values if isinstance(values, list) else [values]


def _whole(encoder, sums, found, pictures):
    people = sorted(sums)

    def gathered(name, place=0):
        return np.stack([sums[person][name][place] for person in people])

    return AttentionSums(
        modalities=tuple(encoder.modalities),
        layers=(*(str(i + 1) for i in range(encoder.depth)), "rollout"),
        people=np.array(people),
        windows=gathered("windows"),
        bands=gathered("bands"),
        mass={name: gathered(name) for name in found},
        expected={name: gathered(name, 1) for name in found},
        picture=pictures,
    )


def _rows(sums, condition, name, found):
    return [
        {"condition": condition, "layer": layer, "measure": name, "value": value, "low": low, "high": high}
        for layer, value, low, high in zip(sums.layers, *(x.tolist() for x in found), strict=True)
    ]
