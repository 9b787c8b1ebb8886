"""One cell of a cross-validation: everything of one fold and one seed, from pretraining to predictions of its test."""

import csv
import io
import json
import shutil
import time

import keras
import numpy as np

from physiokeras.analysis.features import Features
from physiokeras.analysis.probing import Probe
from physiokeras.files import write_atomic
from physiokeras.models import FeatureExtractor
from physiokeras.recipes import supervised, training
from physiokeras.recipes.experiment import build_autoencoder, build_encoder, compile_autoencoder
from physiokeras.recipes.folds import records_of, with_variances_of
from physiokeras.recipes.probing import features_of_windows

PREDICTIONS = "predictions.csv"
"""Written last: a cell that has it is done."""

KEYS = ("person", "record", "window", "target")


def compute(folder, fold, task, manifest, settings, untrained, advice=""):
    """Pretrain, probe, train from scratch, and predict the test people; kept in the cell's folder.

    Args:
        folder: The cell's own folder; one that holds a finished cell is left as it is.
        fold: `Fold`.
        task: `Task`.
        manifest: `Manifest`.
        settings: Those of the command, with the seed of this cell.
        untrained: Function without arguments that gives `features_untrained` for this seed; all folds share them.
        advice: How to go on after an interruption, a sentence.
    """
    if (folder / PREDICTIONS).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.clear_session()
    began = time.monotonic()
    pretraining = records_of(manifest, fold.pretrain)
    manifest = with_variances_of(manifest, pretraining)
    features, network = encoded(folder, fold, task, manifest, settings, pretraining, advice)
    features = {**features, "untrained": untrained()}
    predicted, strengths = probed(features, fold, task)
    test = of_people(features["supervised"], fold.test)
    predicted["supervised raw"] = supervised.predict_proba(network, test.values)
    kept = task.targets(test.labels[task.label]) >= 0
    facts = {
        "test": fold.test,
        "train": fold.train,
        "validation": fold.validation,
        "pretrain": fold.pretrain,
        "variances": manifest.variances,
        "strengths": strengths,
        "seconds": round(time.monotonic() - began),
    }
    write_atomic(folder / "cell.json", json.dumps(facts, indent=2) + "\n")
    names = [record["name"] for record in manifest.records]
    records = [names[index] for index in test.labels["record"]]
    targets = task.targets(test.labels[task.label])
    rows = zip(test.people.tolist(), records, test.labels["window"].tolist(), targets.tolist(), strict=True)
    write_predictions(folder / PREDICTIONS, task, list(rows), predicted, kept)
    for name in ("checkpoints", "supervised_checkpoints"):
        shutil.rmtree(folder / name)  # many cells would fill the disk


def encoded(folder, fold, task, manifest, settings, pretraining, advice):
    """Features of all windows by each trained encoder, and the supervised network."""
    model = build_autoencoder(settings, manifest)
    compile_autoencoder(model, settings)
    training.fit(model, manifest, settings, folder, records=pretraining, advice=advice)
    found = {"pretrained": features_of_windows(FeatureExtractor(model.encoder, settings.pooling), manifest)}
    network = supervised.train(
        task,
        manifest,
        settings,
        folder,
        records=records_of(manifest, fold.train),
        validation=records_of(manifest, fold.validation),
        advice=advice,
    )
    found["supervised"] = features_of_windows(network.extractor, manifest)
    return found, network


def features_untrained(manifest, settings):
    """`Features` of all windows by the encoder with which pretraining and supervised training begin."""
    return features_of_windows(FeatureExtractor(build_encoder(settings, manifest), settings.pooling), manifest)


def probed(features, fold, task):
    """Probes on each encoder's features, raw and scaled per person, and on the time alone.

    Args:
        features: dict of encoder -> `Features` of all windows.
        fold: `Fold`.
        task: `Task`.

    Returns: dict of column -> probabilities `(test windows, classes)`, and of column -> strength chosen.
    """
    any_of = next(iter(features.values()))
    time_alone = Features(any_of.labels["window"][:, None].astype(np.float32), any_of.labels, any_of.people)
    columns = {"time alone": time_alone}
    for name, found in features.items():
        columns[f"{name} raw"] = found
        columns[f"{name} per person"] = scaled_per_person(found)
    del columns["supervised raw"]  # the network answers itself
    predicted, strengths = {}, {}
    for name, found in columns.items():
        probe = Probe.fit(task, of_people(found, fold.train), of_people(found, fold.validation))
        predicted[name] = probe.predict_proba(of_people(found, fold.test).values)
        strengths[name] = probe.strength
    return predicted, strengths


def scaled_per_person(features):
    """Each feature less its mean, by its standard deviation, over all of the person's windows, labels not looked at."""
    values = np.empty(features.values.shape, np.float32)
    for person in np.unique(features.people):
        rows = features.people == person
        own = features.values[rows].astype(np.float64)
        values[rows] = (own - own.mean(axis=0)) / (own.std(axis=0) + 1e-9)
    return Features(values, features.labels, features.people)


def of_people(features, people):
    """The windows of some people."""
    rows = np.isin(features.people, people)
    return Features(
        features.values[rows], {name: label[rows] for name, label in features.labels.items()}, features.people[rows]
    )


def write_predictions(path, task, rows, predicted, kept):
    """Write a row for each labelled test window: person, record, window, target, and each column's probabilities."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*KEYS, *(f"{column}: {name}" for column in predicted for name in task.classes)])
    values = np.concatenate(list(predicted.values()), axis=1)
    for row, numbers, keep in zip(rows, values, kept, strict=True):
        if keep:
            writer.writerow([*row, *(f"{number:.8g}" for number in numbers)])
    write_atomic(path, text.getvalue())


def read_predictions(path, task):
    """What `write_predictions` wrote.

    Returns: dict of `people`, `targets`, `keys` (list of the first columns' texts), and `columns`: name -> `(windows,
        classes)`.
    """
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    first, classes = len(KEYS), len(task.classes)
    values = np.array([row[first:] for row in rows], dtype=np.float64)
    names = [title.rpartition(": ")[0] for title in header[first::classes]]
    return {
        "keys": [row[:first] for row in rows],
        "people": np.array([row[0] for row in rows]),
        "targets": np.array([int(row[first - 1]) for row in rows]),
        "columns": {name: values[:, i * classes : (i + 1) * classes] for i, name in enumerate(names)},
    }
