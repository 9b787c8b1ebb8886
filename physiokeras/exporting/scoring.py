"""Scores of an exported model beside Keras's, on labelled windows."""

import numpy as np

from physiokeras.errors import DataError
from physiokeras.evaluation.extraction import arrays
from physiokeras.evaluation.scores import class_scores
from physiokeras.exporting import parity
from physiokeras.exporting.formats import FORMATS
from physiokeras.exporting.sources import read_source
from physiokeras.pipelines import stream

SCORES = ("balanced_accuracy", "kappa", "auroc")
_MOST = 1024


def calibration_windows(manifest, modalities, count, seed):
    """Windows drawn at random from the training people, or from all: inputs as in the call of `Encoder`."""
    split = "train" if "train" in manifest.splits else None
    count = min(count, sum(record.windows for record in manifest.select(split)))
    options = {"batch_size": count, "seed": seed, "modalities": list(modalities)}
    return next(stream(manifest, split, **options).take(1).as_numpy_iterator())[0]


def compare_scores(exported, model, task, manifest, batch=None):
    """Scores of Keras and of the exported model, on at most 1,024 windows spread evenly over the test people.

    Args:
        exported: `Exported`, of a task with classes.
        model: As in `export`.
        task: As in `export`.
        manifest: `Manifest` of data with the task's label.
        batch: As in `export`.

    Returns: dict of "Keras" and the format -> dict of score -> number; and the number of scored windows.

    Raises:
        DataError: The data lack the label.
    """
    source = read_source(model, task, None)
    target, encoder = source.head.task, source.extractor.encoder
    if target.label not in manifest.labels:
        raise DataError(
            f"has no label of the task {target.name!r}: {', '.join(manifest.labels)}.", file=manifest.folder
        )
    inputs, _, labels = arrays(manifest, encoder.modalities, _MOST, labels=[target.label])
    size = batch or 1
    whole = len(inputs["present"]) // size * size
    (dtype,) = {x["dtype"] for x in exported.inputs if x["name"] != "present"}
    inputs = parity.stored({name: values[:whole] for name, values in inputs.items()}, encoder, dtype)
    targets = target.targets(labels[target.label][:whole])
    run = FORMATS[exported.format].open(exported.file)
    found = {
        "Keras": source.expected(inputs, batch or 64),
        exported.format: parity.by_runtime(run, inputs, batch),
    }
    targets = np.where(np.isnan(found["Keras"]).any(axis=1), -1, targets)  # nothing is present there
    scores = {who: class_scores(targets, np.asarray(values, np.float64)) for who, values in found.items()}
    return {who: {name: one[name] for name in SCORES} for who, one in scores.items()}, int((targets >= 0).sum())
