"""Rank correlation between a measure of explanation and the score of an encoder."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import rankdata

from physiokeras.seeds import derive

FEWEST = 6
"""Encoders below which a perfect order of ranks may well be chance, and a bootstrap over them has no meaning."""


@dataclass(frozen=True)
class Correlation:
    """Rank correlation over trained encoders, with a bootstrap interval over the encoders.

    Args:
        value: Spearman's correlation; NaN if either variable is constant.
        low: Lower end of the 95 % interval.
        high: Upper end.
        cells: Number of encoders.
    """

    value: float
    low: float
    high: float
    cells: int

    def sentence(self, measure: str, score: str, within: Self | None = None) -> str:
        """The result in a sentence.

        Args:
            measure: Name of the measure.
            score: Name of the score.
            within: `Correlation` within strategies, which must agree for a "Yes".
        """
        numbers = (
            f"Spearman {self.value:+.2f}, 95 % interval [{self.low:+.2f}, {self.high:+.2f}], {self.cells} encoders"
        )
        if self.cells < FEWEST:
            numbers += f"; {FEWEST} are the fewest that could show one"
        if self.cells < FEWEST or not self.low * self.high > 0:
            return f"No: no correlation of {measure} with {score} is detected ({numbers})."
        better = "better" if self.value > 0 else "worse"
        if within is not None and not np.isfinite(within.low + within.high):
            return (
                f"Only between strategies: more {measure} goes with {better} {score} ({numbers}). Within strategies "
                "there are too few seeds to test it."
            )
        if within is not None and not min(within.low * self.value, within.high * self.value) > 0:
            return (
                f"Only between strategies: more {measure} goes with {better} {score} ({numbers}), but not within "
                f"strategies ({within.value:+.2f} [{within.low:+.2f}, {within.high:+.2f}])."
            )
        return f"Yes: the more {measure}, the {better} {score} ({numbers})."


def rank_correlation(
    measure: np.ndarray, score: np.ndarray, groups: np.ndarray | None = None, *, draws: int = 2000, seed: int = 0
) -> Correlation:
    """Spearman's rank correlation of a measure with a score.

    Args:
        measure: `(cells,)`, one number per encoder; NaN is left out.
        score: `(cells,)`; NaN is left out.
        groups: `(cells,)`, such as strategies. If given, each group's mean is subtracted from both variables, so that
            the correlation is the one within groups. Groups of one are left out.
        draws: Bootstrap draws of cells, within their groups.
        seed: Seed of the draws.

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
    # The mean of a group is computed again in each draw: deviations from one common mean are not independent.
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
    """Spearman's correlation of each row of two `(rows, cells)`; NaN if either row is constant."""
    a, b = (rankdata(side, axis=1) for side in (a, b))
    a, b = (side - side.mean(axis=1, keepdims=True) for side in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def _centred(values, sizes):
    """Rows `(rows, cells)` minus the means of consecutive groups of these sizes."""
    parts = np.split(values, np.cumsum(sizes)[:-1], axis=1)
    return np.concatenate([part - part.mean(axis=1, keepdims=True) for part in parts], axis=1)
