"""Models of the smallest size that still has every part, and windows for them."""

import numpy as np

MODALITIES = {
    "eeg": {"samples": 16, "channels": 2},
    "ecg": {"samples": 8, "channels": 1},
    "emg": {"samples": 8, "channels": 1},
}
CHANNELS = {"eeg": slice(0, 2), "ecg": slice(2, 3), "emg": slice(3, 4)}
TIME, WIDTH, ROWS = 4, 8, 6


def encoder(modalities=MODALITIES, depth=1, **arguments):
    """An encoder of width 8."""
    from physiokeras.models import Encoder

    return Encoder(modalities, **{"time": TIME, "width": WIDTH, "depth": depth, "heads": 2, **arguments})


def autoencoder(part=None, mask=None, dropout=None, **arguments):
    """A masked autoencoder of width 8; `mask` and `dropout` are the arguments of `TokenMask` and `ModalityDropout`."""
    from physiokeras.layers import ModalityDropout, TokenMask
    from physiokeras.models import MaskedAutoencoder

    return MaskedAutoencoder(
        part or encoder(),
        TokenMask(TIME, name="mask", **{"ratio": 0.5, "seed": 1, **(mask or {})}),
        None if dropout is None else ModalityDropout(name="dropout", **{"seed": 2, **dropout}),
        **{"decoder_width": WIDTH, "decoder_depth": 1, "decoder_heads": 2, **arguments},
    )


def windows(rows=ROWS, modalities=MODALITIES, seed=0, absent=()):
    """Random windows in scaled units; `absent` lists pairs of row and modality."""
    draw = np.random.default_rng(seed)
    inputs = {
        name: draw.normal(size=(rows, m["samples"], m["channels"])).astype("float32") for name, m in modalities.items()
    }
    inputs["present"] = np.ones((rows, sum(m["channels"] for m in modalities.values())), bool)
    for row, name in absent:
        inputs["present"][row, CHANNELS[name]] = False
    return inputs


def varied(model):
    """Redraw all weights, so that biases and scales too differ from their initial values."""
    draw = np.random.default_rng(5)
    for weight in model.trainable_weights:
        weight.assign(weight.numpy() + draw.normal(size=weight.shape, scale=0.2))
    return model


def to_numpy(outputs):
    """The same structure with NumPy arrays for tensors."""
    import keras

    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)
