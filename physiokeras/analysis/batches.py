"""Batches of windows for analyses: of one size, so that one compiled program serves all."""

import keras
import numpy as np

BATCH = 32


def predict(model, inputs, batch=BATCH):
    """What a model makes of a few windows, whose number is filled up to that of a full batch.

    Args:
        model: A Keras model of dicts of arrays; its outputs are arrays, or structures of these.
        inputs: dict of arrays `(windows, ...)`, no more than `batch` of them.
        batch: Windows of a full batch.

    Returns: as the model, arrays `(windows, ...)`.
    """
    count = len(next(iter(inputs.values())))
    filled = {name: np.resize(values, (batch, *values.shape[1:])) for name, values in inputs.items()}
    made = model.predict_on_batch(filled)
    return keras.tree.map_structure(lambda values: np.asarray(values)[:count], made)


def present_modalities(encoder, inputs):
    """Boolean `(windows, modalities)`: whether any channel of each is there."""
    first, columns = 0, []
    rows = len(inputs[next(iter(encoder.modalities))])
    for m in encoder.modalities.values():
        own = inputs["present"][:, first : first + m["channels"]] if "present" in inputs else np.ones((rows, 1), bool)
        columns.append(np.asarray(own, bool).any(axis=1))
        first += m["channels"]
    return np.stack(columns, axis=1)


def channels_of(encoder):
    """Modality to the slice of its columns in "present"."""
    slices, first = {}, 0
    for name, m in encoder.modalities.items():
        slices[name] = slice(first, first + m["channels"])
        first += m["channels"]
    return slices
