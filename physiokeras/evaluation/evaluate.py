"""One task: fit a probe, predict the test people, score windows and people."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from physiokeras.evaluation.bootstrap import Interval, score_intervals
from physiokeras.evaluation.features import Features, mean_per_person
from physiokeras.evaluation.probe import Probe, labelled
from physiokeras.evaluation.scores import class_scores, number_scores
from physiokeras.evaluation.tasks import Task


@dataclass(frozen=True)
class ProbeResult:
    """Scores of a probe on the test people.

    Args:
        task: The task.
        probe: The fitted probe; None where a network predicted.
        windows: `class_scores` of the labelled test windows; for a task in years `number_scores`, of windows.
        people: The same with one row a person, whose probabilities (or years) are the mean over the windows; None for a
            task whose target varies within a person.
        intervals: Score name to `Interval` over people, of `windows`; empty for a task in years and where the test set
            has one person only.
        people_intervals: The same, of `people`.
        predictions: Arrays of the labelled test windows: `targets`, `people`, and `probabilities` or `years`.
    """

    task: Task
    probe: Probe | None
    windows: dict[str, float]
    people: dict[str, float] | None
    intervals: dict[str, Interval] = field(default_factory=dict)
    people_intervals: dict[str, Interval] = field(default_factory=dict)
    predictions: dict[str, np.ndarray] = field(default_factory=dict)


def probe_task(
    task: Task,
    train: Features,
    validation: Features | None,
    test: Features,
    *,
    draws: int = 1000,
    seed: int = 0,
    **options,
) -> ProbeResult:
    """Fit a linear probe and score it on people that it has not seen.

    Args:
        task: A `Task`.
        train: `Features` to fit on.
        validation: `Features` to choose the strength by, or None.
        test: `Features` to score.
        draws: Draws of the bootstrap over people; 0 for none.
        seed: Their seed, and that of `Probe.fit`.
        **options: Those of `Probe.fit`.

    Returns: `ProbeResult`.

    Raises:
        ValueError: As `Probe.fit`, no labelled test window, or a test person that the probe was fitted on.
    """
    probe = Probe.fit(task, train, validation, seed=seed, **options)
    seen = set(train.people.tolist()) | set(validation.people.tolist() if validation is not None else ())
    shared = sorted(seen & set(test.people.tolist()))
    if shared:
        raise ValueError(f"A test person must not be in training or validation. Received: {shared[:5]}.")
    labelled(task, test, "test")
    if not task.classes:
        return _years(task, probe, test, task.targets(test.labels[task.label]))
    return score_task(task, test, probe.predict_proba(test.values), probe, draws=draws, seed=seed)


def score_task(
    task: Task,
    test: Features,
    probabilities: np.ndarray,
    probe: Probe | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> ProbeResult:
    """Score predicted classes of the test people.

    Args:
        task: A `Task` with classes.
        test: `Features`; their labels and people are read.
        probabilities: `(windows, classes)`.
        probe: The probe that predicted, if one did.
        draws: As in `probe_task`.
        seed: As in `probe_task`.

    Returns: `ProbeResult`.
    """
    targets = task.targets(test.labels[task.label])
    kept = targets >= 0
    targets, people, probabilities = targets[kept], test.people[kept], np.asarray(probabilities)[kept]
    several = draws > 0 and len(np.unique(people)) > 1
    bootstrap = {"draws": draws, "seed": seed}
    result: dict[str, Any] = {
        "windows": class_scores(targets, probabilities),
        "people": None,
        "intervals": score_intervals(targets, probabilities, people, **bootstrap) if several else {},
        "predictions": {"targets": targets, "people": people, "probabilities": probabilities},
    }
    if task.of_people:
        mean, names = mean_per_person(probabilities, people)
        target = mean_per_person(targets, people)[0].round().astype(np.int64)
        result["people"] = class_scores(target, mean)
        result["people_intervals"] = score_intervals(target, mean, names, **bootstrap) if several else {}
    return ProbeResult(task, probe, **result)


def _years(task, probe, test, targets):
    kept = ~np.isnan(targets)
    targets, people, years = targets[kept], test.people[kept], probe.predict(test.values[kept])
    predictions = {"targets": targets, "people": people, "years": years}
    of_people = number_scores(mean_per_person(targets, people)[0], mean_per_person(years, people)[0])
    return ProbeResult(task, probe, number_scores(targets, years), of_people, predictions=predictions)
