"""Checks of arrays before training on them; without these, their faults show late or never."""

import warnings

import numpy as np

INSTEAD_OF_NAN = 'Give zeros there, and false in "present" for these windows and channels'
"""What to do about NaN and infinity in arrays."""


def check_windows(encoder, inputs):
    """Refuse arrays of different numbers of windows; warn of NaN, infinity, and of inputs without any present channel.

    Args:
        encoder: `Encoder`.
        inputs: A dict of arrays as in its call; anything else, such as a stream, is not looked at.

    Raises:
        ValueError: Two arrays have different numbers of windows.
    """
    if not isinstance(inputs, dict) or not all(getattr(values, "ndim", 0) for values in inputs.values()):
        return
    counts = {name: len(values) for name, values in inputs.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(f"all arrays must have the same number of windows. Received: {found}.")
    names = [name for name in encoder.modalities if name in inputs]
    present = np.asarray(inputs["present"], bool) if isinstance(inputs.get("present"), np.ndarray) else None
    if present is not None and not present.any():
        warnings.warn("no channel is present in any window: nothing can be learned from them.", stacklevel=4)
    for name in names:
        values = inputs[name]
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.ndim != 3:
            continue
        bad = ~np.isfinite(values.sum(axis=1))
        if present is not None and present.shape[1:] == (encoder.layout.total,):
            bad &= present[:, encoder.layout.columns[name]]
        if bad.any():
            rule = (
                f"{name!r} holds NaN or infinity in {bad.any(axis=1).sum()} of {len(bad)} windows: the loss will be NaN"
            )
            warnings.warn(f"{rule}. {INSTEAD_OF_NAN}.", stacklevel=4)


def check_classes(labels):
    """Refuse texts as labels.

    Args:
        labels: An array, a dict of arrays, or None.

    Raises:
        ValueError: An array holds texts.
    """
    for name, values in labels.items() if isinstance(labels, dict) else [("y", labels)]:
        if np.asarray(values).dtype.kind in "US" or (isinstance(values, np.ndarray) and values.dtype == object):
            rule = f"labels {name!r} must be class numbers from 0 on, -1 where unknown"
            way = "`classes, numbers = numpy.unique(texts, return_inverse=True)` makes them of texts"
            raise ValueError(f"{rule}. Received: {np.ravel(values)[:1].tolist()}. {way}.")
