"""Bootstrap intervals of scores: people are drawn with replacement, since windows of one person are not independent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from physiokeras.evaluation.scores import (
    agreement,
    calibration_error,
    calibration_sums,
    class_scores,
    confusion_matrix,
    ranked_classes,
    scored,
)
from physiokeras.seeds import derive

RANK_BINS = 4096


@dataclass(frozen=True)
class Interval:
    """A score and the percentile interval of its bootstrap draws.

    Args:
        value: The score on all people.
        low: Lower end; NaN where no draw was defined.
        high: Upper end.
        undefined: Share of the draws in which the score was NaN, such as those with one class only; they are left out.
    """

    value: float
    low: float
    high: float
    undefined: float = 0.0


@dataclass(frozen=True)
class Draws:
    """People drawn with replacement, the same for whatever is compared.

    Args:
        people: `(people,)`, sorted; any type that sorts.
        counts: `(draws, people)`, how often each is drawn.
    """

    people: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, people: Sequence[str] | np.ndarray, draws: int = 1000, seed: int = 0) -> Self:
        """Draw as many people as there are, again and again.

        Args:
            people: Those to draw from; repetitions are ignored.
            draws: Resamplings.
            seed: Seed of the draws; the same seed and people give the same draws.

        Raises:
            ValueError: Fewer than two people.
        """
        names = np.unique(np.asarray(people))
        if len(names) < 2:
            raise ValueError(f"An interval over people needs at least two. Received: {len(names)}.")
        generator = np.random.default_rng(derive(seed, "bootstrap"))
        return cls(names, generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws))

    def index(self, people: Sequence[str] | np.ndarray) -> np.ndarray:
        """Each window's person as a place in `people`."""
        return np.searchsorted(self.people, np.asarray(people))


