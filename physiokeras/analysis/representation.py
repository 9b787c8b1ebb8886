"""What a representation is about: how much of it is the person, how much the stage, and a map of it."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from physiokeras.seeds import derive


@dataclass(frozen=True)
class Share:
    """Share of the features' variance that a label accounts for.

    Args:
        alone: Variance between the label's groups (eta squared), mean over standardised features.
        beyond: What it adds to the other label: both together without the other alone.
        null: Mean of `alone` with labels permuted over windows.
        null_high: Its 95 % quantile.
    """

    alone: float
    beyond: float
    null: float
    null_high: float


def variance_shares(values, first, second, *, permutations=100, seed=0):
    """How much of the features' variance two labels account for, each alone and beyond the other.

    Many small groups account for much by chance, hence the null. The two need not be balanced: "beyond" is what a
    label adds to the other in a linear model of both.

    Args:
        values: `(windows, width)`, features; each is standardised.
        first: `(windows,)`, such as people; any type that sorts.
        second: `(windows,)`, such as stages.
        permutations: Draws of the null.
        seed: Seed of these.

    Returns: `Share` of the first, and of the second.

    Raises:
        ValueError: Lengths that differ, fewer than two windows, or features that do not vary.
    """
    values = np.asarray(values, np.float64)
    if not len(values) == len(first) == len(second) or len(values) < 2:
        raise ValueError(f"Lengths must agree and be 2 or more. Received: {len(values)}, {len(first)}, {len(second)}.")
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    # What varies by rounding alone is constant.
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
        shares.append(Share(own, both - other, float(np.mean(null)), float(np.quantile(null, 0.95))))
    return tuple(shares)


def embedding(values):
    """A map of windows: the first two principal components of the standardised features.

    Distances on it are those of the features, as far as two dimensions hold them, which a t-SNE would not keep.

    Args:
        values: `(windows, width)`, two or more of either.

    Returns: `(windows, 2)`, and the share of the variance that each dimension holds, `(2,)`.
    """
    values = np.asarray(values, np.float64)
    spread = values.std(axis=0)
    fitted = PCA(2, svd_solver="full")
    places = fitted.fit_transform((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1))
    return places, fitted.explained_variance_ratio_


def _between(scaled, code):
    """Variance between groups, as a share of all, mean over features."""
    counts = np.bincount(code)
    sums = np.zeros((len(counts), scaled.shape[1]))
    np.add.at(sums, code, scaled)
    means = sums / counts[:, None]
    return float((counts[:, None] * means**2).sum(axis=0).mean() / len(scaled))


def _fitted(scaled, design):
    """Share of the variance that a linear model accounts for, mean over features."""
    made = design @ np.linalg.lstsq(design, scaled, rcond=None)[0]
    return float((made**2).sum(axis=0).mean() / len(scaled))


def _indicators(code):
    return np.eye(code.max() + 1)[code]
