"""Inputs of an encoder from a recording, from arrays, or from a stream; modalities may be missing."""

import warnings

import numpy as np

from physiokeras.channel_layout import ChannelLayout
from physiokeras.errors import DataError
from physiokeras.models.array_checks import INSTEAD_OF_NAN

BATCH = 16
"""Windows of a call of the model.

On a CPU, what a block makes of 16 windows of the paper's size stays in the cache. With 64, JAX takes 1.2 times the
processor time, PyTorch 1.3 times.
"""

_INSTEAD = (
    "Give physical values as `physiokeras.pipelines.from_arrays(signals, rates, units)`, which the model filters and "
    "scales itself"
)

_ROUNDING = 1.001
"""Clipped values exceed the clip by rounding at most."""


def inputs_of(night, encoder):
    """A recording as an encoder's inputs: modalities that it lacks are zeros, and false in "present".

    Args:
        night: `Night`.
        encoder: `Encoder`.

    Returns: dict of modality to `(windows, samples, channels)`, and "present" to boolean `(windows, channels)`.

    Raises:
        DataError: A modality of another number of samples or channels.
    """
    own = ChannelLayout.of({name: {"channels": values.shape[2]} for name, values in night.signals.items()})
    usable, inputs, present = own.split(np.asarray(night.present, bool)), {}, []
    for name, sizes in encoder.modalities.items():
        shape = (sizes["samples"], sizes["channels"])
        if name not in night.signals:
            inputs[name] = np.zeros((len(night), *shape), np.int16)
            present.append(np.zeros((len(night), shape[1]), bool))
            continue
        if night.signals[name].shape[1:] != shape:
            message = f"modality {name!r} must have {shape[0]} samples and {shape[1]} channels a window"
            raise DataError(f"{message}. Received: {night.signals[name].shape[1:]}.", file=night.name)
        inputs[name] = night.signals[name]
        present.append(usable[name])
    return {**inputs, "present": np.concatenate(present, axis=1)}


def completed(arrays, encoder, order=None):
    """Arrays of some modalities as an encoder's inputs: the other modalities are zeros, and absent.

    Args:
        arrays: Modality to `(windows, samples, channels)`; optionally "present", boolean `(windows, channels)` of the
            given modalities.
        encoder: `Encoder`.
        order: Order of the modalities among the columns of "present"; None: the encoder's.

    Returns: As `inputs_of`.

    Raises:
        DataError: None of the modalities, an unknown name, another shape, lengths that differ, or integers other than
            int16.
    """
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    given = [name for name in order or encoder.modalities if name in arrays and name in encoder.modalities]
    if not given or set(arrays) - {*given, "present"}:
        wanted = ", ".join(f"{name} {(m['samples'], m['channels'])}" for name, m in encoder.modalities.items())
        raise DataError(f"the model reads, of each window, {wanted}. Received: {', '.join(arrays) or 'nothing'}.")
    count, layout = len(arrays[given[0]]), ChannelLayout.of({name: encoder.modalities[name] for name in given})
    present = np.asarray(arrays.get("present", np.ones((count, layout.total))), bool)
    if present.shape != (count, layout.total):
        wanted = f"({count}, {layout.total}), a column for each channel of {', '.join(given)}"
        raise DataError(f'"present" must have the shape {wanted}. Received: {present.shape}.')
    usable, inputs = layout.split(present), {}
    for name, m in encoder.modalities.items():
        shape = (count, m["samples"], m["channels"])
        values = arrays.get(name, np.zeros(shape, np.int16))
        if values.shape != shape:
            raise DataError(f"modality {name!r} must have the shape {shape}. Received: {values.shape}.")
        if values.dtype.kind not in "fV" and values.dtype != np.int16:
            rule = f"modality {name!r} must be int16 as `prepare` stores it, or floats in scaled units"
            raise DataError(f"{rule}. Received: {values.dtype}. {_INSTEAD}.")
        inputs[name] = values.astype(np.float32) if values.dtype == np.float64 else values
        usable.setdefault(name, np.zeros((count, m["channels"]), bool))
    return {**inputs, "present": np.concatenate([usable[name] for name in encoder.modalities], axis=1)}


def check_scaled(inputs, encoder, definition):
    """Refuse floats that cannot be in scaled units, which a definition cuts to its `clip`; warn of single values.

    Args:
        inputs: As `completed` returns them.
        encoder: `Encoder`.
        definition: `Definition` by which the model's data are scaled.

    Raises:
        DataError: NaN or infinity in a present channel, or most values of a modality beyond its clip.
    """
    for name, present in ChannelLayout.of(encoder.modalities).split(inputs["present"]).items():
        if inputs[name].dtype.kind == "i" or name not in definition.modalities:
            continue
        modality = definition.modalities[name]
        values = np.abs(np.moveaxis(inputs[name], 2, 1)[present].astype(np.float32))
        if not np.isfinite(values).all():
            rule = f"modality {name!r} holds NaN or infinity in channels that are present"
            raise DataError(f"{rule}. {INSTEAD_OF_NAN}; from_arrays takes NaN where samples are missing.")
        middle = float(np.median(values)) if values.size else 0.0
        rule = f"modality {name!r} must be in scaled units, within {modality.clip:g}"
        if middle > modality.clip:
            raise DataError(f"{rule}. Received: a median of the absolute values of {middle:.4g}. {_INSTEAD}.")
        beyond = np.count_nonzero(values > modality.clip * _ROUNDING) / max(1, values.size)
        if beyond:
            warnings.warn(f"{rule}. Received: {beyond:.2%} of the values beyond. {_INSTEAD}.", stacklevel=4)


def slices(inputs):
    """Yields batches `(inputs,)` of at most `BATCH` windows of arrays."""
    for start in range(0, len(inputs["present"]), BATCH):
        yield ({name: values[start : start + BATCH] for name, values in inputs.items()},)


def of_stream(batches, encoder, order):
    """Yields batches `(inputs, labels)` of at most `BATCH` windows, as arrays.

    Args:
        batches: Stream, whose "present" has the order of its own modalities, or other iterable of `inputs`,
            `(inputs,)` or `(inputs, labels)`.
        encoder: `Encoder`.
        order: As in `completed`, of what is no stream.
    """
    streamed = hasattr(batches, "as_numpy_iterator")
    for batch in batches.as_numpy_iterator() if streamed else batches:
        inputs, *labels = batch if isinstance(batch, tuple | list) else (batch,)
        inputs, own = completed(inputs, encoder, list(inputs) if streamed else order), labels[0] if labels else {}
        for start in range(0, len(inputs["present"]), BATCH):
            cut = slice(start, start + BATCH)
            yield tuple({name: np.asarray(v)[cut] for name, v in part.items()} for part in (inputs, own))
