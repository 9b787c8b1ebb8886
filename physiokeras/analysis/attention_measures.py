"""Measures of how attention is distributed over modalities and time, each with a known value for a known pattern.

Tokens are ordered by modality, then by time. Attention of a token to itself is excluded from every measure.
"""

import numpy as np


def rollout(layers: np.ndarray) -> np.ndarray:
    """Attention rollout: the contribution of each input token to each token of the last layer.

    Args:
        layers: `(..., layers, tokens, tokens)`, mean over heads, queries by keys.

    Returns: `(..., tokens, tokens)`, rows sum to 1.

    Source: Abnar and Zuidema 2020, arXiv 2005.00928; the residual connection has the same weight as the attention.
    """
    layers = np.asarray(layers)
    through = np.eye(layers.shape[-1], dtype=layers.dtype)
    residual = through
    for layer in np.moveaxis(layers, -3, 0):
        mixed = layer + residual
        through = mixed / mixed.sum(axis=-1, keepdims=True) @ through
    return through


def uniform(present, time):
    """Uniform attention: each query attends equally to every key of a present modality.

    Args:
        present: Boolean `(batch, modalities)`.
        time: Tokens of a modality.

    Returns: `(batch, 1, tokens, tokens)`.
    """
    keys = np.repeat(np.asarray(present, np.float64), time, axis=1)
    row = keys / np.maximum(keys.sum(axis=1, keepdims=True), 1)
    return np.repeat(row[:, None, None], keys.shape[1], axis=2)


def without_self(attention, present):
    """Attention to other tokens, normalised to sum 1 per query; 0 where there is none.

    Args:
        attention: `(batch, layers, tokens, tokens)`.
        present: Boolean `(batch, modalities)`.

    Returns: float32, of the same shape.
    """
    others = np.array(attention, np.float32)
    tokens = others.shape[-1]
    places = np.arange(tokens)
    others[..., places, places] = 0
    total = others.sum(axis=-1, keepdims=True)
    real = np.repeat(present, tokens // present.shape[1], axis=1)[:, None, :, None] & (total > 1e-6)
    return np.where(real, others / np.maximum(total, 1e-6), 0)


def spread(others, modalities, query_times=None, key_times=None):
    """Attention mass by modality and by distance in time, summed over queries.

    Args:
        others: Result of `without_self`.
        modalities: Number of modalities.
        query_times: Integers `(modalities, time)` in `[0, time)`, time of each query; default: its position.
        key_times: The same for the keys.

    Returns: float64 `(batch, layers, modalities, modalities, time)`: query modality, key modality, |Δt|.
    """
    batch, layers, tokens, _ = others.shape
    time = tokens // modalities
    places = np.broadcast_to(np.arange(time), (modalities, time))
    queries, keys = (places if times is None else times for times in (query_times, key_times))
    apart = np.abs(queries[:, None, :, None] - keys[None, :, None, :]).reshape(modalities, modalities, -1)
    by_distance = (apart[..., None] == np.arange(time)).astype(np.float32)
    pairs = others.reshape(batch * layers, modalities, time, modalities, time).transpose(1, 3, 0, 2, 4)
    mass = np.matmul(pairs.reshape(modalities, modalities, batch * layers, -1), by_distance)
    return mass.transpose(2, 0, 1, 3).reshape(batch, layers, modalities, modalities, time).astype(np.float64)


def bands(others, present):
    """Concentration of attention on few keys (vertical bands): 1 - normalised entropy of the column means.

    Args:
        others: Result of `without_self`.
        present: Boolean `(batch, modalities)`.

    Returns: `(batch, layers)` in [0, 1]: 0 if all keys get the same, 1 if one key gets all; NaN without attention.
    """
    columns = others.sum(axis=-2, dtype=np.float64)
    keys = np.asarray(present).sum(axis=1) * (others.shape[-1] // np.shape(present)[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        share = columns / columns.sum(axis=-1, keepdims=True)
        entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=-1)
        return 1 - entropy / np.log(keys)[:, None]


def cross_modality(mass, expected):
    """Attention to other modalities, relative to uniform attention.

    Args:
        mass: `(..., modalities, modalities, time)`, sums of `spread`.
        expected: The same for `uniform` attention in the same windows.

    Returns: `(...)`: 0 if attention stays within modalities, 1 if it is uniform; NaN with one modality.
    """
    return _ratio(_share(_between(mass), mass), _share(_between(expected), expected))


def alignment(mass, expected, width=1):
    """Attention to keys within |Δt| <= width, relative to uniform attention, which accounts for the window's edges.

    Args:
        mass: As in `cross_modality`.
        expected: As in `cross_modality`.
        width: Tokens.

    Returns: `(...)`, 1 if time has no effect.
    """
    return _ratio(_share(mass[..., : width + 1], mass), _share(expected[..., : width + 1], expected))


def alignment_of_others(mass, expected, width=1):
    """`alignment` to keys of other modalities only; NaN if they get no attention."""
    return alignment(_between(mass), _between(expected), width)


def flow(mass):
    """Share of attention between modalities, `(..., modalities, modalities)`; rows (queries) sum to 1, or are NaN."""
    total = mass.sum(axis=-1)
    return _ratio(total, total.sum(axis=-1, keepdims=True))


def curve(mass, expected, others=True):
    """Attention at each |Δt|, relative to uniform attention.

    Args:
        mass: As in `cross_modality`.
        expected: As in `cross_modality`.
        others: Whether keys are those of other modalities, or those of the query's own.

    Returns: `(..., time)`; NaN at distances without a key.
    """
    part = _between if others else _within
    mass, expected = (part(x).sum(axis=(-3, -2)) for x in (mass, expected))
    return _ratio(_ratio(mass, mass.sum(-1, keepdims=True)), _ratio(expected, expected.sum(-1, keepdims=True)))


def _between(mass):
    return mass * ~np.eye(mass.shape[-2], dtype=bool)[:, :, None]


def _within(mass):
    return mass * np.eye(mass.shape[-2], dtype=bool)[:, :, None]


def _share(part, whole):
    return _ratio(part.sum(axis=(-3, -2, -1)), whole.sum(axis=(-3, -2, -1)))


def _ratio(a, b):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)