def bootstrap_over_people(
    statistic: Callable[..., float],
    arrays: Sequence[np.ndarray],
    people: np.ndarray,
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval, over people, of any statistic of windows.

    Args:
        statistic: Function of the arrays to a number.
        arrays: Arrays with one row a window, each `(windows, ...)`.
        people: `(windows,)`, whose window it is; any type that sorts.
        draws: Resamplings.
        seed: Seed of the draws; the same seed and people give the same draws.
        level: Share of the draws that the interval holds.

    Returns: `Interval`.

    Raises:
        ValueError: Fewer than two people, or lengths that differ.
    """
    arrays = [np.asarray(array) for array in arrays]
    if any(len(array) != len(people) for array in arrays):
        raise ValueError(
            f"`arrays` and `people` must be equally long. Received: {[len(a) for a in arrays]} and {len(people)}."
        )
    drawn = Draws.of(people, draws, seed)
    counts, person = drawn.counts, drawn.index(people)
    windows = np.arange(len(person))
    values = []
    for count in counts:
        chosen = np.repeat(windows, count[person])
        values.append(statistic(*(array[chosen] for array in arrays)))
    return interval(statistic(*arrays), values, level)


def score_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    people: np.ndarray,
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Intervals of all of `class_scores` that are single numbers, for many windows at once.

    Sums per person are drawn, not windows. For the areas, probabilities are ranked in 4096 steps, which moves an
    interval's ends by less than 0.0005; `value` is exact.

    Args:
        labels: `(windows,)` integers, -1 where unscored.
        probabilities: `(windows, classes)`.
        people: `(windows,)`.
        draws: Resamplings.
        seed: Seed of the draws.
        level: Share of the draws that the intervals hold.

    Returns: dict of name to `Interval`.

    Raises:
        ValueError: As in `class_scores`, or fewer than two people with scored windows.
    """
    exact = class_scores(labels, probabilities)
    of_scored = Draws.of(np.asarray(people)[np.asarray(labels) >= 0], draws, seed)
    drawn = drawn_scores(labels, probabilities, people, of_scored)
    return {name: interval(exact[name], values, level) for name, values in drawn.items()}


def drawn_scores(labels, probabilities, people, draws):
    """All of `class_scores` that are single numbers, of each draw.

    With the same `Draws` for two models the differences are paired: both saw the same people.

    Args:
        labels: `(windows,)` integers, -1 where unscored.
        probabilities: `(windows, classes)`.
        people: `(windows,)`; all of those with scored windows are among the people drawn.
        draws: `Draws`.

    Returns: dict of name to `(draws,)`; NaN in draws where the score is not defined.
    """
    person, labels, probabilities = _of_scored(labels, probabilities, people, draws)
    drawn = _agreement_of(person, labels, probabilities, draws.counts)
    counts, size, classes = draws.counts, draws.counts.shape[1], probabilities.shape[1]
    sums = _per_person(lambda rows: calibration_sums(labels[rows], probabilities[rows]), person, size)
    with np.errstate(invalid="ignore"):
        drawn["ece"] = calibration_error(np.tensordot(counts, sums, 1))
    areas = [_drawn_areas(labels == c, probabilities[:, c], person, counts) for c in ranked_classes(labels, classes)]
    if areas:
        # A class that a draw lacks counts in that draw's mean as little as in `class_scores`.
        drawn["auroc"], drawn["auprc"] = _mean_over_defined(np.array(areas))
    return drawn


def drawn_agreement(labels, probabilities, people, draws):
    """Balanced accuracy, macro F1, kappa and accuracy of each draw: those of `drawn_scores` that take little time.

    Args:
        labels: As in `drawn_scores`.
        probabilities: As in `drawn_scores`.
        people: As in `drawn_scores`.
        draws: `Draws`.

    Returns: dict of name to `(draws,)`.
    """
    return _agreement_of(*_of_scored(labels, probabilities, people, draws), draws.counts)


def _of_scored(labels, probabilities, people, draws):
    """Of the scored windows: each one's person as a place in the draws, labels, probabilities."""
    person = draws.index(np.asarray(people)[np.asarray(labels) >= 0])
    return person, *scored(labels, probabilities)


def _agreement_of(person, labels, probabilities, counts):
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    confusion = _per_person(
        lambda rows: confusion_matrix(labels[rows], predicted[rows], classes), person, counts.shape[1]
    )
    return agreement(np.tensordot(counts, confusion, 1))


def interval(value, draws, level=0.95):
    """`Interval` of a score from its draws `(draws,)`, of which those that are NaN are left out."""
    draws = np.asarray(draws, dtype=np.float64)
    defined = draws[~np.isnan(draws)]
    undefined = 1 - len(defined) / len(draws)
    if not len(defined):
        return Interval(float(value), np.nan, np.nan, undefined)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), undefined)


def _per_person(function, person, size):
    order = np.argsort(person, kind="stable")
    return np.array([function(rows) for rows in np.split(order, np.searchsorted(person[order], np.arange(1, size)))])


def _drawn_areas(positive, score, person, counts):
    """AUROC and AUPRC of each draw, `(2, draws)`."""
    edges, rank = np.unique(score, return_inverse=True)
    if len(edges) > RANK_BINS:
        # Half of the steps for either side, so that a rare class is ranked as finely as a frequent one.
        steps = np.linspace(0, 1, RANK_BINS // 2)
        edges = np.unique(np.concatenate([np.quantile(score[side], steps) for side in (positive, ~positive)]))
        rank = np.searchsorted(edges, score, side="right") - 1
    bins = len(edges)
    # From the highest rank down, as a falling threshold lets windows in.
    place = person * bins + (bins - 1 - rank)
    size = counts.shape[1] * bins
    hits = counts @ np.bincount(place, positive, size).reshape(-1, bins)
    misses = counts @ np.bincount(place, ~positive, size).reshape(-1, bins)
    found, alarms = hits.cumsum(axis=1), misses.cumsum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = (misses * (found - hits / 2)).sum(axis=1) / (found[:, -1] * alarms[:, -1])
        precision = np.nan_to_num(found / (found + alarms))
        auprc = (hits * precision).sum(axis=1) / found[:, -1]
    return np.stack([auroc, np.where(np.isnan(auroc), np.nan, auprc)])


def _mean_over_defined(areas):
    defined = ~np.isnan(areas)
    with np.errstate(invalid="ignore"):
        return np.where(defined, areas, 0).sum(axis=0) / defined.sum(axis=0)
