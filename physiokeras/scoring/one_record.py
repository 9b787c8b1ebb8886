"""Scores one record: the same files whichever process does it, this one or a worker on another machine.

Importing this module does not import Keras: a worker chooses the backend first.
"""

import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.experiments.training_set import split_of
from physiokeras.pipelines.prepared.manifest import Manifest

ONE_THREAD = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")
"""Environment variables by which PyTorch, TensorFlow and JAX take their number of threads when they are loaded."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Order:
    """All that a record's files depend on besides the model.

    Args:
        name: The record's name.
        key: Hash of all that its scores depend on besides its files.
        reader: Function that reads it: a `Night`, or why it cannot be read.
        arguments: Its arguments.
        manifest: `Manifest` of this record alone if it is prepared, else None.
        out: Folder of the scores.
        figure: Whether to draw the hypnogram.
        note: Note for the figure, such as "simulated", or None.
        features: Whether to write the windows' features.
    """

    name: str
    key: str
    reader: Callable
    arguments: tuple
    manifest: Manifest | None
    out: Path
    figure: bool
    note: str | None
    features: bool = False


def read(order):
    """The `Night` of an order and the seconds of reading it, or why it cannot be read, a text."""
    begin = time.monotonic()
    night = order.reader(*order.arguments)
    return night if isinstance(night, str) else (night, time.monotonic() - begin)


def score(model, digest, order, found):
    """Score a record and write its files.

    Args:
        model: `TrainedModel`.
        digest: Its digest.
        order: `Order`.
        found: What `read` gives.

    Returns: seconds of reading it, and of scoring it and writing its files; or why it cannot be scored, a text.

    Raises:
        OSError: The folder takes no more files.
    """
    from physiokeras.scoring import record_files
    from physiokeras.scoring.facts import facts_of

    if isinstance(found, str):
        return found
    (night, reading), begin = found, time.monotonic()
    try:
        predictions, features, note = predict_all(model, night)
        seen = split_of(night.identity, model.first_facts, order.manifest, night.name)
        facts = facts_of(model, night, predictions, seen=seen, note=note)
        facts |= {"key": order.key, "model": about(model, digest), "sources": night.sources}
        what = {"figure": order.figure, "features": features if order.features else None}
        record_files.write(order.out, night, predictions, facts, **what, note=order.note)
    except (DataError, ValueError) as error:
        return str(error)
    return reading, time.monotonic() - begin


def load_and_score(folder, digest, backend, order):
    """Read and score a record in a worker process, which loads the model when it first needs it.

    Keras runs on one thread, unless the worker's environment says otherwise: a cluster has a worker for each core, and
    sums are added in the same order on every machine. The threads of one worker take turns.

    Args:
        folder: The model's folder.
        digest: Its digest.
        backend: Keras backend.
        order: `Order`.

    Returns: as `score`.

    Raises:
        DataError: The model is not in that folder, or it is another one.
    """
    with _one_at_a_time:
        return score(_loaded(folder, digest, backend), digest, order, read(order))


@functools.lru_cache(maxsize=1)
def _loaded(folder, digest, backend):
    from physiokeras.experiments.backend import use

    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    use(backend)
    from physiokeras.scoring.trained_model import load

    model = load(folder)
    if model.digest != digest:
        raise DataError(
            "the model that a worker finds here is not the command's; give all workers the same folder.", file=folder
        )
    return model


def about(model, digest):
    """What a record's JSON file says of the model."""
    return {"folder": str(model.folder), "digest": digest, "data_hash": model.first_facts.get("data_hash")}


def predict_all(model, night):
    """Predictions of all tasks for a recording; features are computed once for each encoder.

    Args:
        model: `TrainedModel`.
        night: `Night`.

    Returns: dict of task name to `Prediction`, dict of task name to its features `(windows, width)`, and a note on
        windows that lack modalities.
    """
    from physiokeras.scoring import window_features
    from physiokeras.scoring.inputs import inputs_of, slices

    by_time = sorted((head.extractor for head in model.heads.values()), key=lambda one: one.keep_time)
    used = {id(one.encoder): one for one in by_time}  # the last: an extractor that keeps the time serves the others
    read, features, notes, predictions = {}, {}, [], {}
    for name, head in model.heads.items():
        key, own = id(head.extractor.encoder), id(head.extractor)
        if key not in read:
            read[key] = window_features.read(used[key], slices(inputs_of(night, used[key].encoder)))
        if head.extractor.keep_time:
            features[own] = read[key]
        elif own not in features:
            time = used[key].encoder.time
            found = window_features.over_time(read[key], time) if used[key].keep_time else read[key]
            features[own], note = model.mapped(head.extractor, found)
            notes += [note] if note and note not in notes else []
        facts = {"window": night.window, "start": night.start, "clock": night.clock}
        predictions[name] = model.prediction(head, features[own], **facts)
    kept = {name: features[id(head.extractor)] for name, head in model.heads.items() if not head.extractor.keep_time}
    return predictions, {name: found.values for name, found in kept.items()}, "".join(notes)
