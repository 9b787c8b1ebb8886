"""Comparison of an exported model with Keras, and its time for a window."""

import itertools
import time

import numpy as np

from physiokeras.constants import INT16_SCALE, STORED_RANGE

_SECONDS, _REPEATS = 1.0, 200


def windows(encoder, dtype, size, seed=0, more=None):
    """Random windows: noise of several strengths, with all modalities, without each, with each alone, and others.

    Args:
        encoder: `Encoder`.
        dtype: "int16" or "float32" of the signals.
        size: Their number is a multiple of it; rows are repeated for it.
        seed: Seed.
        more: Further windows, a dict of arrays, or None; 64 of them at most are taken.

    Returns: dict of arrays, signals by modality and "present", in the order of the exported model's inputs.
    """
    draw, layout = np.random.default_rng(seed), encoder.layout
    there = [np.ones(layout.total, bool), np.zeros(layout.total, bool)]
    for columns in layout.columns.values():
        alone = np.isin(np.arange(layout.total), np.arange(layout.total)[columns])
        there += [alone, ~alone]
    there += list(draw.random((4, layout.total)) < 0.6)
    inputs = {}
    for name, m in encoder.modalities.items():
        noise = draw.normal(size=(len(there), m["samples"], m["channels"]))
        inputs[name] = noise * 10 ** draw.uniform(-1, 0.5, (len(there), 1, m["channels"]))
    inputs["present"] = np.stack(there)
    if more is not None:
        inputs = {name: np.concatenate([inputs[name], _scaled(np.asarray(more[name])[:64])]) for name in inputs}
    rows = np.resize(np.arange(len(inputs["present"])), -(-len(inputs["present"]) // size) * size)
    return {name: _stored(values[rows], dtype) for name, values in inputs.items()}


def stored(inputs, encoder, dtype):
    """Windows as in the call of `Encoder`, as the exported model takes them."""
    return {name: _stored(_scaled(np.asarray(inputs[name])), dtype) for name in (*encoder.modalities, "present")}


def _scaled(values):
    return values * INT16_SCALE if values.dtype.kind == "i" else values


def _stored(values, dtype):
    if values.dtype == bool:
        return values
    values = np.clip(values, -STORED_RANGE, STORED_RANGE)
    return np.round(values / INT16_SCALE).astype("int16") if dtype == "int16" else values.astype("float32")


def by_keras(extractor, head, inputs, size):
    """Features or predictions in Keras, the linear layer in NumPy and float64."""
    features = np.asarray(extractor.predict(inputs, batch_size=size, verbose=0))
    return _predicted(features, head)


def keras_function(extractor, head):
    """The same computation in Keras, to be timed: the compiled extractor, then the linear layer in NumPy."""
    return lambda inputs: _predicted(np.asarray(extractor.predict_on_batch(inputs)), head)


def _predicted(features, head):
    if head is None:
        return features
    found = features.astype(np.float64) @ head.weights + head.bias
    if not head.task.classes:
        return found
    found = np.exp(found - found.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


def by_runtime(run, inputs, batch):
    """Outputs of an exported model: in batches of `batch`, or, where any is allowed, one window and then the rest."""
    count = len(inputs["present"])
    edges = [0, 1, count] if batch is None else range(0, count + 1, batch)
    parts = [
        run({name: values[low:high] for name, values in inputs.items()}) for low, high in itertools.pairwise(edges)
    ]
    return np.concatenate(parts)


def difference(found, expected):
    """Largest difference, absolute for values up to 1 and relative above; infinite where the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected))))


def milliseconds(run, inputs):
    """Median time of a call, after two that warm it up."""
    run(inputs), run(inputs)
    times, begin = [], time.perf_counter()
    while len(times) < _REPEATS and time.perf_counter() - begin < _SECONDS:
        start = time.perf_counter()
        run(inputs)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))
