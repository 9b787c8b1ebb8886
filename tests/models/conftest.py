import keras
import pytest
from tiny import autoencoder, varied, windows


@pytest.fixture(scope="session")
def model():
    """An untrained autoencoder whose weights all differ from their initial values; not to be changed."""
    keras.utils.set_random_seed(0)
    return varied(autoencoder())


@pytest.fixture(scope="session")
def encoder(model):
    return model.encoder


@pytest.fixture
def inputs():
    """Windows, of which two lack a modality and one lacks all."""
    return windows(absent=[(1, "ecg"), (2, "eeg"), (2, "emg"), (5, "eeg"), (5, "ecg"), (5, "emg")])
