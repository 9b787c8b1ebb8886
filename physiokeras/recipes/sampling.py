"""Windows of prepared data for what looks at a part of them, spread evenly, and without holding all."""

import numpy as np

from physiokeras.analysis.batches import BATCH
from physiokeras.pipelines import stream
from physiokeras.pipelines.streaming import damage_named


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
    count = sum(record["windows"] for record in manifest.select(split, records))
    keep = np.zeros(count, bool)
    keep[np.linspace(0, count - 1, min(count, limit)).astype(int)] = True
    people = np.array([record["person"] for record in manifest.records])
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
