"""Features of windows with their labels and people, and means over a person's windows."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Features:
    """What an encoder made of the windows of a split, extracted once.

    Args:
        values: `(windows, width)`, finite.
        labels: Label name to `(windows,)`, as the prepared data stores them.
        people: `(windows,)`, whose window it is.

    Raises:
        ValueError: Lengths that differ, or features that are not finite.
    """

    values: np.ndarray
    labels: dict
    people: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "values", np.asarray(self.values))
        object.__setattr__(self, "people", np.asarray(self.people))
        object.__setattr__(self, "labels", {name: np.asarray(label) for name, label in self.labels.items()})
        shapes = {"people": self.people.shape, **{name: label.shape for name, label in self.labels.items()}}
        if self.values.ndim != 2 or any(shape != self.values.shape[:1] for shape in shapes.values()):
            raise ValueError(
                "Features must be (windows, width), people and labels (windows,). "
                f"Received: {self.values.shape} and {shapes}."
            )
        wrong = len(self.values) - int(np.isfinite(self.values).all(axis=1).sum())
        if wrong:
            raise ValueError(
                f"Features must be finite. Received: {wrong} of {len(self.values)} windows with NaN or inf."
            )


def mean_per_person(values, people):
    """Mean over each person's windows.

    Args:
        values: `(windows, ...)`.
        people: `(windows,)`.

    Returns: `(people, ...)` float64, and the people, sorted.
    """
    values = np.asarray(values)
    names, person = np.unique(np.asarray(people), return_inverse=True)
    order = np.argsort(person, kind="stable")
    starts = np.searchsorted(person[order], np.arange(len(names)))
    sums = np.add.reduceat(values[order], starts, axis=0, dtype=np.float64) if len(names) else values[:0]
    counts = np.bincount(person, minlength=len(names)).reshape(-1, *[1] * (values.ndim - 1))
    return sums / np.maximum(counts, 1), names
