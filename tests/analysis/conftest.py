import numpy as np
import pytest


@pytest.fixture(scope="session")
def draw():
    """Function that draws labels and the probabilities that a fair model might give them."""

    def labels_and_probabilities(windows=500, classes=5, seed=0):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, classes, windows)
        logits = generator.normal(size=(windows, classes)) + 1.5 * np.eye(classes)[labels]
        return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    return labels_and_probabilities
