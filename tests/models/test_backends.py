import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import MODALITIES, autoencoder, encoder, to_numpy, windows

from physiokeras.models import save

# The tests of all backends together compare each of them with another, and try JAX and PyTorch without TensorFlow.
OTHER = {"tensorflow": "torch", "jax": "torch", "torch": "jax"}[keras.config.backend()]


@pytest.fixture(scope="module")
def results(model, tmp_path_factory):
    """What this backend gives, and what the other one gives for the same weights and windows in its own process."""
    if not importlib.util.find_spec(OTHER):
        pytest.skip(f"{OTHER} is not installed")
    folder = tmp_path_factory.mktemp("backends")
    # With nothing hidden the mask is the same on all backends.
    whole = autoencoder(model.encoder, mask={"ratio": 0.0})
    for ours, theirs in zip(whole.decoders, model.decoders, strict=True):
        ours.set_weights(theirs.get_weights())
    inputs = windows(absent=[(1, "ecg"), (2, "eeg"), (2, "emg"), (5, "eeg"), (5, "ecg"), (5, "emg")])
    save(whole, folder / "model")
    save(autoencoder(encoder({"ecg": MODALITIES["ecg"]}, depth=0), decoder_depth=0), folder / "small")
    np.savez(folder / "inputs.npz", **inputs)
    program = [sys.executable, str(Path(__file__).with_name("elsewhere.py")), str(folder)]
    environment = {**os.environ, "KERAS_BACKEND": OTHER}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    outputs = to_numpy(whole(inputs))
    ours = {**outputs["signals"], "hidden": outputs["hidden"], "tokens": to_numpy(model.encoder(inputs))}
    return ours, dict(np.load(folder / f"{OTHER}.npz"))


def test_equal_weights_give_equal_outputs_on_another_backend(results):
    ours, theirs = results
    assert np.array_equal(theirs["hidden"], ours["hidden"])
    for name in (*MODALITIES, "tokens"):
        scale = np.abs(ours[name]).max()
        assert scale > 0.1
        np.testing.assert_allclose(theirs[name], ours[name], atol=1e-5 * scale)


def test_models_train_where_tensorflow_is_not_installed(results):
    losses = results[1]["losses"]
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]
