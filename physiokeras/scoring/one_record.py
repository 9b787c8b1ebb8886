"""Work of a model on one record: the same files whichever process writes them, this one or one on another machine.

Importing this module does not import Keras: a worker chooses the backend first.
"""

import functools
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from physiokeras.errors import DataError
from physiokeras.pipelines.prepared.manifest import Manifest

ONE_THREAD = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")
"""Environment variables by which PyTorch, TensorFlow and JAX take their number of threads when they are loaded."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class RecordFiles:
    """The files of records, side by side in a folder; the JSON file of a record says that the others are whole.

    Args:
        folder: The folder.
        kinds: Kinds of a record's files besides JSON, such as "csv" for NAME.csv.
        write: Function of a model, its digest, a `Night` and an `Order`, at the top level of a module, that writes the
            files of a record, and returns a note for the lines of progress, or "".
    """

    folder: Path
    kinds: tuple[str, ...]
    write: Callable

    def path(self, name: str, kind: str) -> Path:
        """Path of a record's file."""
        return self.folder / f"{name}.{kind}"

    def remove(self, name: str) -> None:
        """Remove a record's files; JSON first."""
        for kind in ("json", *self.kinds):
            self.path(name, kind).unlink(missing_ok=True)


@dataclass(frozen=True)
class Order:
    """All that a record's files depend on besides the model.

    Args:
        name: The record's name.
        key: Hash of all that its files depend on besides the recording.
        reader: Function that reads it: a `Night`, or why it cannot be read.
        arguments: Its arguments.
        manifest: `Manifest` of this record alone if it is prepared, else None.
        files: `RecordFiles`.
        note: Note for figures, such as "simulated", or None.
        options: What else `files.write` needs.
    """

    name: str
    key: str
    reader: Callable
    arguments: tuple
    manifest: Manifest | None
    files: RecordFiles
    note: str | None
    options: dict[str, Any]


class Done(NamedTuple):
    """A record whose files are written: seconds of reading it, seconds of working on it, and a note or ""."""

    reading: float
    working: float
    note: str


def read(order):
    """The `Night` of an order and the seconds of reading it, or why it cannot be read, a text."""
    begin = time.monotonic()
    night = order.reader(*order.arguments)
    return night if isinstance(night, str) else (night, time.monotonic() - begin)


def read_facts(path):
    """The JSON file of a record, or None where there is none that can be read."""
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def work(model, digest, order, found):
    """Write a record's files.

    Args:
        model: `TrainedModel`.
        digest: Its digest.
        order: `Order`.
        found: What `read` gives.

    Returns: `Done`; or why it cannot be done, a text.

    Raises:
        OSError: The folder takes no more files.
    """
    if isinstance(found, str):
        return found
    (night, reading), begin = found, time.monotonic()
    try:
        note = order.files.write(model, digest, night, order)
    except (DataError, ValueError) as error:
        return str(error)
    return Done(reading, time.monotonic() - begin, note)


def load_and_work(folder, digest, backend, order):
    """Read a record and write its files in a worker process, which loads the model when it first needs it.

    Keras runs on one thread, unless the worker's environment says otherwise: a cluster has a worker for each core, and
    sums are added in the same order on every machine. The threads of one worker take turns.

    Args:
        folder: The model's folder.
        digest: Its digest.
        backend: Keras backend.
        order: `Order`.

    Returns: as `work`.

    Raises:
        DataError: The model is not in that folder, or it is another one.
    """
    with _one_at_a_time:
        return work(_loaded(folder, digest, backend), digest, order, read(order))


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
