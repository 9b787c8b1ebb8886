"""Bounded reads, checksums, atomic writes of files and folders, locks between processes, texts and CSV."""

import codecs
import contextlib
import csv
import hashlib
import io
import os
import re
import shutil
import threading
import unicodedata
from pathlib import Path

import filelock

from physiokeras.errors import DataError

LONGEST_NAME = 200
"""Bytes of a record's name; file systems allow 255, with what is put around it."""

_SUFFIX = ".tmp"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def cache_folder() -> Path:
    """Folder of what is kept between processes and can be made again: copies of remote files, compiled programs.

    `PHYSIOKERAS_CACHE`; by default `physiokeras` in `XDG_CACHE_HOME`, or else in `~/.cache`.
    """
    own, common = os.environ.get("PHYSIOKERAS_CACHE"), os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own).expanduser() if own else Path(common).expanduser() / "physiokeras"


def write_atomic(path, content):
    """Write a file atomically: a temporary file in the same folder, fsync, rename.

    Args:
        path: The file; its folder must exist.
        content: bytes, text (written as UTF-8), or a function that writes to the open binary file that it receives.

    Returns: the result of `content` if it is a function.

    Raises:
        OSError: The disk is full or the folder is read-only. An existing file is unchanged; nothing temporary remains.
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


def read_bounded(path, largest, what, advice=""):
    """Content of a file that is small if it is what it should be; its size is looked at first.

    Args:
        path: The file.
        largest: Most bytes that it may have.
        what: What it should be, such as "a header".
        advice: A sentence for the message where it is larger.

    Returns: bytes.

    Raises:
        DataError: It is larger, or cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > largest:
            raise DataError(f"{what} may have {largest} bytes. Received: {size}. {advice}".strip(), file=path)
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"must be a readable file: {error.strerror}.", file=path) from error


def write_folder(path, files):
    """Write a folder atomically: a temporary folder beside it, fsync of all files, rename.

    Args:
        path: The folder; its parent must exist. An existing folder is replaced.
        files: dict of file name to bytes.

    Raises:
        OSError: The disk is full or the parent is read-only. An old folder is unchanged; nothing temporary remains.
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


def sha256(path):
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_folder(path):
    """Remove a folder so that a killed process leaves it whole or under a temporary name."""
    path = Path(path)
    aside = _aside(path.with_name(f"{path.name}.old"))
    os.rename(path, aside)
    shutil.rmtree(aside)


def _aside(path):
    # Threads may write one file at a time, such as a copy in the cache.
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{_SUFFIX}")


def refuse_link_out(path, root):
    """Refuse a file that a symbolic link places outside `root`, because data sets are untrusted.

    Raises:
        DataError: The file is outside `root`, or its links lead in a circle.
    """
    try:
        inside = Path(path).resolve().is_relative_to(Path(root).resolve())
    except (OSError, RuntimeError) as error:  # which of them depends on Python's version
        raise DataError("must not be a link that leads back to itself. Remove it.", file=path) from error
    if not inside:
        raise DataError(f"must not be a link to a file outside {root}. Copy the file there.", file=path)


def sync_folder(path):
    """Make renames inside a folder durable (fsync)."""
    if os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporaries(folder, stems=None):
    """Remove the temporary files of killed processes from `folder`; with `stems`, only those of files with these stems.

    The caller must hold the lock of these files.
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
    """Hold an advisory lock on the file `path`, which is created if missing. A killed process releases its lock.

    Args:
        path: The lock file.
        shared: None: a lock without shared holders. True or False: a shared or an exclusive holder of a lock that has
            both. A lock file must be used in one of these two ways only.
        wait: Whether to wait for the lock instead of raising an error.

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
            message = "another process is writing to this folder; wait until it ends or give another folder."
            raise DataError(message, file=Path(path).parent) from None
        yield


def one_form(name):
    """A name in Unicode's composed form: Macs write letters with accents as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


@contextlib.contextmanager
def part_locked(folder, part, parts, wait=False):
    """Lock an output folder for one part of the work: different parts may run concurrently, the same part may not.

    Args:
        folder: The folder, a `Path`.
        part: Number of this part, from 0.
        parts: Number of parts.
        wait: As for `locked`.

    Raises:
        DataError: As for `locked`.
    """
    with locked(folder / ".lock", shared=parts > 1, wait=wait), locked(folder / f".lock-{part}-of-{parts}", wait=wait):
        yield


def number_of(text):
    """The number that a cell holds; not "1_0" or digits of other scripts, which Python reads as 10.

    Raises:
        ValueError: It holds none.
    """
    if "_" in text or not text.strip().isascii():
        raise ValueError(f"no number: {text!r:.60}")
    return float(text)


def text_of(data):
    """Text of a file: UTF-8, or UTF-16 where its first bytes say so, as in Excel's "Unicode text".

    Raises:
        UnicodeDecodeError: It is neither.
    """
    wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return data.decode("utf-16" if wide else "utf-8-sig")


def refuse_spreadsheet(data, path):
    """Refuse a file of Excel or LibreOffice where a table in text is wanted.

    Args:
        data: How the file begins.
        path: The file.

    Raises:
        DataError: It is one.
    """
    if data[:4] in (b"PK\3\4", b"\xd0\xcf\x11\xe0"):
        raise DataError("is a spreadsheet, or an archive. Save it as CSV, and name that.", file=path)


def stated_separator(line):
    """Separator of cells that Excel's first line `sep=;` states; None where a line is no such line."""
    match = _SEPARATOR_LINE.fullmatch(line)
    return match and match[1]


def commas_are_decimal(cells, separator):
    """Whether commas in a table's numbers are decimal commas.

    Spreadsheets put semicolons between cells because their commas are decimal. Beside tabs commas may separate
    thousands.

    Args:
        cells: Texts of a column, or of several that are written alike.
        separator: What stands between cells.

    Returns: bool; None where nobody can tell, because all of them look like 1,020.
    """
    commas = [cell for cell in cells if _COMMA.fullmatch(cell)]
    doubtful = separator == "\t" and commas and all(map(_THOUSANDS.fullmatch, commas))
    return None if doubtful else separator != ","


def with_point(cell):
    """A cell with a decimal point, if it is a number with a decimal comma."""
    return cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell


def write_csv(path, rows):
    """Write rows as a CSV file; the first row is the header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomic(path, text.getvalue())
