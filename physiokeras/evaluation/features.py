"""Features of windows with their labels and people; context, means over people, shares of people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from physiokeras.seeds import derive


@dataclass(frozen=True)
class Features:
    """Features of windows, with the windows' labels and people.

    Args:
        values: `(windows, width)`, finite.
        labels: Label name to `(windows,)`, as the prepared data stores them.
        people: `(windows,)`, whose window it is.
        context: Neighbouring windows on either side whose features are part of `values`.
        context_mode: How they are part of it, as in `neighbours`.
        present: Boolean `(windows, modalities)`, which modalities the windows have; None: unknown.

    Raises:
        ValueError: Lengths that differ, or features that are not finite.
    """

    values: np.ndarray
    labels: dict[str, np.ndarray]
    people: np.ndarray
    context: int = 0
    context_mode: str = "concatenate"
    present: np.ndarray | None = None

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

    def with_context(self, context: int, mode: str = "concatenate") -> "Features":
        """The same windows, each with the features of its neighbours in time.

        Args:
            context: Neighbours on either side.
            mode: As in `neighbours`.

        Returns: `Features` of the width that `neighbours` gives; these themselves with `context` 0.

        Raises:
            ValueError: No labels "record" and "window", by which neighbours are found, or features with context.
        """
        if not context:
            return self
        if self.context or not {"record", "window"} <= self.labels.keys():
            raise ValueError(
                'Context needs features without it and the labels "record" and "window". '
                f"Received: context {self.context}, labels {', '.join(self.labels) or 'none'}."
            )
        values = neighbours(self.values, self.labels["record"], self.labels["window"], context, mode)
        return replace(self, values=values, context=context, context_mode=mode)

    def of_people(self, people: Sequence[str]) -> Self:
        """The windows of some people."""
        return self.of_rows(np.isin(self.people, people))

    def of_rows(self, rows: np.ndarray) -> Self:
        """The windows of some rows, boolean `(windows,)`."""
        labels = {name: label[rows] for name, label in self.labels.items()}
        present = None if self.present is None else self.present[rows]
        return replace(self, values=self.values[rows], labels=labels, people=self.people[rows], present=present)


def neighbours(values, records, windows, context, mode="concatenate"):
    """Features of each window together with those of its neighbours in time.

    At a record's ends the first and the last window are repeated.

    Args:
        values: `(windows, width)`.
        records: `(windows,)`, which record it is of.
        windows: `(windows,)`, its number in the record.
        context: Neighbours on either side.
        mode: "concatenate": features side by side, in order of time; "mean": their mean.

    Returns: `(windows, (2 * context + 1) * width)`, or `(windows, width)` with "mean".

    Raises:
        ValueError: Another mode.
    """
    if mode not in ("concatenate", "mean"):
        raise ValueError(f"`mode` must be 'concatenate' or 'mean'. Received: {mode!r}.")
    _, record, counts = np.unique(records, return_inverse=True, return_counts=True)
    order = np.lexsort((windows, record))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    last = counts.cumsum()[record] - 1
    first = last - counts[record] + 1
    shifted = [order[np.clip(place + shift, first, last)] for shift in range(-context, context + 1)]
    if mode == "mean":
        return sum(values[rows] for rows in shifted) / np.float32(len(shifted))
    return np.concatenate([values[rows] for rows in shifted], axis=1)


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


def some_people(people, targets, share, seed=0):
    """A share of the people, drawn by a seed, and people of every class whatever the share.

    A smaller share's people are among those of a larger one with the same seed.

    Args:
        people: `(rows,)`, whose row it is.
        targets: `(rows,)` class numbers, or None: then two people at least are drawn.
        share: In (0, 1]; one person a class at least.
        seed: Seed of the draw.

    Returns: array of people.

    Raises:
        ValueError: A share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"A share of people must lie in (0, 1]. Received: {share}.")
    people = np.asarray(people)
    drawn = sorted(np.unique(people).tolist(), key=lambda person: derive(seed, "label share", person))
    first = drawn[:2]
    if targets is not None:
        classes = {person: set(targets[people == person].tolist()) for person in drawn}
        missing, first = set().union(*classes.values()), []
        for person in drawn:
            if missing & classes[person]:
                first.append(person)
                missing -= classes[person]
    rest = [person for person in drawn if person not in first]
    return np.array([*first, *rest][: max(len(first), round(share * len(drawn)))])
