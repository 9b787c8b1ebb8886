"""Interaction of two settings in a score: analysis of variance of a two-way layout repeated over seeds."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interaction:
    """Test of an interaction, and its size.

    Args:
        f: F, the mean square of the interaction over that of the residual; seeds are blocks.
        degrees: Degrees of freedom of numerator and denominator.
        p: p-value of F.
        contrast: Effect of the second factor (greatest minus least level) at the greatest level of the first factor,
            minus the same effect at its least level. Fitted by the surface a + b x + c y + d x y; mean over seeds.
        low: Lower end of its 95 % interval over seeds, by Student's t.
        high: Upper end.
    """

    f: float
    degrees: tuple[int, int]
    p: float
    contrast: float
    low: float
    high: float


def interaction(scores, first=None, second=None):
    """Analysis of variance of a full two-way layout in which each seed ran every cell.

    Args:
        scores: `(seeds, first levels, second levels)`, at least two of each.
        first: Values of the first factor's levels; None: 0, 1, 2, ...
        second: Values of the second factor's levels.

    Returns: `Interaction`; F is infinite or NaN if seeds differ by a constant only.

    Raises:
        ValueError: There are fewer than two seeds or levels, a score is missing, or the levels are equal.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 3 or min(scores.shape) < 2:
        raise ValueError(f"`scores` must be (seeds, levels, levels), each two or more. Received: {scores.shape}.")
    if not np.isfinite(scores).all():
        raise ValueError("Every cell needs a score for every seed. Received: NaN.")
    seeds, rows, columns = scores.shape
    cells = scores.mean(axis=0)
    both = cells - cells.mean(axis=1, keepdims=True) - cells.mean(axis=0) + cells.mean()
    rest = scores - cells - (scores.mean(axis=(1, 2)) - scores.mean())[:, None, None]
    degrees = (rows - 1) * (columns - 1), (rows * columns - 1) * (seeds - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f = (seeds * (both**2).sum() / degrees[0]) / ((rest**2).sum() / degrees[1])
    x, y = (_centred(levels, count) for levels, count in ((first, rows), (second, columns)))
    slopes = np.einsum("sij,i,j->s", scores, x, y) / ((x**2).sum() * (y**2).sum())
    contrasts = slopes * np.ptp(x) * np.ptp(y)
    half = stats.t.ppf(0.975, seeds - 1) * contrasts.std(ddof=1) / np.sqrt(seeds)
    mean = contrasts.mean()
    return Interaction(
        float(f), degrees, float(stats.f.sf(f, *degrees)), float(mean), float(mean - half), float(mean + half)
    )


def _centred(levels, count):
    levels = np.arange(count) if levels is None else np.asarray(levels, dtype=np.float64)
    if len(levels) != count or not np.ptp(levels):
        raise ValueError(f"{count} levels that are not all equal are needed. Received: {levels.tolist()}.")
    return levels - levels.mean()
