"""Find the records of a data set by a pattern or a list such as `RECORDS`, and name the files that are left out."""

import os
import re
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.pipelines.readers import dreem, e4, edf, mne_files
from physiokeras.pipelines.readers.edf_plus import Layout
from physiokeras.pipelines.readers.segments import without_segments
from physiokeras.pipelines.scores.score_files import annotation_file, any_case, escaped, matching

SUFFIXES = (".hea", *edf.SUFFIXES, *mne_files.SUFFIXES, *dreem.SUFFIXES)
"""Extensions of recordings, in lower case."""

_SHOWN = 3


class NoRecords(DataError):
    """No file of a folder matches the definition's pattern."""


def find_records(source, definition):
    """The headers of a data set.

    A pattern's extension matches in capitals too. Hidden files, such as those that a Mac leaves beside each file of
    another disk, files that hold annotations alone, later parts of a FIF file and files whose names are no text are no
    records.

    Args:
        source: Its folder.
        definition: Its `Definition`; `records` is a pattern, with a wildcard or one of `SUFFIXES`, or a list's name. A
            pattern that ends in a slash is of folders that an E4 exported.

    Returns: list of paths, sorted by record name; a record's segments are not listed beside it.

    Raises:
        NoRecords: No file matches.
        DataError: A listed record is outside the folder, or two have the same name.
    """
    source = Path(source)
    if not source.is_dir():
        there = "this is a file; give its folder." if source.exists() else "there is no such folder."
        raise DataError(there, file=source)
    if definition.records.lower().endswith(mne_files.FOLDERS):
        raise DataError(f"{mne_files.NO_FOLDERS}.", file=source, place=f"records = {definition.records!r}")
    _inside(definition.records, source, "records")
    is_pattern = escaped(definition.records) != definition.records
    known = definition.records.lower().endswith((*SUFFIXES, mne_files.NIHON))
    if is_pattern and re.search(r"\.\w+$", definition.records) and not known:
        rule = "`records` must be a pattern that ends in the suffix of a format, or the name of a list of records."
        advice = f"Suffixes: {', '.join(SUFFIXES)}. Write recordings of another format as EDF first."
        advice += " Folders of an E4 have a pattern that ends in a slash." * definition.records.lower().endswith(".csv")
        raise DataError(f"{rule} Received: {definition.records!r}. {advice}", file=f"definition {definition.name!r}")
    if is_pattern or known:
        found = _matching(source, definition.records)
        paths = [path for path in found if not _hidden(path, source) and has_text_name(path)]
        paths = [path for path in paths if not holds_scores_alone(path)]
    else:
        paths = list(_listed(source, source / definition.records))
    if not paths:
        others = _names(recordings_below(source)[0], source)
        there = f" It holds {others}." if others else _other_files(source)
        message = f"no record matches {definition.records!r}.{there} Is this the folder of {definition.name}?"
        raise NoRecords(message, file=source)
    names = {}
    for path in without_segments(paths):
        other = names.setdefault(path.stem, path)
        if other != path:
            raise DataError(f"two records are called {path.stem}; the other is {other}. Rename one.", file=path)
    return [names[name] for name in sorted(names)]


def _matching(source, pattern):
    """Files that match a pattern, and exports of an E4; the latter alone where the pattern ends in a slash."""
    try:
        paths = [path for path in source.glob(any_case(pattern.rstrip("/"))) if path != source]
    except ValueError as error:
        raise DataError(f"must be a pattern of paths: {error}.", file=source, place=f"records = {pattern!r}") from error
    return [path for path in paths if e4.is_export(path) or (_is_file(path) and not pattern.endswith("/"))]


