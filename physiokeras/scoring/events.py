"""Events, such as arousals: consecutive windows of one class, joined."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from physiokeras.pipelines.labels.window_labels import AROUSAL_SECOND

NOTHING = ("normal", "none")
"""Class names that stand for the absence of an event, besides those that begin with "no "."""


SHORTEST = {AROUSAL_SECOND: 3.0}
"""Task to the seconds that an event of it lasts at least: 3 s for an arousal, by the AASM manual."""


@dataclass(frozen=True)
class Event:
    """A stretch of a recording of one class.

    Args:
        onset: Seconds from the start of the recording.
        duration: Seconds.
        name: The class.
        probability: Mean over the stretch's windows.
    """

    onset: float
    duration: float
    name: str
    probability: float


def events_of(
    values: np.ndarray,
    probabilities: np.ndarray,
    starts: np.ndarray,
    window: float,
    classes: Sequence[str],
    shortest: float = 0.0,
) -> list[Event]:
    """Join consecutive windows of one class.

    Classes that stand for the absence of an event, such as "no arousal" or "normal", and windows without a class make
    no event.

    Args:
        values: `(windows,)` class numbers in order of time, -1 for none.
        probabilities: `(windows, classes)`.
        starts: `(windows,)` seconds from the start of the recording.
        window: Seconds per window.
        classes: Class names.
        shortest: Seconds; shorter stretches make no event.

    Returns: list of `Event` in order of time; their resolution is a window.
    """
    values, starts = np.asarray(values), np.asarray(starts, float)
    if not len(values):
        return []
    breaks = (np.diff(values) != 0) | (np.abs(np.diff(starts) - window) > 1e-6)
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(values)]
    found = []
    for first, end in itertools.pairwise(edges):
        number = int(values[first])
        if (end - first) * window < shortest - 1e-6:
            continue
        if number >= 0 and not is_nothing(classes[number]):
            mean = float(np.mean(probabilities[first:end, number]))
            found.append(Event(float(starts[first]), (end - first) * window, classes[number], mean))
    return found


def is_nothing(name: str) -> bool:
    """Whether a class means the absence of an event.

    Args:
        name: The class name.

    Returns: true or false.
    """
    return name in NOTHING or name.startswith("no ")


def per_hour(events: Sequence[Event], hours: float) -> float:
    """Index: number of events per hour; NaN without any time.

    Args:
        events: list of `Event`.
        hours: Hours of sleep, or of the recording where stages are unknown.

    Returns: number.
    """
    return len(events) / hours if hours > 0 else float("nan")
