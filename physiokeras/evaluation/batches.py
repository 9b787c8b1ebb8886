"""Batches of windows for analyses: of one size, so that one compiled program serves all."""

import keras
import numpy as np

BATCH = 32


def predict(model, inputs, batch=BATCH):
    """What a model makes of a few windows, whose number is filled up to that of a full batch.

    Args:
        model: A Keras model of arrays, or structures of these; so are its outputs.
        inputs: Arrays `(windows, ...)`, or a structure of these, no more than `batch` windows.
        batch: Windows of a full batch.

    Returns: as the model, arrays `(windows, ...)`.
    """
    count = len(keras.tree.flatten(inputs)[0])
    if count < batch:
        inputs = keras.tree.map_structure(lambda values: np.resize(values, (batch, *values.shape[1:])), inputs)
    made = model.predict_on_batch(inputs)
    return keras.tree.map_structure(lambda values: np.asarray(values)[:count], made)


def present_modalities(encoder, inputs):
    """Boolean `(windows, modalities)`: whether any channel of each is there."""
    if "present" not in inputs:
        return np.ones((len(inputs[next(iter(encoder.modalities))]), len(encoder.modalities)), bool)
    present = np.asarray(inputs["present"], bool)
    return np.stack([present[:, own].any(axis=1) for own in channels_of(encoder).values()], axis=1)


def channels_of(encoder):
    """Modality to the slice of its columns in "present"."""
    slices, first = {}, 0
    for name, m in encoder.modalities.items():
        slices[name] = slice(first, first + m["channels"])
        first += m["channels"]
    return slices
