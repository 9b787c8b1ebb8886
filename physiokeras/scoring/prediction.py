"""Predictions for the windows of a recording."""

import collections
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas

from physiokeras.evaluation.tasks import Task
from physiokeras.scoring.events import SHORTEST, Event, events_of


@dataclass(frozen=True, repr=False)
class Prediction:
    """Predictions of a linear layer for the windows of a recording.

    Args:
        task: The `Task`.
        probabilities: `(windows, classes)`; NaN in windows without any modality. `(windows, 1)` numbers, such as years,
            where the task has no classes.
        starts: `(windows,)` seconds from the recording's start.
        window: Seconds per window; of a task of single seconds, 1, and "windows" here are these.
        missing: Names of the modalities that each window lacks, separated by spaces, "" where all are there.
        distance: `(windows,)` distance from the windows of the training, there about 1; see `Head`.
        clock: Date and time of the recording's start, or None.
    """

    task: Task
    probabilities: np.ndarray
    starts: np.ndarray
    window: float
    missing: list[str]
    distance: np.ndarray
    clock: datetime | None = None

    def __repr__(self):
        counts = collections.Counter(self.labels) if self.task.classes else {}
        found = [f"{name or 'none'} {counts[name]}" for name in (*self.classes, "") if counts.get(name)]
        if not self.task.classes:
            found = [f"{self.of_recording[0]:.4g} on average"]
        return f"Prediction({self.task.name}: {len(self.starts)} windows of {self.window:g} s; {', '.join(found)})"

    def to_frame(self) -> pandas.DataFrame:
        """A table of the windows.

        Returns: data frame with a row for each window: "onset" in seconds, the task's name for the most probable class
            or the number, TASK_CLASS for the probability of each class, "missing" and "distance".
        """
        columns = {"onset": self.starts, self.task.name: self.labels if self.task.classes else self.values}
        columns |= {f"{self.task.name}_{name}": self.probabilities[:, i] for i, name in enumerate(self.classes)}
        return pandas.DataFrame(columns | {"missing": list(self.missing), "distance": self.distance})

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.task.classes

    @property
    def values(self) -> np.ndarray:
        """`(windows,)` numbers of the most probable classes, -1 in windows without a prediction; or the numbers."""
        if not self.task.classes:
            return self.probabilities[:, 0]
        known = np.isfinite(self.probabilities).all(axis=1)
        return np.where(known, np.nan_to_num(self.probabilities).argmax(axis=1), -1)

    @property
    def labels(self) -> list[str]:
        """Names of the most probable classes, "" in windows without a prediction."""
        return [self.task.classes[value] if value >= 0 else "" for value in self.values]

    @property
    def events(self) -> list[Event]:
        """Stretches of one class that stands for an event; their resolution is `window`."""
        shortest = SHORTEST.get(self.task.name, 0.0)
        return events_of(self.values, self.probabilities, self.starts, self.window, self.classes, shortest)

    @property
    def of_recording(self) -> np.ndarray:
        """Mean over the windows that have a prediction: `(classes,)`, or `(1,)`; for tasks of whole people."""
        known = np.isfinite(self.probabilities).all(axis=1)
        return self.probabilities[known].mean(axis=0) if known.any() else np.full(self.probabilities.shape[1], np.nan)
