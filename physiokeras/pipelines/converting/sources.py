"""Source files of a record: their list, and whether they have changed since the conversion."""

import os
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import sha256
from physiokeras.pipelines.converting.checksums import contradiction
from physiokeras.pipelines.readers.memory import Recording
from physiokeras.pipelines.readers.records import read_header
from physiokeras.pipelines.scores.score_files import annotation_file


def source_files(header_path, definition):
    """The files that a record is made of: header, signal files, annotations; missing ones left out; none in memory."""
    if isinstance(header_path, Recording):
        return []
    path = Path(header_path)
    files = [path, *read_header(path).files]
    for label in definition.labels.values():
        found = annotation_file(path, label)
        files += [found] if found else []
        files += [path.with_name(path.stem + label.vector)] if label.vector else []
    return [file for file in dict.fromkeys(files) if file.is_file()]


def fingerprint(header_path, definition):
    """Size, times and SHA-256 of each of a record's files, by its path relative to the header's folder.

    Of a recording in memory, its SHA-256.
    """
    if isinstance(header_path, Recording):
        return {str(header_path): {"sha256": header_path.digest()}}
    files = source_files(header_path, definition)
    return {from_record(file, header_path): {**_stat(file), "sha256": sha256(file)} for file in files}


def from_record(file, header_path):
    """Path of a file relative to the folder of a record's header."""
    return Path(os.path.relpath(file, Path(header_path).parent)).as_posix()


def unchanged(sidecar, header_path, definition):
    """Whether a record's files are those that its sidecar was made from.

    Size and times are compared first; a file is read and hashed only where its times moved. The change time is among
    them, which no ordinary tool can set back.
    """
    if isinstance(header_path, Recording):
        return fingerprint(header_path, definition) == sidecar["sources"]
    try:
        files, known = source_files(header_path, definition), sidecar["sources"]
    except DataError:
        return False
    if [from_record(file, header_path) for file in files] != list(known):
        return False
    for file in files:
        before, now = known[from_record(file, header_path)], _stat(file)
        if before["size"] != now["size"]:
            return False
        if any(before[key] != now[key] for key in now) and before["sha256"] != sha256(file):
            return False
    return True


def _stat(file):
    stat = os.stat(file)
    return {"size": stat.st_size, "modified": stat.st_mtime_ns, "changed": stat.st_ctime_ns}


def differing(header_path, sources, sums, strict):
    """Notes on the files whose SHA-256 is not the listed one.

    Raises:
        DataError: There is one, and `strict` is set.
    """
    notes = []
    for name, facts in sources.items():
        message = contradiction(name, facts["sha256"], sums)
        if message and strict:
            raise DataError(message, file=Path(header_path).parent / name)
        notes += [f"{name}: {message}"] if message else []
    return notes
