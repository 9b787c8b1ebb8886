import keras
import numpy as np
import pytest

# What does not compute by Keras is tested on one backend.
PURE = [
    f"test_{name}.py"
    for name in ("attention_measures", "explanation", "learned_figures", "representation", "sum_intervals")
]
collect_ignore = [] if keras.config.backend() == "jax" else PURE


@pytest.fixture(scope="session")
def draw():
    """Function that draws labels and the probabilities that a fair model might give them."""

    def labels_and_probabilities(windows=500, classes=5, seed=0):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, classes, windows)
        logits = generator.normal(size=(windows, classes)) + 1.5 * np.eye(classes)[labels]
        return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    return labels_and_probabilities
