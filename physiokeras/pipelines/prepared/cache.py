"""Local copies of remote files, within a bound: shards by their SHA-256, folders by their address.

They lie in `physiokeras.files.cache_folder` and take at most `PHYSIOKERAS_CACHE_GB`, by default 50 GB. What was not
used for longest is removed first.
"""

import contextlib
import hashlib
import os
import shutil
import time
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import cache_folder, sha256, write_atomic

_SHARD_IN_USE_S, _FOLDER_IN_USE_S = 60, 86_400
"""Seconds since its last use in which a shard or a folder is not removed: another process may be about to open it."""


def limit() -> float:
    """Most bytes that the cache takes.

    Raises:
        DataError: `PHYSIOKERAS_CACHE_GB` is no positive number.
    """
    text = os.environ.get("PHYSIOKERAS_CACHE_GB") or "50"
    try:
        found = float(text) * 1e9
    except ValueError:
        found = 0.0
    if not found > 0:
        raise DataError(f"PHYSIOKERAS_CACHE_GB must be a positive number of GB. Received: {text!r}.")
    return found


def shard(file, size: int, digest: str) -> Path:
    """Local copy of a remote shard, which is fetched and checked when it is needed first.

    Args:
        file: `Remote` of the shard.
        size: Its bytes, as the manifest says.
        digest: Its SHA-256, as the manifest says.

    Returns: `Path`.

    Raises:
        DataError: The shard is not what the manifest says, or cannot be fetched.
    """
    path = cache_folder() / "shards" / f"{digest}.tfrecord"
    with contextlib.suppress(FileNotFoundError):  # not there, or another process has just removed it
        if path.stat().st_size == size:
            os.utime(path)
            return path
    path.parent.mkdir(parents=True, exist_ok=True)
    make_room(size)

    def write(out):
        total, count = hashlib.sha256(), 0
        for part in file.parts():
            count += len(part)
            if count > size:
                break
            total.update(part)
            out.write(part)
        if (count, total.hexdigest()) != (size, digest):
            message = "the shard's size or SHA-256 is not the one in the manifest; upload it again."
            raise DataError(message, file=file)

    write_atomic(path, write)
    return path


def drop_damaged(digest: str) -> bool:
    """Remove a shard's copy that has changed since it was fetched; whether there was one."""
    path = cache_folder() / "shards" / f"{digest}.tfrecord"
    if not path.is_file() or sha256(path) == digest:
        return False
    path.unlink()
    return True


def folder(address: str) -> Path:
    """Folder for copies of the files below an address; made if missing."""
    path = cache_folder() / "folders" / hashlib.sha256(address.encode()).hexdigest()[:24]
    path.mkdir(parents=True, exist_ok=True)
    os.utime(path)
    return path


def make_room(size: float) -> None:
    """Remove what was not used for longest, until `size` bytes more stay within the bound.

    Args:
        size: Bytes to come.
    """
    now, entries = time.time(), []
    for place, patience in (("shards", _SHARD_IN_USE_S), ("folders", _FOLDER_IN_USE_S)):
        for path in (cache_folder() / place).glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                entries.append((path.stat().st_mtime, patience, _bytes(path), path))
    total = size + sum(bytes_ for _, _, bytes_, _ in entries)
    for used, patience, bytes_, path in sorted(entries):
        if total <= limit():
            return
        if now - used > patience:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            total -= bytes_


def _bytes(path):
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
