"""Comparison of an exported model with what it has to give, and its time for a window."""

import itertools
import time

import numpy as np

from physiokeras.constants import INT16_SCALE, STORED_RANGE
from physiokeras.evaluation.extraction import present_modalities

_SECONDS, _REPEATS = 1.0, 200
_REAL, _REAL_WITHOUT = 64, 16
"""Most real windows that are compared, and how many of them again without each modality."""


def windows(encoder, dtype, size, seed=0, more=None):
    """Random windows: noise of several strengths, with all modalities, without each, with each alone, and others.

    Args:
        encoder: `Encoder`.
        dtype: "int16" or "float32" of the signals.
        size: Their number is a multiple of it; rows are repeated for it.
        seed: Seed.
        more: Real windows besides, a dict of arrays, or None; they are compared as they are, and without each modality.

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
        real = {name: _scaled(np.asarray(more[name])[:_REAL]) for name in inputs}
        parts = [inputs, real, *(_without(real, name, layout) for name in layout.columns)]
        inputs = {name: np.concatenate([part[name] for part in parts]) for name in inputs}
    rows = np.resize(np.arange(len(inputs["present"])), -(-len(inputs["present"]) // size) * size)
    return {name: _stored(values[rows], dtype) for name, values in inputs.items()}


def _without(inputs, name, layout):
    """Some of the windows, with one modality switched off."""
    some = {key: values[:_REAL_WITHOUT].copy() for key, values in inputs.items()}
    some[name][:] = 0
    some["present"][:, layout.columns[name]] = False
    return some


def incomplete(encoder, inputs):
    """Number of windows that lack a modality."""
    return int((~present_modalities(encoder, inputs).all(axis=1)).sum())


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


def by_runtime(run, inputs, batch):
    """Outputs of an exported model: in batches of `batch`, or, where any is allowed, one window and then the rest."""
    count = len(inputs["present"])
    edges = [0, 1, count] if batch is None else range(0, count + 1, batch)
    parts = [
        run({name: values[low:high] for name, values in inputs.items()}) for low, high in itertools.pairwise(edges)
    ]
    return np.concatenate(parts)


def difference(found, expected):
    """Largest difference, absolute for values up to 1 and relative above; infinite where the shapes differ.

    NaN where NaN is expected is no difference; where only one of the two is NaN, the difference is NaN.
    """
    if found.shape != expected.shape:
        return float("inf")
    apart = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    return float(np.max(np.where(np.isnan(found) & np.isnan(expected), 0, apart)))


def milliseconds(run, inputs):
    """Median time of a call, after two that warm it up."""
    run(inputs), run(inputs)
    times, begin = [], time.perf_counter()
    while len(times) < _REPEATS and time.perf_counter() - begin < _SECONDS:
        start = time.perf_counter()
        run(inputs)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))
