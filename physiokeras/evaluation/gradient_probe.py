"""A linear classifier by gradient descent, at several learning rates at once."""

import keras
import numpy as np

from physiokeras.seeds import derive

RATE_GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)
STEPS = 1000
BATCH = 1024
"""Rows of a step; with fewer rows, every step reads all of them."""


def descend(rows, targets, rates, class_weight, classes, seed=0):
    """Train linear classifiers by Adam, from zero, in 1000 steps with a cosine decay of the learning rate.

    There is no penalty: a smaller learning rate stays nearer to zero.

    Args:
        rows: `(rows, width)` float32, standardised.
        targets: `(rows,)` class numbers.
        rates: Learning rates.
        class_weight: "balanced" or None.
        classes: Number of classes; one that no target names gets the bias minus infinity.
        seed: Seed of the order of the rows.

    Returns: list of rate and `(weights, bias)`, `(width, classes)` and `(classes,)`.
    """
    known, targets, counts = np.unique(targets, return_inverse=True, return_counts=True)
    weight = len(targets) / (len(known) * counts) if class_weight else np.ones(len(known))
    # Adam's step does not depend on the size of the gradient: outputs that are multiplied by r learn r times as fast.
    relative = np.repeat(np.asarray(rates, "float32") / max(rates), len(known)).reshape(len(rates), len(known))
    layer = keras.layers.Dense(relative.size, kernel_initializer="zeros", name="heads", dtype="float32")
    model = keras.Sequential(
        [
            keras.Input((rows.shape[1],)),
            layer,
            keras.layers.Reshape(relative.shape, name="rates", dtype="float32"),
            keras.layers.Rescaling(relative, name="relative", dtype="float32"),
        ],
        name="gradient_probe",
    )
    schedule = keras.optimizers.schedules.CosineDecay(max(rates), STEPS)
    # The small epsilon keeps the step of outputs with small gradients.
    optimizer = keras.optimizers.Adam(schedule, epsilon=1e-12)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = _batches(rows, targets, weight[targets], len(rates), derive(seed, "batches of the probe"))
    model.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    kernel, bias = (keras.ops.convert_to_numpy(variable) for variable in (layer.kernel, layer.bias))
    kernel = kernel.reshape(-1, *relative.shape) * relative
    bias = bias.reshape(relative.shape) * relative
    return [(rate, _with_absent(kernel[:, i], bias[i], known, classes)) for i, rate in enumerate(rates)]


def _batches(rows, targets, weights, rates, seed):
    """Rows, and targets and weights for each rate, pass after pass in new orders; what is left of a pass is skipped."""
    draw, size = np.random.default_rng(seed), min(BATCH, len(rows))
    targets = np.repeat(targets[:, None], rates, axis=1)
    weights = np.repeat(weights[:, None], rates, axis=1).astype("float32")
    while True:
        order = draw.permutation(len(rows))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            yield rows[chosen], targets[chosen], weights[chosen]


def _with_absent(weights, bias, known, classes):
    full = np.zeros((len(weights), classes), np.float32), np.full(classes, -np.inf, np.float32)
    full[0][:, known], full[1][known] = weights, bias
    return full
