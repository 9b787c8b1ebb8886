"""Files of a scored record: CSV, EDF+ annotations, figure, and last of all JSON."""

import io
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from physiokeras.experiments.run_folder import to_json
from physiokeras.experiments.training_set import described
from physiokeras.files import write_atomic, write_csv
from physiokeras.pipelines.readers.clock import UNDATED
from physiokeras.scoring.exchange import annotations_of
from physiokeras.scoring.one_record import RecordFiles
from physiokeras.scoring.record_writers import write_scores
from physiokeras.scoring.statistics import is_staging

FOLDER = "records"
"""Folder of the records' files below that of the scores."""

SECONDS = "seconds.csv"
KINDS = ("png", "csv", SECONDS, "edf", "npz")
"""Kinds of a record's files besides JSON, such as `NAME.seconds.csv`."""


def of_scores(out):
    """`RecordFiles` of a folder of scores."""
    return RecordFiles(Path(out).absolute() / FOLDER, KINDS, write_scores)


def write(files, night, predictions, facts, *, figure=True, features=None, note=None):
    """Write a record's files; the JSON file last, whose presence says that the others are whole.

    Args:
        files: `RecordFiles`, see `of_scores`.
        night: `Night`.
        predictions: Task name to `Prediction`.
        facts: Content of the JSON file.
        figure: Whether to draw the hypnogram.
        features: Task name to features `(windows, width)`, to be written too; or None.
        note: Note for its title, such as "simulated".
    """
    files.remove(night.name)
    kinds = kinds_of(facts, figure=figure, features=features is not None)
    write_csv(files.path(night.name, "csv"), table(night, predictions))
    if SECONDS in kinds:
        write_csv(files.path(night.name, SECONDS), seconds(night, predictions))
    write_atomic(files.path(night.name, "edf"), edf(night, predictions))
    if "png" in kinds:
        staged = next(one for one in predictions.values() if is_staging(one.classes))
        events = {
            name: [(e["onset"], e["duration"]) for e in one["events"]]
            for name, one in facts["tasks"].items()
            if "events" in one
        }
        said = [described(facts["seen"]), note, _agreement(facts["tasks"][staged.task.name])]
        draw(files.path(night.name, "png"), night, staged, said, events)
    if "npz" in kinds:
        write_atomic(files.path(night.name, "npz"), npz(predictions, features))
    write_atomic(files.path(night.name, "json"), to_json(facts))


def kinds_of(facts, *, figure, features):
    """Kinds of a record's files besides JSON, by the content of that and by what is asked for."""
    staged = any("statistics" in one for one in facts["tasks"].values())
    wanted = {"png": figure and staged, SECONDS: bool(finer(facts)), "npz": features}
    return [kind for kind in KINDS if wanted.get(kind, True)]


def finer(facts):
    """Names of the tasks of a record that are predicted at times closer than windows, such as seconds."""
    tasks, window = facts["tasks"], facts.get("window", 0)  # earlier versions wrote no resolution
    return [name for name, one in tasks.items() if one.get("resolution", window) < window]


def seconds(night, predictions):
    """Rows of the file of seconds below a header: `onset`; for tasks of seconds `TASK_CLASS` and `TASK_scorer`."""
    found = {name: one for name, one in predictions.items() if one.window < night.window}
    columns = {"onset": [f"{start:g}" for start in next(iter(found.values())).starts]}
    for name, prediction in found.items():
        columns |= _probabilities(name, prediction) | _scored(name, night, prediction)
    return [tuple(columns), *zip(*columns.values(), strict=True)]


def npz(predictions, features):
    """The features of a record's windows as a file of arrays.

    Those of `feature_arrays`; `onset` `(windows,)`, seconds; `missing` `(windows,)`, names of modalities.

    Args:
        predictions: Task name to `Prediction`.
        features: Task of windows to its features, the same array for tasks that share them.
    """
    first, content = predictions[next(iter(features))], io.BytesIO()
    np.savez(content, **feature_arrays(features), onset=first.starts, missing=np.array(first.missing, str))
    return content.getvalue()


def feature_arrays(features):
    """Features by their names in files: `features`; where tasks have networks of their own, `features_TASK` of each.

    Args:
        features: Task to features `(windows, width)`, those of missing modalities mapped; the same array for tasks that
            share a network.
    """
    if len({id(values) for values in features.values()}) > 1:
        return {f"features_{task}": values for task, values in features.items()}
    return {"features": next(iter(features.values()))}


