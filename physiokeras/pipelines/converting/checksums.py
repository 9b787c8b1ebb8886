"""Reads `SHA256SUMS.txt`, which data sets of PhysioNet contain, and checks files against it."""

import os
import re
from pathlib import Path, PurePosixPath

from physiokeras.errors import DataError
from physiokeras.files import sha256

FILE = "SHA256SUMS.txt"

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(.+)")
_LARGEST = 64 << 20


def read_checksums(source):
    """Read the list of checksums of a data set.

    Returns: dict of path below `source` to hexadecimal SHA-256; empty if there is no list.

    Raises:
        DataError: The list cannot be read, or a line is not a checksum and a path.
    """
    path, sums = Path(source) / FILE, {}
    if not path.is_file():
        return sums
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"may have at most {_LARGEST} bytes. Received: {path.stat().st_size}.", file=path)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"must be a readable text file: {error}. Restore or remove it.", file=path) from error
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line.strip())
        if match:
            sums[match[2].removeprefix("./")] = match[1].lower()
        elif line.strip():
            message = f"must be a SHA-256 and a path. Received: {line[:80]!r}. Restore or remove the list."
            raise DataError(message, file=path, place=f"line {number}")
    return sums


def by_folder(sums):
    """The checksums as dict of folder below the source -> file name -> SHA-256; "." is the source itself."""
    folders = {}
    for name, value in sums.items():
        path = PurePosixPath(name)
        folders.setdefault(str(path.parent), {})[path.name] = value
    return folders


def contradiction(file, digest, sums):
    """A sentence if a file's SHA-256 differs from the listed one, else None."""
    listed = sums.get(file)
    if listed in (None, digest):
        return None
    return f"its SHA-256 is {digest[:12]}…, {FILE} says {listed[:12]}…. Download it again."


def check_file(path, source, sums):
    """Check one file of a data set against the list.

    Raises:
        DataError: The checksum differs.
    """
    name = Path(os.path.relpath(path, source)).as_posix()
    if name in sums:
        message = contradiction(name, sha256(path), sums)
        if message:
            raise DataError(message, file=path)
