"""One record to one shard and its sidecar: a pure function of the record, the definition and the code."""

import hashlib
import json
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import write_atomic
from physiokeras.pipelines.channels import record_windows
from physiokeras.pipelines.labels import Person, annotation_file, read_labels
from physiokeras.pipelines.manifest import SCHEMA
from physiokeras.pipelines.records import read_header
from physiokeras.pipelines.shards import encode_example, write_shard

FORMAT = 3
"""Raised whenever the same record and definition would give other bytes; shards of another format are made again."""


def convert_record(header_path, definition, people, out, *, strict=True):
    """Convert one record: `out/records/NAME.tfrecord`, then `NAME.json`, whose presence says that the shard is whole.

    Args:
        header_path: The record's `.hea`.
        definition: `Definition`.
        people: Record name -> person with `sex` and `age`, as `read_people` gives it.
        out: The prepared folder; its `records` must exist.
        strict: Whether a wrong checksum or initial value is an error; else a note in the sidecar.

    Returns: the sidecar, a dict.

    Raises:
        DataError: The record breaks a rule; no file of it is left half written.
    """
    name = Path(header_path).stem
    sources = fingerprint(header_path, definition)
    header = read_header(header_path)
    stored, present, quality = record_windows(header, definition, strict=strict)
    notes = list(header.notes)
    labels = read_labels(header, definition, people, notes)
    shard = write_shard(Path(out) / "records" / f"{name}.tfrecord", examples(name, stored, present, labels))
    person = people.get(name, Person())
    sidecar = {
        "schema": SCHEMA,
        "record": name,
        "key": conversion_key(name, definition, people),
        **shard,
        "seconds": header.seconds,
        "sex": person.sex,
        "age": _number(person.age),
        "notes": notes,
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
    """Hash of all that shapes a record's shard besides its files; how people are split does not."""
    table = {key: value for key, value in definition.to_dict().items() if key not in ("split", "description")}
    person = people.get(name, Person())
    about = [SCHEMA, FORMAT, table, person.sex, _number(person.age)]
    return hashlib.sha256(json.dumps(about, ensure_ascii=False).encode()).hexdigest()


def source_files(header_path, definition):
    """The files that a record is made of: header, signal files, annotations; missing ones left out."""
    path = Path(header_path)
    files = [path, *read_header(path).files]
    for label in definition.labels.values():
        found = annotation_file(path, label)
        files += [found] if found else []
        files += [path.with_name(path.stem + label.vector)] if label.vector else []
    return [file for file in dict.fromkeys(files) if file.is_file()]


def fingerprint(header_path, definition):
    """Size, times and SHA-256 of each of a record's files, by file name."""
    return {file.name: {**_stat(file), "sha256": _sha256(file)} for file in source_files(header_path, definition)}


def unchanged(sidecar, header_path, definition):
    """Whether a record's files are those that its sidecar was made from.

    Size and times are compared first; a file is read and hashed only where its times moved. The change time is among
    them, which no ordinary tool can set back.
    """
    try:
        files, known = source_files(header_path, definition), sidecar["sources"]
    except DataError:
        return False
    if [file.name for file in files] != list(known):
        return False
    for file in files:
        before, now = known[file.name], _stat(file)
        if before["size"] != now["size"]:
            return False
        if any(before[key] != now[key] for key in now) and before["sha256"] != _sha256(file):
            return False
    return True


def _stat(file):
    stat = os.stat(file)
    return {"size": stat.st_size, "modified": stat.st_mtime_ns, "changed": stat.st_ctime_ns}


def _sha256(file):
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


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
    """Windows per class of an integer label; for a float one, how many windows have it."""
    if np.issubdtype(values.dtype, np.floating):
        return {"labelled": int(np.isfinite(values).sum())}
    return {str(key): count for key, count in sorted(Counter(values.tolist()).items())}
