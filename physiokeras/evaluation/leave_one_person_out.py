"""Probes with each person held out in turn, for data of too few people for a split."""

import numpy as np

from physiokeras.errors import DataError
from physiokeras.evaluation.evaluate import probe_task
from physiokeras.evaluation.scores import with_chance
from physiokeras.evaluation.tasks import tasks_of
from physiokeras.experiments.reports import publish
from physiokeras.experiments.training_settings import probe_options
from physiokeras.markdown import markdown_table

SCORES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC"}
"""Scores of the table."""


def probe_each_person(features, manifest, settings):
    """A probe for each task and person, fitted on all other people, at the default strength.

    Args:
        features: dict of title -> `Features` of all windows.
        manifest: `Manifest`.
        settings: `ProbeSettings` with a `seed`.

    Returns: dict of task name -> person -> title -> scores of the person's windows, or the reason why there are none.

    Raises:
        DataError: Fewer than two people, or no label with a class for each window.
    """
    tasks, people = check(manifest)
    found = {name: {person: {} for person in people} for name in tasks}
    for title, one in features.items():
        one = one.with_context(settings.context, settings.context_mode)
        for person in people:
            others, own = one.of_people([other for other in people if other != person]), one.of_people([person])
            for name, task in tasks.items():
                try:
                    result = probe_task(task, others, None, own, draws=0, **probe_options(settings))
                    found[name][person][title] = result.windows
                except ValueError as error:
                    found[name][person][title] = str(error)
    return found


def check(manifest):
    """What can be probed.

    Returns: dict of task name to `Task`, and sorted names of the people.

    Raises:
        DataError: Fewer than two people, or no label with a class for each window.
    """
    tasks = {name: task for name, task in tasks_of(manifest.labels).items() if not task.of_people}
    people = sorted({record.person for record in manifest.records})
    if not tasks or len(people) < 2:
        raise DataError(
            f"a probe needs two people, and a label with a class for each window. There are {len(people)} people and "
            f"the labels {', '.join(manifest.labels) or '(none)'}.",
            file=manifest.folder,
        )
    return tasks, people


def report(run, found, manifest):
    """Print the table of scores, a row a person, and keep it and the numbers in the run's folder.

    Args:
        run: `Run`.
        found: As `probe_each_person` returns it.
        manifest: `Manifest`.
    """
    parts = [
        "Each person is scored by a probe fitted on all others. So few people tell little: no intervals. These probes "
        "are not kept; `score` needs those of data with people in the splits train and test."
    ]
    reasons = {}
    for name, people in found.items():
        titles = list(next(iter(people.values())))
        rows = []
        for person, columns in people.items():
            scores = [one for one in columns.values() if isinstance(one, dict)]
            if not scores:
                reasons[name, person] = next(iter(columns.values()))
                continue
            classes = len(scores[0]["f1"])
            numbers = [_number(columns[t], score) for score in SCORES for t in titles]
            rows.append([f"{name}, {person}", str(scores[0]["windows"]), *numbers])
        if rows:
            shown = [with_chance(f"{t}: {s}", key, classes) for key, s in SCORES.items() for t in titles]
            parts.append(markdown_table([["task, person", "windows", *shown], *rows]))
    parts += [f"No score of {name} for {person}: {reason}" for (name, person), reason in reasons.items()]
    publish(run.folder, parts, manifest)
    run.note(scores=found)


def _number(scores, name):
    value = scores[name] if isinstance(scores, dict) else np.nan
    return "-" if np.isnan(value) else f"{value:.3f}"