def table(night, predictions):
    """Rows of the CSV file, a window each, below a header.

    Columns: `onset` (seconds), `clock` where known; for each task of windows, not those of whole people such as age,
    `TASK` (the most probable class, "" for none), `TASK_CLASS` (its probability), `TASK_scorer` where there is one;
    `quality` (share of the channels that are usable), `missing` (modalities), `distance` (from the training's windows,
    there about 1).
    """
    first = next(iter(predictions.values()))
    times = len(first.starts) // len(night)  # of a window; 1 unless all tasks are of single seconds
    starts = first.starts[::times]
    columns = {"onset": [f"{start:g}" for start in starts]}
    if night.clock is not None:
        columns["clock"] = [_clock(night.clock, start) for start in starts.tolist()]
    for name, prediction in predictions.items():
        if prediction.task.of_people or prediction.window < night.window:
            continue  # one window tells little of a person; the mean of the recording is in the JSON file
        columns |= {name: prediction.labels, **_probabilities(name, prediction), **_scored(name, night, prediction)}
    columns["quality"] = _numbers(quality_of(night), 3)
    columns["missing"] = list(first.missing[::times])
    columns["distance"] = _numbers(first.distance.reshape(-1, times).mean(axis=1), 2)
    return [tuple(columns), *zip(*columns.values(), strict=True)]


def _probabilities(name, prediction):
    values = prediction.probabilities
    return {f"{name}_{one}": _numbers(values[:, number], 4) for number, one in enumerate(prediction.classes)}


def _scored(name, night, prediction):
    targets = targets_of(night, prediction.task)
    if targets is None:
        return {}
    return {f"{name}_scorer": [prediction.classes[value] if value >= 0 else "" for value in targets]}


def read_probabilities(path, task, classes):
    """Probabilities of a task `(windows, classes)` from a record's CSV file, NaN where there is no prediction."""
    import csv

    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row[f"{task}_{name}"] or "nan") for name in classes] for row in rows], float)


def quality_of(night):
    """Share of the channels that are usable, `(windows,)`; channels that the recording lacks count."""
    return np.asarray(night.present, float).mean(axis=1)


def targets_of(night, task):
    """The scorer's classes (or numbers) of a task, `(windows,)` or `(seconds,)`; None where no window has one."""
    if task.label not in night.labels:
        return None
    targets = task.targets(night.labels[task.label])
    known = targets >= 0 if task.classes else np.isfinite(targets)
    return targets if known.any() else None


def edf(night, predictions):
    """Bytes of an EDF+ file that holds annotations alone: stages, and events of window tasks."""
    import edfio

    found = [
        edfio.EdfAnnotation(onset, duration, text)
        for prediction in predictions.values()
        if prediction.classes and not prediction.task.of_people
        for onset, duration, text in annotations_of(prediction)
    ]
    start = {}
    if night.clock is not None:
        start["starttime"] = night.clock.time()
        if night.clock.date() != UNDATED:
            start["recording"] = edfio.Recording(startdate=night.clock.date())
    content = io.BytesIO()
    edfio.Edf([], annotations=sorted(found, key=lambda one: one.onset), **start).write(content)
    return content.getvalue()


def draw(path, night, staged, notes, events=None):
    """Draw the hypnogram of a recording.

    Args:
        path: The figure's file.
        night: `Night`.
        staged: `Prediction` of its stages.
        notes: Texts for the title, of which empty ones and None are left out.
        events: As in `scored_night`.
    """
    from physiokeras.figures.scored_night import scored_night
    from physiokeras.figures.style import save

    figure = scored_night(
        staged.probabilities,
        staged.classes,
        staged.starts,
        window=staged.window,
        name=night.name,
        scored=targets_of(night, staged.task),
        clock=night.clock,
        notes=[text for text in notes if text],
        events=events,
    )
    save(figure, path, dpi=110)


def _agreement(stage):
    found = stage.get("agreement")
    return f"{found['accuracy']:.0%} of {found['windows']} scored windows agree" if found else ""


def _clock(clock: datetime, seconds):
    moment = clock + timedelta(seconds=seconds)
    return f"{moment:%H:%M:%S}" if clock.date() == UNDATED else f"{moment:%Y-%m-%d %H:%M:%S}"


def _numbers(values, digits):
    return [f"{value:.{digits}f}" if np.isfinite(value) else "" for value in values]
