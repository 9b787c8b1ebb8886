"""How much of a dropped modality the others tell."""

import keras
import numpy as np

BATCH = 64


def dropped_reconstruction(model, inputs, seed=0):
    """Share of each modality's variance that its reconstruction from the others explains, in windows that have it.

    Predicting the mean explains 0, a perfect reconstruction 1. With the other modalities taken from other windows,
    what they tell is gone, and no more than 0 should be left.

    Args:
        model: `MaskedAutoencoder` of two or more modalities.
        inputs: Arrays as in `Encoder`, of two or more windows, with "present".
        seed: Seed of the order in which windows lend their modalities to others.

    Returns: dict of modality -> dict of "explained" and "shuffled", NaN where no window has the modality.
    """
    encoder, rows = model.encoder, len(inputs["present"])
    order = np.random.default_rng(seed).permutation(rows)
    other = np.empty(rows, int)
    other[order] = np.roll(order, 1)  # no window lends to itself
    found, first = {}, 0
    for name, m in encoder.modalities.items():
        own = slice(first, first + m["channels"])
        first += m["channels"]
        lent = {key: values if key == name else values[other] for key, values in inputs.items()}
        lent["present"][:, own] = inputs["present"][:, own]
        found[name] = {
            "explained": _explained(model, inputs, name, own),
            "shuffled": _explained(model, lent, name, own),
        }
    return found


def _explained(model, inputs, name, own):
    rows, squared, sums = len(inputs["present"]), 0.0, np.zeros((3, own.stop - own.start))
    for start in range(0, rows, BATCH):
        # The last batch is filled up, so that one compiled program serves all.
        chosen = np.arange(start, start + BATCH) % rows
        batch = {key: values[chosen] for key, values in inputs.items()}
        made = model.reconstruct(batch, drop=[name])["signals"][name]
        count = min(BATCH, rows - start)
        true = keras.ops.convert_to_numpy(model.encoder.read(batch)[0][name])[:count]
        here = batch["present"][:count, None, own]
        squared += float((here * (made[:count] - true) ** 2).sum())
        weight = np.broadcast_to(here, true.shape)
        sums += np.stack([(weight * true**power).sum((0, 1)) for power in range(3)])
    counts = np.maximum(sums[0], 1)
    total = float((sums[2] - sums[1] ** 2 / counts).sum())
    return 1 - squared / total if total > 0 else float("nan")
