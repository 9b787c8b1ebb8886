"""Whether a measure of explanation goes with how good an encoder is."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from physiokeras.seeds import derive


@dataclass(frozen=True)
class Correlation:
    """Rank correlation over trained encoders, with its bootstrap interval over them.

    Args:
        value: Spearman's; NaN where either side does not vary.
        low: Lower end of the 95 % interval.
        high: Upper end.
        cells: How many encoders.
    """

    value: float
    low: float
    high: float
    cells: int

    def sentence(self, measure, score, within=None):
        """What it says, in words.

        Args:
            measure: Its name.
            score: Its name.
            within: `Correlation` among encoders trained alike, which have to agree.
        """
        numbers = (
            f"Spearman {self.value:+.2f}, 95 % interval [{self.low:+.2f}, {self.high:+.2f}], {self.cells} encoders"
        )
        if not self.low * self.high > 0:
            return f"No: {measure} is not seen to go with {score} ({numbers})."
        better = "better" if self.value > 0 else "worse"
        if within is not None and not np.isfinite(within.low + within.high):
            return (
                f"Between strategies alone: more {measure} goes with {better} {score} ({numbers}); among encoders "
                "trained alike it cannot be told, which takes several seeds."
            )
        if within is not None and not min(within.low * self.value, within.high * self.value) > 0:
            return (
                f"Between strategies alone: more {measure} goes with {better} {score} ({numbers}), but not among "
                f"encoders trained alike ({within.value:+.2f} [{within.low:+.2f}, {within.high:+.2f}])."
            )
        return f"Yes: the more {measure}, the {better} {score} ({numbers})."


def rank_correlation(measure, score, groups=None, *, draws=2000, seed=0):
    """Spearman's rank correlation of a measure with a score.

    Args:
        measure: `(cells,)`, one number an encoder; NaN left out.
        score: `(cells,)`; NaN left out.
        groups: `(cells,)`, such as strategies. Given, each group's mean is taken from both sides first: what is left is
            whether the measure goes with the score among encoders trained alike. Groups of one are left out.
        draws: Resamplings of cells, within their groups.
        seed: Seed of these.

    Returns: `Correlation`, NaN with fewer than three cells.
    """
    measure, score = np.asarray(measure, np.float64), np.asarray(score, np.float64)
    known = np.isfinite(measure) & np.isfinite(score)
    measure, score = measure[known], score[known]
    code = np.zeros(len(measure), int)
    if groups is not None:
        code = np.unique(np.asarray(groups)[known], return_inverse=True)[1]
        several = (np.bincount(code) > 1)[code]
        measure, score, code = measure[several], score[several], np.unique(code[several], return_inverse=True)[1]
    cells = len(measure)
    if cells < 3:
        return Correlation(np.nan, np.nan, np.nan, cells)
    # Cells are drawn within their group, whose mean is taken anew: deviations from one mean are not independent.
    order = np.argsort(code, kind="stable")
    measure, score, sizes = measure[order], score[order], np.bincount(code)
    draw = np.random.default_rng(derive(seed, "cells"))
    starts = np.cumsum(sizes) - sizes
    rows = np.concatenate(
        [start + draw.integers(0, size, (draws, size)) for start, size in zip(starts, sizes, strict=True)], axis=1
    )
    drawn = _spearman(*(_centred(side[rows], sizes) for side in (measure, score)))
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    (value,) = _spearman(*(_centred(side[None], sizes) for side in (measure, score)))
    return Correlation(float(value), float(low), float(high), cells)


def _spearman(a, b):
    """Of each row of two `(rows, cells)`; NaN where either does not vary."""
    a, b = (rankdata(side, axis=1) for side in (a, b))
    a, b = (side - side.mean(axis=1, keepdims=True) for side in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def _centred(values, sizes):
    """Rows `(rows, cells)` without the means of groups of these sizes, which lie side by side."""
    parts = np.split(values, np.cumsum(sizes)[:-1], axis=1)
    return np.concatenate([part - part.mean(axis=1, keepdims=True) for part in parts], axis=1)
