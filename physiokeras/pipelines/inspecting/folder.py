"""Contents of a folder without a definition: recordings, scores, tables. A bad file is reported, others are read."""

import csv
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import commas_are_decimal, with_point
from physiokeras.pipelines.converting.record_list import SUFFIXES, holds_scores_alone, recordings_below
from physiokeras.pipelines.inspecting.companions import Companions, find_companions
from physiokeras.pipelines.people.people import open_table
from physiokeras.pipelines.readers import e4
from physiokeras.pipelines.readers.clock import file_start
from physiokeras.pipelines.readers.header import Header
from physiokeras.pipelines.readers.mne_files import is_part
from physiokeras.pipelines.readers.records import read_header
from physiokeras.pipelines.readers.segments import without_segments
from physiokeras.pipelines.readers.wfdb_header import read_lines

_TABLES = (".csv", ".tsv")


@dataclass(frozen=True)
class Recording:
    """One recording of a folder.

    Attributes:
        header: `Header`.
        start: Date and time of its start as the file gives them, in words; None where it does not.
        whole: Whether its samples are there, too.
    """

    header: Header
    start: str | None
    whole: bool

    @property
    def path(self) -> Path:
        """Its header, or its one file."""
        return self.header.path


@dataclass
class Folder:
    """Recordings, scores and tables found below a folder.

    Attributes:
        root: The folder.
        recordings: list of `Recording`, those that can be read.
        bad: Path -> why it cannot be read.
        companions: list of `Companions`: files of scores, by pattern.
        tables: Path -> `(columns, rows, shared)`: number of rows, and the column that names recordings, or None.
        others: Extension -> number of files that are none of these.
        links: Folders that are links, and are not followed.
    """

    root: Path
    recordings: list = field(default_factory=list)
    bad: dict = field(default_factory=dict)
    companions: list[Companions] = field(default_factory=list)
    tables: dict = field(default_factory=dict)
    others: Counter = field(default_factory=Counter)
    links: list = field(default_factory=list)


def look(source):
    """Look through a folder, or at one recording and what lies beside it.

    Args:
        source: The folder, or a recording's path.

    Returns: `Folder`.

    Raises:
        DataError: No recording is there, or `source` is a table.
    """
    source = Path(source)
    if source.is_file() and source.suffix.lower() in (*_TABLES, ".txt"):
        raise DataError("is a table, no recording. Give its folder, whose tables are listed too.", file=source)
    found = Folder(source if source.is_dir() else source.parent)
    files, (below, links) = _files(found.root), recordings_below(found.root)
    headers = without_segments([path for path in below if not holds_scores_alone(path)])
    others = set(headers)
    if source.is_dir():
        found.links = links
    else:
        headers = [source]
    for path in headers:
        _read(path, found)
    if not found.recordings and not found.bad:
        raise DataError(
            f"must hold recordings: {', '.join(SUFFIXES)}. Received: {len(files)} other files.", file=source
        )
    parts = {file for recording in found.recordings for file in (recording.path, *recording.header.files)}
    parts |= {file for file in files if file.suffix.lower() == ".hea" or is_part(file)} | set(found.bad) | others
    parts |= {file for file in files if file.parent in others and e4.is_export(file.parent)}
    rest = [file for file in files if file not in parts]
    rest = [file for file in rest if not _read_table(file, found)]
    found.companions, rest = find_companions(found.recordings, rest, found.bad)
    if source.is_dir():
        found.others.update(file.suffix.lower() or file.name for file in rest)
    return found


def _files(folder):
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(here, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _read(path, found):
    whole = True
    try:
        header = read_header(path)
    except (DataError, OSError) as error:
        found.bad[path], whole = str(error), False
        try:
            # A header whose signal files are missing still tells what should be there.
            header = read_header(path, check_files=False)
        except (DataError, OSError):
            return
    found.recordings.append(Recording(header, _start(path), whole))


def _start(path):
    """Date and time of a recording's start in words, as far as its file has them."""
    try:
        if path.suffix.lower() == ".hea":
            return " ".join(read_lines(path)[0][1].split()[4:6]) or None
        start = file_start(path)
    except (DataError, OSError):
        return None
    return start and (f"{start.moment:%Y-%m-%d %H:%M:%S}" if start.dated else f"{start.moment:%H:%M:%S}")


def _read_table(path, found):
    """Whether a file is a table whose rows are of recordings or of people, and no recording's own."""
    names = {recording.path.stem for recording in found.recordings}
    if path.suffix.lower() not in _TABLES or any(path.stem.startswith(name) for name in names):
        return False
    try:
        table, columns = open_table(path)
        rows = list(table)
    except (DataError, csv.Error):
        return False
    cells = [[row[place].strip() for row in rows if place < len(row)] for place in range(len(columns))]
    decimal = [commas_are_decimal(column, table.dialect.delimiter) for column in cells]
    cells = [[*map(with_point, column)] if comma else column for comma, column in zip(decimal, cells, strict=True)]
    shared = next((name for name, cell in zip(columns, cells, strict=True) if names & set(cell)), None)
    found.tables[path] = (dict(zip(columns, cells, strict=True)), len(rows), shared)
    return True


def spread(values):
    """Least, median and most of some numbers."""
    return float(np.min(values)), float(np.median(values)), float(np.max(values))
