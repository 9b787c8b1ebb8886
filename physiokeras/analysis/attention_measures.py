"""How attention spreads over modalities and time, as numbers whose value is known where the pattern is.

Tokens lie modality by modality, time inside. What a token gives to itself is left out everywhere.
"""

import numpy as np


def rollout(layers):
    """Attention through all layers: what each token of the last one is made of.

    Args:
        layers: `(..., layers, tokens, tokens)`, averaged over heads, queries by keys.

    Returns: `(..., tokens, tokens)`, rows sum to 1.

    Source: Abnar and Zuidema 2020, arXiv 2005.00928: the residual path counts as much as the attention.
    """
    layers = np.asarray(layers)
    through = np.eye(layers.shape[-1], dtype=layers.dtype)
    residual = through
    for layer in np.moveaxis(layers, -3, 0):
        mixed = layer + residual
        through = mixed / mixed.sum(axis=-1, keepdims=True) @ through
    return through


def uniform(present, time):
    """Attention that prefers nothing: every query gives every key of a present modality the same.

    Args:
        present: Boolean `(batch, modalities)`.
        time: Tokens of a modality.

    Returns: `(batch, 1, tokens, tokens)`.
    """
    keys = np.repeat(np.asarray(present, np.float64), time, axis=1)
    row = keys / np.maximum(keys.sum(axis=1, keepdims=True), 1)
    return np.repeat(row[:, None, None], keys.shape[1], axis=2)


def without_self(attention, present):
    """Attention to other tokens, each query's as shares of 1; zero for what gives all to itself, and for absent ones.

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
    """Mass by modality and by distance in time, summed over queries.

    Args:
        others: What `without_self` returned.
        modalities: Their number.
        query_times: Integers `(modalities, time)` in `[0, time)`, when each query is; default: its place.
        key_times: The same of the keys.

    Returns: float64 `(batch, layers, modalities, modalities, time)`: from the query's modality to the key's, by |Δt|.
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
    """How far few keys draw the attention of all queries: 1 - normalised entropy of the column means.

    Args:
        others: What `without_self` returned.
        present: Boolean `(batch, modalities)`.

    Returns: `(batch, layers)` in [0, 1]: 0 where all keys get the same, 1 where one gets all; NaN without attention.
    """
    columns = others.sum(axis=-2, dtype=np.float64)
    keys = np.asarray(present).sum(axis=1) * (others.shape[-1] // np.shape(present)[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        share = columns / columns.sum(axis=-1, keepdims=True)
        entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=-1)
        return 1 - entropy / np.log(keys)[:, None]


def cross_modality(mass, expected):
    """Attention to other modalities, relative to what uniform attention would give them.

    Args:
        mass: `(..., modalities, modalities, time)`, sums of `spread`.
        expected: The same of `uniform` attention in the same windows.

    Returns: `(...)`: 0 within modalities only, 1 as uniform; NaN with one modality.
    """
    return _ratio(_share(_between(mass), mass), _share(_between(expected), expected))


def alignment(mass, expected, width=1):
    """Attention to keys within |Δt| <= width, relative to what uniform attention would give them, edges included.

    Args:
        mass: As in `cross_modality`.
        expected: As in `cross_modality`.
        width: Tokens.

    Returns: `(...)`, 1 where time makes no difference.
    """
    return _ratio(_share(mass[..., : width + 1], mass), _share(expected[..., : width + 1], expected))


def alignment_of_others(mass, expected, width=1):
    """As `alignment`, among other modalities' keys alone: NaN where none of them gets any."""
    return alignment(_between(mass), _between(expected), width)


def flow(mass):
    """From which modality to which: `(..., modalities, modalities)`, rows (queries) sum to 1, or NaN where absent."""
    total = mass.sum(axis=-1)
    return _ratio(total, total.sum(axis=-1, keepdims=True))


def curve(mass, expected, others=True):
    """Attention at each |Δt| relative to what uniform attention would give it.

    Args:
        mass: As in `cross_modality`.
        expected: As in `cross_modality`.
        others: Whether to look at other modalities' keys, or at those of the query's own.

    Returns: `(..., time)`; NaN where no key is so far.
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
