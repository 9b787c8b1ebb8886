"""What a cell's models answer of its test people, task by task, with all modalities and with only some of them."""

import contextlib
import csv
import functools
import io
import itertools
import json
import time
from dataclasses import dataclass, field, replace

import numpy as np

from physiokeras.evaluation import extraction
from physiokeras.evaluation.extraction import FULL_BATCH, features_of_windows
from physiokeras.evaluation.features import Features
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.scores import number_scores, scores
from physiokeras.experiments.supervised import predict_proba
from physiokeras.experiments.training_settings import probe_options
from physiokeras.files import write_atomic, write_csv
from physiokeras.models import Encoder, FeatureExtractor, LinearProbe, encoder_of
from physiokeras.models.subsets import SubsetExtractor
from physiokeras.pipelines import stream

PREDICTIONS, SUBSETS = "predictions.csv", "subsets.npz"
KEYS = ("person", "record", "window")
RAW = "raw"
KEPT, REFIT = "kept", "refit"


@dataclass
class Answers:
    """Of the test windows, in the order of records and time.

    Args:
        keys: A tuple a window: person, record, window in it.
        targets: Task name to `(windows,)`.
        columns: (task name, scaling) to `(windows, classes)` probabilities, or `(windows, 1)` years.
        subsets: (probe, task name, subset as `subset_name` calls it) to the same, of raw features: by the `KEPT` probe
            of all modalities, or one that was `REFIT` on windows that lack the same modalities.
        strengths: "task, scaling" to the strength of the probe, chosen on validation people.
        left_out: Task name to why it has no answers.
        parameters: Of the encoder.
        seconds: What was done, to how long it took.
    """

    keys: list = field(default_factory=list)
    targets: dict = field(default_factory=dict)
    columns: dict = field(default_factory=dict)
    subsets: dict = field(default_factory=dict)
    strengths: dict = field(default_factory=dict)
    left_out: dict = field(default_factory=dict)
    parameters: int = 0
    seconds: dict = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, what):
        """Adds the time inside it to `seconds`."""
        began = time.monotonic()
        yield
        self.seconds[what] = round(self.seconds.get(what, 0) + time.monotonic() - began, 1)


def of(cell, models, manifest, tasks):
    """Fit what is to be fitted on a cell's training people, and answer for its test people.

    Args:
        cell: `Cell`.
        models: dict of task name, or "" for all of them, to a trained model, or to None for the time alone.
        manifest: `Manifest`.
        tasks: list of `Task`.

    Returns: `Answers`.
    """
    found = Answers()
    people = {*cell.fold.train, *cell.fold.validation, *cell.fold.test}
    for name, model in models.items():
        own = [task for task in tasks if name in ("", task.name)]
        with found.timed("extract"):
            extractor = model and shared_extractor(encoder_of(model), cell.settings.pooling)
            features = extracted(extractor, manifest, manifest.records_of(people))
        with found.timed("probe"):
            askers = answer_tasks(found, cell, model, features, own)
        found.parameters = extractor.encoder.count_params() if extractor else 0
        with found.timed("subsets"):
            if cell.settings.subsets and len(cell.entrant.modalities) > 1:
                extractor = shared_extractor(encoder_of(model), cell.settings.pooling, SubsetExtractor)
                answer_subsets(found, cell, extractor, manifest, askers, own)
    test = extracted(None, manifest, manifest.records_of(cell.fold.test))
    names = [record.name for record in manifest.records]
    records = [names[index] for index in test.labels["record"]]
    found.keys = list(zip(test.people.tolist(), records, test.labels["window"].tolist(), strict=True))
    found.targets = {task.name: task.targets(test.labels[task.label]) for task in tasks}
    return found


def answer_tasks(found, cell, model, features, tasks):
    """Answers with all modalities, by each scaling of the features.

    Returns: dict of task name to the function that answers from raw features.
    """
    askers, fold = {}, cell.fold
    for task, scaling in itertools.product(tasks, cell.settings.scalings):
        scaled = features if scaling == RAW else scaled_per_person(features)
        if isinstance(model, LinearProbe) and scaling == RAW:
            asker = functools.partial(predict_proba, model)
        else:
            scaled = scaled.with_context(cell.settings.context)
            try:
                asker, strength = fitted(cell, task, scaled)
            except ValueError as error:
                found.left_out[task.name] = str(error)
                continue
            found.strengths[f"{task.name}, {scaling}"] = strength
        found.columns[task.name, scaling] = asker(scaled.of_people(fold.test).values)
        if scaling == RAW:
            askers[task.name] = asker
    return askers


def fitted(cell, task, features):
    """A probe of a cell's training people, chosen on its validation people.

    Returns: the function that answers from features, and the probe's strength.
    """
    fold = cell.fold
    validation = features.of_people(fold.validation) if fold.validation else None
    probe = Probe.fit(task, features.of_people(fold.train), validation, **probe_options(cell.settings))
    return probe.predict_proba if task.classes else lambda values: probe.predict(values)[:, None], probe.strength


