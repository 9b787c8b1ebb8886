"""Attention of an encoder, summed per person over a stream of windows; memory grows with people, not with windows.

Three null conditions are computed for comparison:

- Key times are permuted within each modality. Time then has no effect by construction.
- Modalities are shifted in time against each other; each signal stays intact. Attention that depends on the position in
  the window stays where it is. Attention that depends on simultaneous events moves with the signals.
- Another encoder, such as an untrained one, reads the same windows.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from physiokeras.analysis import attention_measures as measure
from physiokeras.evaluation.extraction import BATCH, predict, present_modalities
from physiokeras.evaluation.sum_intervals import sum_intervals
from physiokeras.models import Encoder
from physiokeras.seeds import derive

CONDITIONS = ("as recorded", "key times permuted", "shifted, by the clock", "shifted, by the signals")
"""The first condition is the measurement; the others are its nulls."""


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
    """Attention summed over the windows of each person.

    Args:
        modalities: Names.
        layers: "1", "2", ... and "rollout": the names along the axis `layers` below.
        people: Names, sorted.
        windows: `(people,)`, number of windows with attention between tokens.
        bands: `(people, layers)`, sums of `attention_measures.bands`.
        mass: Condition (see `CONDITIONS`) -> `(people, layers, modalities, modalities, time)`, sums of
            `attention_measures.spread`.
        expected: The same for uniform attention in the same windows, with one layer.
        picture: `(layers, tokens, tokens)`, mean over the windows that have both tokens; the diagonal is included.
    """

    modalities: tuple
    layers: tuple
    people: np.ndarray
    windows: np.ndarray
    bands: np.ndarray
    mass: dict
    expected: dict
    picture: np.ndarray

    def total(self, condition: str = CONDITIONS[0]) -> tuple[np.ndarray, np.ndarray]:
        """Attention mass and uniform mass, each `(layers, modalities, modalities, time)`, summed over people."""
        return self.mass[condition].sum(axis=0), self.expected[condition].sum(axis=0)


def attention_sums(
    encoder: Encoder,
    batches: Iterable[tuple[dict[str, np.ndarray], np.ndarray]],
    *,
    seed: int = 0,
    nulls: bool = True,
) -> AttentionSums:
    """Run an encoder over windows and sum its attention per person.

    Args:
        encoder: `Encoder`. No token is masked.
        batches: Iterable of `(inputs, people)`: arrays as in `Encoder`, of at most 32 windows, and the person of each.
        seed: Seed of the permutations of key times.
        nulls: Whether to compute the null conditions too, which doubles the time.

    Returns: `AttentionSums`.

    Raises:
        ValueError: `batches` has no window.
    """
    reader, draw = HeadMeans(encoder), np.random.default_rng(derive(seed, "key times"))
    sums: dict[str, dict] = {}
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
        raise ValueError("There is no window to analyse.")
    with np.errstate(invalid="ignore"):
        pictures /= np.repeat(np.repeat(pairs, time, axis=0), time, axis=1)
    return _whole(encoder, sums, found, pictures)


def attention_table(sums: AttentionSums, *, width: int = 1, draws: int = 1000, seed: int = 0) -> list[dict]:
    """Each measure in each layer and condition, with its 95 % interval over people.

    Args:
        sums: `AttentionSums`.
        width: Largest |Δt| in tokens that counts as aligned.
        draws: Bootstrap draws of people.
        seed: Seed of the draws.

    Returns: list of dicts with `condition`, `layer`, `measure`, `value`, `low` and `high`. `attention_measures` defines
        the measures. "bands" is given for the first condition only, because the nulls do not change it.
    """
    rows = []
    for condition in sums.mass:
        for name, (statistic, arrays) in _measures(sums, condition, width).items():
            rows += _rows(sums, condition, name, sum_intervals(statistic, arrays, draws=draws, seed=seed))
    return rows


def attention_differences(
    first: AttentionSums, second: AttentionSums, *, width: int = 1, draws: int = 1000, seed: int = 0
) -> dict[str, tuple[float, ...]]:
    """Differences of the rollout's measures between two models; both are drawn over the same people.

    Args:
        first: `AttentionSums`.
        second: `AttentionSums` of the other model, over the same people; it is subtracted.
        width: As in `attention_table`.
        draws: Bootstrap draws of people.
        seed: Seed of the draws.

    Returns: dict of measure -> (value, low, high).

    Raises:
        ValueError: The two have different people.
    """
    if list(first.people) != list(second.people):
        raise ValueError(
            f"`first` and `second` must have the same people. Received: {list(first.people)}, {list(second.people)}."
        )
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
    """Dict of measure -> (function of sums per person, those sums)."""
    arrays = sums.mass[condition], sums.expected[condition]
    measures = {
        "cross_modality": (measure.cross_modality, arrays),
        "alignment": (lambda mass, expected: measure.alignment(mass, expected, width), arrays),
        "alignment_of_others": (lambda mass, expected: measure.alignment_of_others(mass, expected, width), arrays),
    }
    if condition == CONDITIONS[0]:
        measures["bands"] = lambda a, n: a / n[:, None], (sums.bands, sums.windows)
    return measures


def curve_intervals(
    sums: AttentionSums, *, others: bool = True, condition: str = CONDITIONS[0], draws: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Attention by |Δt|, as `attention_measures.curve` defines it, with its 95 % interval over people.

    Args:
        sums: `AttentionSums`.
        others: Whether keys are those of other modalities, or those of the query's own.
        condition: One of `CONDITIONS`.
        draws: Bootstrap draws of people.
        seed: Seed of the draws.

    Returns: value, low and high, each `(layers, time)`.
    """
    arrays = sums.mass[condition], sums.expected[condition]
    return sum_intervals(functools.partial(measure.curve, others=others), arrays, draws=draws, seed=seed)


def shifted(encoder, inputs, shift):
    """Windows in which each modality is shifted circularly in time by its own number of tokens.

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
    """Attention of each layer and of the rollout, with and without the diagonal."""
    layers = predict(reader, inputs, max(BATCH, len(present)))
    layers = np.concatenate([layers, measure.rollout(layers)[:, None]], axis=1)
    return layers, measure.without_self(layers, present)


def _spread(others, present, time, query_times=None, key_times=None):
    modalities = present.shape[1]
    even = measure.without_self(measure.uniform(present, time), present)
    return [measure.spread(x, modalities, query_times, key_times) for x in (others, even)]


def _add(sums, people, found):
    """Add the windows of a batch to the sums of their people."""
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
