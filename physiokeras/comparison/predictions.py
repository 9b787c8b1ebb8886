"""Predictions of a cell's models on its test subjects, per task, with all modalities and with only some of them."""

import contextlib
import csv
import io
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from physiokeras.evaluation.extraction import EncoderFeatures, TimeAlone
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.scores import class_scores, number_scores
from physiokeras.evaluation.subset_maps import SubsetMap
from physiokeras.evaluation.tasks import Task
from physiokeras.experiments.supervised import predict_proba
from physiokeras.experiments.training_settings import probe_options
from physiokeras.files import write_atomic, write_csv
from physiokeras.pipelines import Manifest

PREDICTIONS, SUBSETS = "predictions.csv", "subsets.npz"
KEYS = ("person", "record", "window")
RAW = "raw"
KEPT, MAPPED, REFIT = "kept", "mapped", "refit"


@dataclass
class Predictions:
    """Predictions for the test windows, in the order of records and time.

    Args:
        keys: A tuple for each window: person, record, window in it.
        targets: Task name to `(windows,)`.
        columns: (task name, scaling) to `(windows, classes)` probabilities, or `(windows, 1)` numbers.
        subsets: (probe, task name, subset as `subset_name` calls it) to the same, of raw features: by the `KEPT` probe
            of all modalities, by that on `MAPPED` features, or one that was `REFIT` on windows that lack the same.
        strengths: "task, scaling" to the strength of the probe.
        left_out: Task name to why it has no predictions.
        parameters: Number of the encoder's weights.
        seconds: Step to how long it took.
    """

    keys: list[tuple] = field(default_factory=list)
    targets: dict[str, np.ndarray] = field(default_factory=dict)
    columns: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    subsets: dict[tuple[str, str, str], np.ndarray] = field(default_factory=dict)
    strengths: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    parameters: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of_test_windows(cls, cell: Any, manifest: Manifest, tasks: list[Task]) -> Self:
        """Keys and targets of a cell's test windows, and no predictions yet."""
        test = TimeAlone(manifest).features(manifest.records_of(cell.fold.test))
        records = [manifest.records[index].name for index in test.labels["record"]]
        keys = list(zip(test.people.tolist(), records, test.labels["window"].tolist(), strict=True))
        return cls(keys, {task.name: task.targets(test.labels[task.label]) for task in tasks})

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Adds the time inside it to `seconds`."""
        began = time.monotonic()
        yield
        self.seconds[step] = round(self.seconds.get(step, 0) + time.monotonic() - began, 1)


def of_probes(cell, source, manifest, tasks):
    """Predictions of a probe for each task, all on the features of one source.

    Args:
        cell: `Cell`.
        source: Such as `EncoderFeatures`.
        manifest: `Manifest`.
        tasks: list of `Task`.

    Returns: `Predictions`.
    """
    found, probes, s = Predictions.of_test_windows(cell, manifest, tasks), {}, cell.settings
    found.parameters = source.parameters
    with found.timed("extract"):
        features = source.features(manifest.records_of(cell.fold.labelled))
    with found.timed("probe"):
        for task, scaling in itertools.product(tasks, s.scalings):
            probe = probe_scaled(found, cell, task, features, scaling)
            if probe and scaling == RAW:
                probes[task] = probe
    with found.timed("subsets"):
        for left in proper_subsets(source.modalities) if s.subsets and probes else ():
            add_subset(found, cell, source, manifest, probes, features, left)
    return found


def add_subset(found, cell, source, manifest, probes, full, left):
    """Add the predictions for the test windows from a subset of the modalities, by each kind of probe.

    Args:
        found: `Predictions`.
        cell: `Cell`.
        source: As in `of_probes`.
        manifest: `Manifest`.
        probes: `Task` to `Probe` of all modalities.
        full: `Features` of all modalities.
        left: Names of the subset.
    """
    s, name = cell.settings, subset_name(left)
    everyone = s.refit or s.subset_maps
    features = source.features(manifest.records_of(cell.fold.labelled if everyone else cell.fold.test), left)

    def of_test(features):
        return features.with_context(s.context, s.context_mode).of_people(cell.fold.test)

    for task, probe in probes.items():
        found.subsets[KEPT, task.name, name] = predicted(probe, of_test(features))
    if s.subset_maps:
        mapped = mapped_to(full, features, cell.fold.train)
        for task, probe in probes.items():
            found.subsets[MAPPED, task.name, name] = predicted(probe, of_test(mapped))
    for task in probes if s.refit else ():
        again = fit_probe(cell, task, features.with_context(s.context, s.context_mode))
        found.subsets[REFIT, task.name, name] = predicted(again, of_test(features))


def mapped_to(full, some, people):
    """Features of a subset of the modalities, mapped to those of all.

    Windows that lack a modality of the subset itself are mapped like the others.

    Args:
        full: `Features` of all modalities.
        some: `Features` of the subset, of the same windows.
        people: Those on whose windows with all modalities the map is fitted, without labels.

    Returns: `Features`; `some` itself where no such window has all modalities.
    """
    rows = np.isin(full.people, people)
    if full.present is not None:
        rows &= full.present.all(axis=1)
    if not rows.any():
        return some
    return replace(some, values=SubsetMap.fit(some.values[rows], full.values[rows])(some.values))


def of_networks(cell, networks, manifest, tasks):
    """Predictions of one supervised network for each task.

    Features that are scaled per person are read by a probe instead of the network's own linear layer.

    Args:
        cell: `Cell`.
        networks: Task name to `LinearProbe`, or to None where its training windows are of one class.
        manifest: `Manifest`.
        tasks: list of `Task`; those without a network are left out.

    Returns: `Predictions`.
    """
    found, s = Predictions.of_test_windows(cell, manifest, tasks), cell.settings
    for task in (task for task in tasks if task.name in networks):
        network = networks[task.name]
        if network is None:
            found.left_out[task.name] = "the training windows are of one class."
            continue
        source = EncoderFeatures(manifest, network.encoder, s.pooling)
        found.parameters = source.parameters
        with found.timed("extract"):
            features = source.features(manifest.records_of(cell.fold.labelled))
        with found.timed("probe"):
            for scaling in s.scalings:
                if scaling == RAW:
                    test = features.of_people(cell.fold.test)
                    found.columns[task.name, RAW] = predict_proba(network, test.values)
                else:
                    probe_scaled(found, cell, task, features, scaling)
        with found.timed("subsets"):
            for left in proper_subsets(source.modalities) if s.subsets and RAW in s.scalings else ():
                test = source.features(manifest.records_of(cell.fold.test), left)
                found.subsets[KEPT, task.name, subset_name(left)] = predict_proba(network, test.values)
    return found


def probe_scaled(found, cell, task, features, scaling):
    """Fit a probe on features with one scaling and add its predictions for the test windows.

    Returns: `Probe`, or None where none can be fitted; `found.left_out` says why.
    """
    scaled = features if scaling == RAW else scaled_per_person(features)
    scaled = scaled.with_context(cell.settings.context, cell.settings.context_mode)
    try:
        probe = fit_probe(cell, task, scaled)
    except ValueError as error:
        found.left_out[task.name] = str(error)
        return None
    found.strengths[f"{task.name}, {scaling}"] = probe.strength
    found.columns[task.name, scaling] = predicted(probe, scaled.of_people(cell.fold.test))
    return probe


def fit_probe(cell, task, features):
    """A probe fitted on a cell's training people, its strength chosen by the validation people."""
    fold = cell.fold
    validation = features.of_people(fold.validation) if fold.validation else None
    return Probe.fit(task, features.of_people(fold.train), validation, **probe_options(cell.settings))


