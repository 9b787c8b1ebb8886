"""A model folder written by an earlier version of the package."""

from pathlib import Path

import numpy as np
from tiny import to_numpy, windows

from physiokeras.models import FeatureExtractor, MaskedAutoencoder, load

FOLDER = Path(__file__).with_name("saved")
"""A small autoencoder, saved while blocks had own dense layers, and features of its encoder (PyTorch, float32)."""
ABSENT = [(1, "ecg"), (2, "eeg"), (2, "emg"), (5, "eeg"), (5, "ecg"), (5, "emg")]


def test_a_folder_saved_earlier_gives_the_same_features():
    model = load(FOLDER)
    assert isinstance(model, MaskedAutoencoder)
    features = to_numpy(FeatureExtractor(model.encoder)(windows(absent=ABSENT)))
    with np.load(FOLDER / "outputs.npz") as saved:
        np.testing.assert_allclose(features, saved["features"], rtol=1e-5, atol=1e-5)