def _is_file(path):
    """Whether it is a file, or a link to one that is not there: a record that is to be named, not passed over."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _other_files(source):
    """A sentence on the files of a folder without recordings."""
    names = sorted(path.name for path in source.iterdir() if not path.name.startswith("."))
    if not names:
        return " The folder is empty."
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" There is no recording below it, only {', '.join(names[:_SHOWN])}{more}."


def left_out(source, paths, definition):
    """Lines on the recordings below a folder that are not among its records, and on folders that are not looked into.

    Args:
        source: The data set's folder.
        paths: Its records.
        definition: Its `Definition`.
    """
    source = Path(source)
    files_of = claimed_by(paths, definition)[0]
    claimed = {path for files in files_of.values() for path in files}
    files, links = recordings_below(source)
    strange = [file for file in files if not has_text_name(file)]
    if strange:
        yield f"Left out, because their names are not UTF-8: {_names(strange, source)}. Rename them."
    files = [file for file in files if file not in strange]
    others = sorted(file for file in set(files) - set(paths) - claimed if not holds_scores_alone(file))
    if others:
        yield f"Left out by records = {definition.records!r}: {_names(others, source)}."
    for name, own in files_of.items():
        for file, owners in own.items():
            if len(owners) > 1:
                several = ", ".join(path.stem for path in owners)
                yield f"{file.name} is taken for the annotations of several records, by [labels.{name}]: {several}."
    alike = {file for name, own in files_of.items() for file in _alike(own, definition.labels[name])}
    orphans = sorted((alike | set(files)) - set(paths) - claimed - set(others))
    if orphans:
        yield f"Annotations of no record, by their names: {_names(orphans, source)}."
    links = [link for link in links if not any(path.is_relative_to(link) for path in paths)]
    if links:
        yield f"Not followed, because they are links: {_names(links, source)}. Copy them, or make them the source."


def _alike(claimed, label):
    """Files in the folders of a label's annotations that fit its pattern for any record; none for tables."""
    if not claimed:
        return set()
    pattern = re.sub(r"\{record[^}]*\}", "*", (label.file or f"{{record}}.{label.annotator}").rpartition("/")[2])
    if "{" in pattern or pattern.lstrip("*").lower() in (".csv", ".tsv", ".txt"):
        return set()
    found = {file for folder in {file.parent for file in claimed} for file in matching(folder, any_case(pattern))}
    return {file for file in found if not mne_files.is_part(file)}


def claimed_by(paths, definition):
    """The annotation files of records, found by their names alone.

    Returns: `(files, errors)`: dict of label to a dict of file to the records that it is of; dict of record to why its
        files cannot be told.
    """
    files, errors = {name: {} for name, label in definition.labels.items() if label.is_annotated}, {}
    for path in paths:
        for name, claimed in files.items():
            try:
                file = annotation_file(path, definition.labels[name])
            except DataError as error:
                errors.setdefault(path, str(error))
                continue
            if file is not None:
                claimed.setdefault(file, []).append(path)
    return files, errors


def recordings_below(source):
    """Recordings below a folder, hidden ones and later parts left out, and links to folders."""
    files, links = [], []
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        links += [here / name for name in folders if (here / name).is_symlink()]
        shown = [here / name for name in sorted(names) if not name.startswith(".")]
        files += [file for file in shown if file.name.lower().endswith(SUFFIXES) or mne_files.is_nihon(file)]
        files += [here] if e4.is_export(here) else []
    return [file for file in files if not mne_files.is_part(file)], links


def ending_of(path):
    """A recording's extension in lower case; "/" of a folder."""
    return "/" if path.is_dir() else path.suffix.lower()


def has_text_name(path):
    """Whether a path is in UTF-8, as all that is written about it is."""
    try:
        return bool(os.fsencode(path).decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _names(paths, source):
    names = (os.fsencode(path.relative_to(source)).decode("utf-8", "backslashreplace") for path in paths[:_SHOWN])
    shown = ", ".join(names)
    return shown + (f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else "")


def _hidden(path, source):
    return any(part.startswith(".") for part in path.relative_to(source).parts)


def holds_scores_alone(path):
    """Whether a file is EDF+ without any signal; false for a file that cannot be read, which its reader reports."""
    if path.suffix.lower() not in edf.SUFFIXES:
        return mne_files.is_part(path) or mne_files.holds_marks_alone(path)
    try:
        layout = Layout.of(path)
    except (DataError, OSError):
        return False
    return bool(layout.slots) and not layout.signals


def _listed(source, path):
    """Headers named in a `RECORDS` list."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of records must be a readable text file: {error}.", file=path) from error
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        _inside(name, path, f"line {number}")
        header = source / (name if name.lower().endswith((*SUFFIXES, mne_files.NIHON)) else f"{name}.hea")
        if name.endswith("/"):
            header = source / name / f"{Path(name).name}.hea"
        yield header


def _inside(name, file, place):
    if name.startswith(("/", "~")) or "\\" in name or ":" in name or "\0" in name or ".." in Path(name).parts:
        message = f"must name a record below the folder. Received: {name!r}."
        raise DataError(message, file=file, place=place)