def predicted(probe, features):
    """Probabilities `(windows, classes)`, or numbers `(windows, 1)`."""
    return probe.predict_proba(features.values) if probe.task.classes else probe.predict(features.values)[:, None]


def proper_subsets(modalities):
    """All subsets of modalities but the empty one and the whole, small ones first."""
    return [names for size in range(1, len(modalities)) for names in itertools.combinations(modalities, size)]


def subset_name(names):
    """A subset's name in files, such as "eeg+ecg"."""
    return "+".join(names)


def scaled_per_person(features):
    """Features standardised over all windows of each person; no label is used."""
    values = np.empty(features.values.shape, np.float32)
    for person in np.unique(features.people):
        rows = features.people == person
        own = features.values[rows].astype(np.float64)
        values[rows] = (own - own.mean(axis=0)) / (own.std(axis=0) + 1e-9)
    return replace(features, values=values)


def outputs(task):
    """Names of what is predicted for a task: its classes, "years", or "number"."""
    return task.classes or (task.kind,)


def scores_of(found, tasks):
    """Dict of "task, scaling" to scores of the labelled test windows."""
    classes = {task.name: task.classes for task in tasks}
    return {
        f"{task}, {scaling}": class_scores(found.targets[task], values)
        if classes[task]
        else number_scores(found.targets[task], values[:, 0])
        for (task, scaling), values in found.columns.items()
    }


def write(folder, found, tasks):
    """Write `predictions.csv`, a row for each test window, and `subsets.npz`, of the same rows.

    The columns are person, record, window, each task's target (-1 or nan where unlabelled), then "task, scaling: class"
    with probabilities, or "task, scaling: years" or "task, scaling: number".
    """
    classes = {task.name: outputs(task) for task in tasks}
    titles = [f"{task}, {scaling}: {name}" for task, scaling in found.columns for name in classes[task]]
    targets = zip(*(found.targets[task].tolist() for task in classes), strict=True)
    values = np.concatenate([np.empty((len(found.keys), 0)), *found.columns.values()], axis=1)
    rows = [
        (*key, *target, *(f"{number:.8g}" for number in numbers))
        for key, target, numbers in zip(found.keys, targets, values, strict=True)
    ]
    write_csv(folder / PREDICTIONS, [(*KEYS, *classes, *titles), *rows])
    content = io.BytesIO()
    np.savez_compressed(content, **{"/".join(key): values.astype("float32") for key, values in found.subsets.items()})
    write_atomic(folder / SUBSETS, content.getvalue())


def read(folder, tasks):
    """Read what `write` wrote: `Predictions` with keys, targets, columns and subsets."""
    with open(folder / PREDICTIONS, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    texts = {title: [row[i] for row in rows] for i, title in enumerate(header)}
    found = Predictions(keys=list(zip(*(texts[name] for name in KEYS), strict=True)))
    for task in tasks:
        found.targets[task.name] = np.array(texts[task.name], dtype=np.int64 if task.classes else np.float64)
        for title in texts:
            name, _, last = title.rpartition(": ")
            if last == outputs(task)[0] and name.startswith(f"{task.name}, "):
                own = [texts[f"{name}: {output}"] for output in outputs(task)]
                found.columns[task.name, name.removeprefix(f"{task.name}, ")] = np.array(own, dtype=np.float64).T
    with np.load(folder / SUBSETS, allow_pickle=False) as file:
        found.subsets = {tuple(name.split("/")): file[name] for name in file.files}
    return found
