"""Predictions for the windows of a recording."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from physiokeras.evaluation.tasks import Task
from physiokeras.scoring.events import SHORTEST, Event, events_of


@dataclass(frozen=True)
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
