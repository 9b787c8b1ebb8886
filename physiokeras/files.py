"""Atomic writes of files and folders, locks between processes, and CSV."""

import contextlib
import csv
import io
import os
import shutil
from pathlib import Path

import filelock

from physiokeras.errors import DataError

_SUFFIX = ".tmp"


def write_atomic(path, content):
    """Write a file whole or not at all: a temporary file in the same folder, fsync, rename.

    Args:
        path: The final name; its folder must exist.
        content: bytes, text (written as UTF-8), or a function that is given the open binary file and writes to it.

    Returns: what `content` returned, where it is a function.

    Raises:
        OSError: The disk is full or the folder read-only; the old file is untouched and nothing temporary is left.
    """
    path = Path(path)
    content = content.encode() if isinstance(content, str) else content
    temporary = _aside(path)
    try:
        with open(temporary, "wb") as file:
            result = content(file) if callable(content) else file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)
    return result


def write_folder(path, files):
    """Write a folder whole or not at all: a temporary folder beside it, fsync of everything, rename.

    Args:
        path: The final name; its parent must exist. A folder of that name is replaced.
        files: dict of file name to bytes.

    Raises:
        OSError: The disk is full or the parent read-only; an old folder is untouched and nothing temporary is left.
    """
    path = Path(path)
    temporary = _aside(path)
    try:
        temporary.mkdir()
        for name, content in files.items():
            with open(temporary / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(temporary)
        if path.exists():
            remove_folder(path)
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)


def remove_folder(path):
    """Remove a folder so that a kill leaves it whole or only something temporary."""
    path = Path(path)
    aside = _aside(path.with_name(f"{path.name}.old"))
    os.rename(path, aside)
    shutil.rmtree(aside)


def _aside(path):
    return path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")


def refuse_link_out(path, root):
    """Refuse a file that leads out of `root` by a symbolic link: data sets come from strangers.

    Raises:
        DataError: It does.
    """
    if not Path(path).resolve().is_relative_to(Path(root).resolve()):
        raise DataError(f"must not be a link out of {root}. Copy it there.", file=path)


def sync_folder(path):
    """Make renames inside a folder durable."""
    if os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporaries(folder, stems=None):
    """Remove what killed writers left in `folder`, or those of files with these stems alone.

    Only for whoever holds their lock.
    """
    for path in Path(folder).glob(f".*{_SUFFIX}"):
        # ".NAME.json.PID.tmp"
        if stems is not None and path.name[1:].rsplit(".", 3)[0] not in stems:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path, *, shared=None, wait=False):
    """Hold an advisory lock on the file `path`, which is created if missing; the lock of a killed process is free.

    Args:
        path: The lock file.
        shared: None: one process holds the lock. True or False, for a lock that knows both kinds: hold it together
            with other processes that share it, or alone. A file is locked in one of these two ways only.
        wait: Wait for the lock instead of refusing.

    Raises:
        DataError: Another process holds the lock.
    """
    with contextlib.ExitStack() as held:
        try:
            if shared is None:
                held.enter_context(filelock.FileLock(path).acquire(blocking=wait))
            else:
                lock = filelock.ReadWriteLock(path, blocking=wait, is_singleton=False)
                held.callback(lock.close)
                held.enter_context(lock.read_lock() if shared else lock.write_lock())
        except filelock.Timeout:
            message = "another process writes to this folder now; wait until it ends or give another folder."
            raise DataError(message, file=Path(path).parent) from None
        yield


def write_csv(path, rows):
    """Write rows as CSV; the first is its heading."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomic(path, text.getvalue())
