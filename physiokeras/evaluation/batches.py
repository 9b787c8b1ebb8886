"""Batches of one size, so that a model is compiled once."""

import keras
import numpy as np

from physiokeras.channel_layout import ChannelLayout

BATCH = 32


def predict(model, inputs, batch=BATCH):
    """Outputs of a model for a few windows; the batch is padded to its full size.

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
    """Boolean `(windows, modalities)`: whether any channel of the modality is present."""
    if "present" not in inputs:
        return np.ones((len(inputs[next(iter(encoder.modalities))]), len(encoder.modalities)), bool)
    parts = ChannelLayout.of(encoder.modalities).split(np.asarray(inputs["present"], bool))
    return np.stack([channels.any(axis=1) for channels in parts.values()], axis=1)
