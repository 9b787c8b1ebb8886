"""Bootstrap intervals over people of many statistics of sums at once."""

import warnings

import numpy as np

from physiokeras.evaluation.bootstrap import Draws


def sum_intervals(statistic, sums, *, draws=1000, seed=0, level=0.95):
    """Value and percentile interval of a statistic of sums, drawing people with replacement.

    Args:
        statistic: Function of sums, each `(draws, ...)`, to numbers `(draws, ...)`; it must not mix draws.
        sums: Arrays `(people, ...)`, the sums of each person's windows.
        draws: Resamplings.
        seed: Seed of the draws.
        level: Share of the draws that an interval holds.

    Returns: value, low and high, each `(...)`; the latter two NaN with fewer than two people, or where no draw is
        defined.
    """
    sums = [np.asarray(each, np.float64) for each in sums]
    people = len(sums[0])
    value = statistic(*(each.sum(axis=0, keepdims=True) for each in sums))[0]
    if people < 2:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    counts = Draws.of(np.arange(people), draws, seed).counts
    drawn = statistic(*(np.tensordot(counts, each, 1) for each in sums))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what no draw defines is NaN
        low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return value, low, high
