"""Finds the records of a data set: by a pattern, or by a list such as `RECORDS`."""

from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.pipelines.segments import without_segments


def find_records(source, definition):
    """The headers of a data set.

    Args:
        source: Its folder.
        definition: Its `Definition`; `records` is a pattern that ends in ".hea" or ".edf", or the name of a list.

    Returns: list of paths, sorted by record name; a record's segments are not listed beside it.

    Raises:
        DataError: No record, a listed one is outside the folder, or two have the same name.
    """
    source = Path(source)
    _inside(definition.records, source, "records")
    if definition.records.lower().endswith((".hea", ".edf")):
        paths = [path for path in source.glob(definition.records) if path.is_file()]
    else:
        paths = list(_listed(source, source / definition.records))
    if not paths:
        raise DataError(
            f"no record matches {definition.records!r}. Is this the folder of {definition.name}?", file=source
        )
    names = {}
    for path in without_segments(paths):
        other = names.setdefault(path.stem, path)
        if other != path:
            raise DataError(f"two records are called {path.stem}; the other is {other}. Rename one.", file=path)
    return [names[name] for name in sorted(names)]


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
        header = source / (name if name.lower().endswith(".edf") else f"{name}.hea")
        if name.endswith("/"):
            header = source / name / f"{Path(name).name}.hea"
        yield header


def _inside(name, file, place):
    if name.startswith(("/", "~")) or "\\" in name or ":" in name or "\0" in name or ".." in Path(name).parts:
        message = f"must name a record below the folder. Received: {name!r}."
        raise DataError(message, file=file, place=place)
