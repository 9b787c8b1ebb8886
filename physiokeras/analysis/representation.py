"""Variance of features between people and between classes, and a two-dimensional map of windows."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from physiokeras.seeds import derive


@dataclass(frozen=True)
class VarianceShare:
    """Share of the features' variance that a label explains.

    Args:
        alone: Variance between the label's groups (eta squared), mean over standardised features.
        beyond: Share explained by both labels minus the share explained by the other label.
        null: Mean of `alone` over permutations of the label over windows.
        null_high: 95 % quantile of the same.
    """

    alone: float
    beyond: float
    null: float
    null_high: float


def variance_shares(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, *, permutations: int = 100, seed: int = 0
) -> tuple[VarianceShare, ...]:
    """Share of the features' variance that each of two labels explains, alone and in addition to the other.

    The null accounts for the share that many small groups explain by chance. The labels need not be balanced: "beyond"
    is the gain of a linear model of both labels over a linear model of the other one.

    Args:
        values: `(windows, width)`, features; each is standardised.
        first: `(windows,)`, such as people; of any sortable type.
        second: `(windows,)`, such as stages.
        permutations: Number of permutations for the null.
        seed: Seed of the permutations.

    Returns: `VarianceShare` of the first and of the second label.

    Raises:
        ValueError: The lengths differ, there are fewer than two windows, or all features are constant.
    """
    values = np.asarray(values, np.float64)
    if not len(values) == len(first) == len(second) or len(values) < 2:
        raise ValueError(f"Lengths must agree and be 2 or more. Received: {len(values)}, {len(first)}, {len(second)}.")
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    # A feature that varies only by rounding counts as constant.
    varied = spread > 1e-6 * np.maximum(np.abs(values).max(axis=0), 1e-12)
    if not varied.any():
        raise ValueError("No feature varies over windows.")
    scaled = centred[:, varied] / spread[varied]
    codes = [np.unique(np.asarray(label), return_inverse=True)[1] for label in (first, second)]
    both = _fitted(scaled, np.concatenate([_indicators(code) for code in codes], axis=1))
    draw, shares = np.random.default_rng(derive(seed, "permuted labels")), []
    alone = [_between(scaled, code) for code in codes]
    for code, own, other in zip(codes, alone, reversed(alone), strict=True):
        null = [_between(scaled, draw.permutation(code)) for _ in range(permutations)]
        shares.append(VarianceShare(own, both - other, float(np.mean(null)), float(np.quantile(null, 0.95))))
    return tuple(shares)


def embedding(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First two principal components of the standardised features.

    Distances on this map approximate distances between features, unlike those of a t-SNE.

    Args:
        values: `(windows, width)`, at least two of each.

    Returns: `(windows, 2)` components, and `(2,)` shares of the variance that they explain.
    """
    values = np.asarray(values, np.float64)
    spread = values.std(axis=0)
    fitted = PCA(2, svd_solver="full")
    places = fitted.fit_transform((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1))
    return places, fitted.explained_variance_ratio_


def _between(scaled, code):
    """Variance between groups as a share of the total, mean over features."""
    counts = np.bincount(code)
    sums = np.zeros((len(counts), scaled.shape[1]))
    np.add.at(sums, code, scaled)
    means = sums / counts[:, None]
    return float((counts[:, None] * means**2).sum(axis=0).mean() / len(scaled))


def _fitted(scaled, design):
    """Share of the variance that a linear model explains, mean over features."""
    made = design @ np.linalg.lstsq(design, scaled, rcond=None)[0]
    return float((made**2).sum(axis=0).mean() / len(scaled))


def _indicators(code):
    return np.eye(code.max() + 1)[code]
