"""Runs models over streams of prepared windows: features of all windows, or a sample spread evenly."""

import numpy as np

from physiokeras.evaluation.batches import BATCH, predict
from physiokeras.evaluation.features import Features
from physiokeras.pipelines import stream
from physiokeras.pipelines.streaming import damage_named

SPLITS = ("train", "validation", "test")


FULL_BATCH = 64


def features_of(extractor, manifest, splits=SPLITS):
    """Features, labels and people of the windows of each split.

    Args:
        extractor: `FeatureExtractor`.
        manifest: `Manifest`.
        splits: Names of splits; those that the data lack are left out.

    Returns: dict of split -> `Features`, whose labels hold "record" and "window" too.
    """
    return {split: features_of_windows(extractor, manifest, split) for split in splits if split in manifest.splits}


def features_of_windows(extractor, manifest, split=None, records=None, change=None):
    """Features, labels and people of the windows of one split, of some records, or of all windows.

    Args:
        extractor: `FeatureExtractor`.
        manifest: `Manifest`.
        split: Name of a split, or None.
        records: Names of records, or None.
        change: Function of each batch's inputs to what the extractor is given.

    Returns: `Features`, in the manifest's order; its labels hold "record" and "window" too.
    """
    labels = [*manifest.labels, "record", "window"]
    modalities = list(extractor.encoder.modalities)
    options = {"batch_size": FULL_BATCH, "labels": labels, "modalities": modalities}
    batches = stream(manifest.folder, split, records=records, **options)
    values, columns = extract(extractor, read(batches, manifest, split, records), FULL_BATCH, change)
    people = np.array([record.person for record in manifest.records])
    return Features(values, columns, people[columns["record"]])


def extract(model, batches, batch_size, change=None):
    """What a model makes of a stream's windows, and their labels.

    Args:
        model: A model whose output is one array, such as `FeatureExtractor`.
        batches: Iterable of `(inputs, labels)` as arrays.
        batch_size: Size of its full batches; a smaller one is padded, so that one compiled program serves all.
        change: Function of each batch's inputs to what the model is given.

    Returns: outputs `(windows, ...)`, and dict of labels `(windows,)`.
    """
    outputs, labels = [], []
    for inputs, label in batches:
        outputs.append(predict(model, change(inputs) if change else inputs, batch_size))
        labels.append(label)
    return np.concatenate(outputs), {name: np.concatenate([label[name] for label in labels]) for name in labels[0]}


def read(batches, manifest, split=None, records=None):
    """Yields the batches of a stream as arrays; a damaged shard is a `DataError` that names it and the byte."""
    with damage_named(manifest.folder, split, records):
        yield from batches.as_numpy_iterator()


def batches(manifest, modalities, limit, *, labels=(), records=None, size=BATCH):
    """Windows spread evenly over the test people (or those of the named records), in full batches but for the last.

    Args:
        manifest: `Manifest`.
        modalities: Names.
        limit: Most windows.
        labels: Names of labels to give besides.
        records: Names of records, instead of those of the test people; without test people, all.
        size: Windows of a batch.

    Yields: inputs, people `(windows,)`, and dict of labels.
    """
    split = "test" if records is None and "test" in manifest.splits else None
    count = sum(record.windows for record in manifest.select(split, records))
    keep = np.zeros(count, bool)
    keep[np.linspace(0, count - 1, min(count, limit)).astype(int)] = True
    people = np.array([record.person for record in manifest.records])
    chosen = {"labels": [*labels, "record"], "modalities": list(modalities), "records": records}
    waiting, place = None, 0
    for inputs, label in read(stream(manifest.folder, split, batch_size=4 * size, **chosen), manifest, split, records):
        table = {**{("input", k): v for k, v in inputs.items()}, **{("label", k): v for k, v in label.items()}}
        rows = keep[place : place + len(inputs["present"])]
        place += len(rows)
        table = {key: values[rows] for key, values in table.items()}
        waiting = table if waiting is None else {k: np.concatenate([v, table[k]]) for k, v in waiting.items()}
        while len(waiting["label", "record"]) >= size:
            yield _parts({key: values[:size] for key, values in waiting.items()}, people)
            waiting = {key: values[size:] for key, values in waiting.items()}
    if len(waiting["label", "record"]):
        yield _parts(waiting, people)


def arrays(manifest, modalities, limit, **options):
    """The windows of `batches`, together: inputs, people, labels."""
    parts = list(batches(manifest, modalities, limit, **options))
    inputs, people, labels = zip(*parts, strict=True)
    return _joined(inputs), np.concatenate(people), _joined(labels)


def _parts(table, people):
    inputs = {name: values for (kind, name), values in table.items() if kind == "input"}
    labels = {name: values for (kind, name), values in table.items() if kind == "label"}
    return inputs, people[labels["record"]], labels


def _joined(tables):
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
