"""One record to one shard and its sidecar: a pure function of the record, the definition and the code."""

import contextlib
import errno
import hashlib
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import write_atomic
from physiokeras.pipelines.converting.sources import differing, fingerprint
from physiokeras.pipelines.labels.window_labels import Person, first_window, read_labels
from physiokeras.pipelines.prepared.manifest import SCHEMA
from physiokeras.pipelines.prepared.shards import encode_example, write_shard
from physiokeras.pipelines.readers.memory import Recording
from physiokeras.pipelines.readers.records import read_header
from physiokeras.pipelines.signals.channels import record_windows

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

_SHAPES_NOTHING = ("name", "description", "records", "people", "person", "person_column", "same_person", "split")
"""Keys of a definition on which no byte of a shard depends."""

FORMAT = 5
"""Raised whenever the same record and definition would give other bytes; shards of another format are made again."""


def convert_one(path, definition, people, out, strict, sums):
    """One record's sidecar, written beside its shard; one with the reason where the record is set aside.

    Runs in a worker, wherever that is. Only a folder that takes no files raises.
    """
    try:
        return convert_record(path, definition, people, out, strict=strict, sums=sums)
    except DataError as error:
        reason = str(error)
    except OSError as error:
        if error.errno in _UNWRITABLE:
            raise
        reason = f"{error.filename or path}: {error.strerror or error}"
    except Exception as error:
        reason = f"{path}: unexpected {type(error).__name__}: {error}"
    return set_aside(out, path, reason, conversion_key(path.stem, definition, people))


def set_aside(out, path, reason, key):
    """The sidecar of a record that could not be converted, written."""
    sidecar = {"record": path.stem, "key": key, "set_aside": reason}
    write_sidecar(out, sidecar)
    return sidecar


def read_sidecar(out, name):
    """A record's sidecar, or None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((out / "records" / f"{name}.json").read_bytes())
    return None


def convert_record(header_path, definition, people, out, *, strict=True, sums=None):
    """Convert one record: `out/records/NAME.tfrecord`, then `NAME.json`, whose presence says that the shard is whole.

    Args:
        header_path: The record's `.hea` or other file that names it, or a `Recording`.
        definition: `Definition`.
        people: Record name -> `Person`, as `physiokeras.pipelines.people.label_tables.read_tables` gives it.
        out: The prepared folder; its `records` must exist.
        strict: Whether a wrong checksum, initial value or SHA-256 is an error; else a note in the sidecar.
        sums: The SHA-256 that the record's files must have, by file name; files that are not in it are not checked.

    Returns: the sidecar, a dict.

    Raises:
        DataError: The record breaks a rule; no file of it is left half written.
    """
    name = header_path.stem if isinstance(header_path, Recording) else Path(header_path).stem
    sources = fingerprint(header_path, definition)
    doubts = differing(header_path, sources, sums or {}, strict)
    header = read_header(header_path)
    start = first_window(header, definition)
    notes = [*doubts, *header.notes]
    notes += [f"{name}: windows begin {start:g} s after the record, on the grid of {definition.grid}"] if start else []
    labels = read_labels(header, definition, people, notes, start)
    stored, present, quality = record_windows(header, definition, strict=strict, start=start)
    if not present.any():
        why = "; ".join(f"{channel['channel']}: {', '.join(channel['notes'])}" for channel in quality)
        raise DataError(f"no channel is usable in any window. {why[:400]}", file=header.path)
    shard = write_shard(Path(out) / "records" / f"{name}.tfrecord", examples(name, stored, present, labels))
    person = people.get(name, Person())
    sidecar = {
        "schema": SCHEMA,
        "record": name,
        "key": conversion_key(name, definition, people),
        **shard,
        "seconds": header.seconds,
        "start": start,
        "sex": person.sex,
        "age": _number(person.age),
        "notes": notes,
        "present": {modality: int(usable.any(axis=1).sum()) for modality, usable in _split(present, definition)},
        "labels": {label: _counts(values) for label, values in labels.items()},
        "sums": {modality: _sums(stored[modality], usable) for modality, usable in _split(present, definition)},
        "channels": quality,
        "sources": sources,
    }
    write_sidecar(out, sidecar)
    return sidecar


def write_sidecar(out, sidecar):
    """Write `out/records/NAME.json`."""
    text = json.dumps(sidecar, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(Path(out) / "records" / f"{sidecar['record']}.json", (text + "\n").encode())


def examples(name, stored, present, labels):
    """Yield each window as a serialized `tf.train.Example`, in an order that mixes time.

    Features: `signals/MODALITY` (little-endian int16, samples × channels), `present` (a byte per channel),
    `labels/LABEL` (int64 or float), `window` (int64) and `record` (the name).
    """
    for window in window_order(name, len(present)):
        features = {"record": name.encode(), "window": int(window), "present": present[window].tobytes()}
        for modality, values in stored.items():
            features[f"signals/{modality}"] = values[window].astype("<i2", copy=False).tobytes()
        for label, values in labels.items():
            features[f"labels/{label}"] = values[window].item()
        yield encode_example(features)


def window_order(name, windows):
    """The order of a record's windows in its shard, from a hash of its name: any stretch mixes the whole night."""
    return sorted(range(windows), key=lambda window: hashlib.sha256(f"{name}/{window}".encode()).digest())


def conversion_key(name, definition, people):
    """Hash of all that shapes a record's shard besides its files; which records there are, and of whom, does not."""
    table = {key: value for key, value in definition.to_dict().items() if key not in _SHAPES_NOTHING}
    table["modalities"] = {
        name: {key: value for key, value in modality.items() if key != "default"}
        for name, modality in table["modalities"].items()
    }
    person = people.get(name, Person())
    about = [SCHEMA, FORMAT, table, person.sex, _number(person.age)]
    about += [{label: _number(value) for label, value in person.labels.items()}] if person.labels else []
    return hashlib.sha256(json.dumps(about, ensure_ascii=False).encode()).hexdigest()


def _split(present, definition):
    """`(modality, its columns of present)`, in order."""
    sizes = [len(modality.channels) for modality in definition.modalities.values()]
    return zip(definition.modalities, np.split(present, np.cumsum(sizes)[:-1], axis=1), strict=True)


def _sums(stored, usable):
    """Number, sum and sum of squares of a modality's stored present samples, exact. Absent samples are zeros."""
    total = squares = 0
    for window in stored:
        flat = window.reshape(-1).astype(np.float64)
        total += int(flat.sum())
        # Four times as fast as a dot product, for which BLAS wakes its threads once a window.
        squares += int(np.multiply(flat, flat, out=flat).sum())
    return [int(usable.sum()) * stored.shape[1], total, squares]


def _number(value):
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _counts(values):
    """Windows per class of an integer label; for a float one, how many windows have it, and the value."""
    if np.issubdtype(values.dtype, np.floating):
        known = values[np.isfinite(values)]
        return {"labelled": len(known)} | ({"value": float(known[0])} if len(known) else {})
    return {str(key): count for key, count in sorted(Counter(values.tolist()).items())}
