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
            whether the measure goes with the score among encoders trained alike.
        draws: Resamplings of cells.
        seed: Seed of these.

    Returns: `Correlation`, NaN with fewer than three cells.
    """
    measure, score = np.asarray(measure, np.float64), np.asarray(score, np.float64)
    known = np.isfinite(measure) & np.isfinite(score)
    measure, score = measure[known], score[known]
    if groups is not None:
        code = np.unique(np.asarray(groups)[known], return_inverse=True)[1]
        measure, score = (_centred(side, code) for side in (measure, score))
    cells = len(measure)
    if cells < 3:
        return Correlation(np.nan, np.nan, np.nan, cells)
    draw = np.random.default_rng(derive(seed, "cells"))
    drawn = np.array([_spearman(measure[rows], score[rows]) for rows in draw.integers(0, cells, (draws, cells))])
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    return Correlation(_spearman(measure, score), float(low), float(high), cells)


def _spearman(a, b):
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _centred(values, code):
    return values - (np.bincount(code, values) / np.bincount(code))[code]
