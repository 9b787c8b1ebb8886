"""Toy windows of two modalities that share a rhythm whose phase differs between windows, and nothing else."""

import keras
import numpy as np
import pytest
from tiny import autoencoder, encoder

MODALITIES = {"pulse": {"samples": 32, "channels": 1}, "breath": {"samples": 16, "channels": 2}}
NAMES = list(MODALITIES)


def shared_rhythm(rows, seed):
    draw = np.random.default_rng(seed)
    phase = draw.uniform(0, 2 * np.pi, (rows, 1))
    pulse = np.sin(phase + 2 * np.pi * np.arange(32) / 32)[:, :, None]
    turn = phase + 2 * np.pi * np.arange(16) / 16
    breath = np.stack([np.cos(turn), -np.sin(turn + 1)], axis=2)
    inputs = {"pulse": pulse, "breath": breath}
    noisy = {name: (x + 0.2 * draw.normal(size=x.shape)).astype("float32") for name, x in inputs.items()}
    return {**noisy, "present": np.ones((rows, 3), bool)}


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(2)
    model = autoencoder(encoder(MODALITIES, width=16), dropout={}, decoder_width=16)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(shared_rhythm(2048, seed=0), batch_size=64, epochs=4, verbose=0)
    return model


def error(model, inputs, target, name):
    """Squared error of a modality's reconstruction in the windows in which it was dropped, relative to its variance."""
    outputs = model.predict(inputs, batch_size=256, verbose=0)
    dropped = ~outputs["kept"][:, NAMES.index(name)]
    assert 0.3 < dropped.mean() < 0.7
    squared = (outputs["signals"][name] - target)[dropped] ** 2
    return squared.mean() / (target[dropped] - target[dropped].mean(axis=0)).var()


@pytest.mark.parametrize(("name", "other"), [NAMES, NAMES[::-1]])
def test_dropped_modality_is_told_from_the_other_in_toy_windows_with_a_shared_rhythm(trained, name, other):
    inputs = shared_rhythm(512, seed=1)
    shuffled = {**inputs, other: np.random.default_rng(2).permutation(inputs[other])}
    gain = 1 - error(trained, inputs, inputs[name], name)
    left = 1 - error(trained, shuffled, inputs[name], name)
    assert gain > 0.5  # predicting the mean gains 0, and the noise leaves at most 0.93
    assert left < 0.05