def answer_subsets(found, cell, extractor, manifest, askers, tasks):
    """Answers where only some modalities are there, by the functions that answer with all of them, and by others."""
    fold = cell.fold
    refit = [task for task in tasks if cell.settings.refit and not cell.is_supervised and task.name in askers]
    people = {*fold.test, *(fold.train if refit else ()), *(fold.validation if refit else ())}
    for names in proper_subsets(extractor.encoder.modalities):
        features = subset_features(extractor, manifest, manifest.records_of(people), names)
        if not cell.is_supervised:
            features = features.with_context(cell.settings.context)
        test = features.of_people(fold.test).values
        for task, asker in askers.items():
            found.subsets[KEPT, task, subset_name(names)] = asker(test)
        for task in refit:
            found.subsets[REFIT, task.name, subset_name(names)] = fitted(cell, task, features)[0](test)


def subset_features(extractor, manifest, records, names):
    """`Features` of records' windows of which only some modalities are left, by a `SubsetExtractor`."""
    places = [list(extractor.encoder.modalities).index(name) for name in names]

    def leave(inputs):
        return {**inputs, "left": tuple(np.full(len(inputs["present"]), place, np.int32) for place in places)}

    return features_of_windows(extractor, manifest, records=records, change=leave)


def proper_subsets(modalities):
    """All subsets of modalities but the empty one and the whole, small ones first."""
    return [names for size in range(1, len(modalities)) for names in itertools.combinations(modalities, size)]


def subset_name(names):
    """A subset's name in files, such as "eeg+ecg"."""
    return "+".join(names)


def shared_extractor(encoder, pooling, kind=FeatureExtractor):
    """An extractor with the weights of an encoder; encoders of one architecture share one compiled program."""
    shared = _extractor(json.dumps({**encoder.get_config(), "seed": 0}), pooling, kind)
    shared.encoder.set_weights(encoder.get_weights())
    return shared


@functools.lru_cache(maxsize=4)
def _extractor(config, pooling, kind):
    return kind(Encoder.from_config(json.loads(config)), pooling)


def extracted(extractor, manifest, records):
    """`Features` of all windows of records; without an extractor the windows' times."""
    if extractor:
        return features_of_windows(extractor, manifest, records=records)
    labels = [*manifest.labels, "record", "window"]
    options = {"batch_size": FULL_BATCH, "labels": labels, "modalities": manifest.defaults[:1]}
    batches = stream(manifest.folder, records=records, **options)
    rows = [label for _, label in extraction.read(batches, manifest, records=records)]
    columns = {name: np.concatenate([label[name] for label in rows]) for name in labels}
    people = np.array([record.person for record in manifest.records])
    return Features(columns["window"][:, None].astype(np.float32), columns, people[columns["record"]])


def scaled_per_person(features):
    """Each feature less its mean, by its standard deviation, over all of the person's windows, labels not looked at."""
    values = np.empty(features.values.shape, np.float32)
    for person in np.unique(features.people):
        rows = features.people == person
        own = features.values[rows].astype(np.float64)
        values[rows] = (own - own.mean(axis=0)) / (own.std(axis=0) + 1e-9)
    return replace(features, values=values)


def scores_of(found, tasks):
    """Scores of "task, scaling" to scores, of the labelled test windows."""
    classes = {task.name: task.classes for task in tasks}
    return {
        f"{task}, {scaling}": scores(found.targets[task], values)
        if classes[task]
        else number_scores(found.targets[task], values[:, 0])
        for (task, scaling), values in found.columns.items()
    }


def write(folder, found, tasks):
    """Write `predictions.csv`, a row for each test window, and `subsets.npz`, of the same rows.

    The columns are person, record, window, each task's target (-1 or nan where unlabelled), then "task, scaling: class"
    with probabilities, or "task, scaling: years".
    """
    classes = {task.name: task.classes or ("years",) for task in tasks}
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
    """What `write` wrote, as `Answers` with keys, targets, columns and subsets."""
    with open(folder / PREDICTIONS, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    texts = {title: [row[i] for row in rows] for i, title in enumerate(header)}
    found = Answers(keys=list(zip(*(texts[name] for name in KEYS), strict=True)))
    for task in tasks:
        found.targets[task.name] = np.array(texts[task.name], dtype=np.int64 if task.classes else np.float64)
        for title in texts:
            name, _, last = title.rpartition(": ")
            if last == (task.classes or ("years",))[0] and name.startswith(f"{task.name}, "):
                own = [texts[f"{name}: {c}"] for c in task.classes or ("years",)]
                found.columns[task.name, name.removeprefix(f"{task.name}, ")] = np.array(own, dtype=np.float64).T
    with np.load(folder / SUBSETS, allow_pickle=False) as file:
        found.subsets = {tuple(name.split("/")): file[name] for name in file.files}
    return found
