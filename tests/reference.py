"""Encoder and loss in NumPy, written from their descriptions, in float64."""

import numpy as np
from scipy.special import erf


def encode(weights, modalities, time, heads, inputs):
    """Tokens `(batch, tokens, width)`; weights: name -> array, inputs: scaled floats and "present"."""
    weights = {name: np.asarray(value, "float64") for name, value in weights.items()}
    tokens, valid, first = [], [], 0
    for m, (name, shape) in enumerate(modalities.items()):
        present = inputs["present"][:, first : first + shape["channels"]]
        first += shape["channels"]
        signal = np.where(present[:, None], inputs[name], 0.0)
        patches = signal.reshape(len(signal), time, -1)
        hidden = _gelu(_dense(weights, f"tokenizer_{name}/patch", patches))
        token = _dense(weights, f"tokenizer_{name}/linear", hidden)
        tokens.append(token + positions(time, token.shape[-1]) + weights["embedding/modality"][m])
        valid.append(np.repeat(present.any(axis=1)[:, None], time, axis=1))
    tokens, valid = np.concatenate(tokens, axis=1), np.concatenate(valid, axis=1)
    tokens = np.stack([_transform(weights, heads, row, seen) for row, seen in zip(tokens, valid, strict=True)])
    return tokens


def _transform(weights, heads, tokens, valid):
    """One row: the absent tokens are taken out, not masked, and stay zero."""
    out, x, i = np.zeros_like(tokens), tokens[valid], 0
    if not valid.any():
        return out
    while f"block_{i}/mix/kernel" in weights:
        x = _block(weights, f"block_{i}", heads, x)
        i += 1
    out[valid] = _norm(weights, "norm", x)
    return out


def _block(weights, name, heads, x):
    query, key, value = np.split(
        _dense(weights, f"{name}/query_key_value", _norm(weights, f"{name}/norm_attention", x)), 3, -1
    )
    size, mixed = x.shape[1] // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = query[:, part] @ key[:, part].T / np.sqrt(size)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, part])
    x = x + _dense(weights, f"{name}/mix", np.concatenate(mixed, axis=1))
    hidden = _gelu(_dense(weights, f"{name}/up", _norm(weights, f"{name}/norm_mlp", x)))
    return x + _dense(weights, f"{name}/down", hidden)


def _dense(weights, name, x):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def _norm(weights, name, x):
    x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return x * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def _gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def positions(time, width):
    """Sines, then cosines; wavelengths from 4 positions to 4 * time, each the same multiple of the one before."""
    wavelengths = 4 * time ** np.linspace(0, 1, width // 2)
    angle = 2 * np.pi * np.arange(time)[:, None] / wavelengths
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def loss(modalities, time, inputs, outputs, counted, variances, normalize):
    """Mean over modalities of the relative error of hidden patches of present channels, patch by patch."""
    errors, first = [], 0
    for m, (name, shape) in enumerate(modalities.items()):
        size, squares = shape["samples"] // time, []
        for row in range(len(inputs["present"])):
            for patch in range(time):
                for channel in range(shape["channels"]):
                    hidden = outputs["hidden"][row, m * time + patch]
                    if hidden and counted[row, m] and inputs["present"][row, first + channel]:
                        piece = slice(patch * size, (patch + 1) * size)
                        target = inputs[name][row, piece, channel].astype("float64")
                        if normalize:
                            target = (target - target.mean()) / np.sqrt(target.var(ddof=1) + 1e-6)
                        squares.append((outputs["signals"][name][row, piece, channel] - target) ** 2)
        first += shape["channels"]
        if squares:
            errors.append(np.mean(squares) / (1.0 if normalize else variances[name]))
    return np.mean(errors) if errors else 0.0
