"""Published splits, and splits in a table of people: the split of each person.

A file is a table with the columns person (or subject, record, ...) and split (or set, ...), as `splits.csv` in each
prepared folder, or JSON: {"train": ["p1", ...], "test": [...]}.
"""

import json
from dataclasses import replace
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import read_bounded, refuse_link_out
from physiokeras.pipelines.people.people import by_name, read_header_line, read_rows, table_column

WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing", "held-out", "heldout", "holdout"),
    "pretrain": ("pretrain", "pretraining", "unlabelled", "unlabeled"),
}
"""Split -> words for it, in whatever case."""

_SPLITS = {word: name for name, words in WORDS.items() for word in words}
_KEYS = ("person", "subject", "participant", "patient", "subject_id", "participant_id", "patient_id", "nsrrid", "id",
         "record", "recording", "name", "file")  # fmt: skip
_COLUMNS = ("split", "set", "subset", "partition")
_LARGEST = 16 << 20


def read_split(source, definition, records, report):
    """The definition with the people of each split as lists, where `[split]` names a column or a file.

    Args:
        source: The data set's folder.
        definition: `Definition`.
        records: Names of its records.
        report: list that receives messages.

    Raises:
        DataError: A file that cannot be read, a word that is no split, a person in two splits, in none, or none of the
            data set's people.
    """
    split = definition.split
    if not records or not (split.column or split.file):
        return definition
    path = Path(source) / (split.file or definition.people)
    if split.column:
        cells = table_column(source, definition.people, "record", split.column)
        named = {name: (cell, f"line {line}") for name, (cell, line) in cells.items()}
    else:
        refuse_link_out(path, source)
        named = _json(path) if path.suffix.lower() == ".json" else _table(path)
    persons, found, used = {record: definition.person_of(record) for record in records}, {}, set()
    named = by_name(named, [*persons, *persons.values()], path.name, report)
    for record, person in persons.items():
        # A table of people has a row for each record; a file names people, their records, or both.
        for key in dict.fromkeys((record,) if split.column else (person, record)):
            if key not in named or not named[key][0]:
                continue
            used.add(key)
            name = _split_of(*named[key], path)
            other = found.setdefault(person, name)
            if other != name:
                rule = f"a person belongs to one split. {person!r} is in {other} and {name}"
                raise DataError(f"{rule}.", file=path, place=named[key][1])
    left = sorted(set(persons.values()) - set(found))
    if left:
        names = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        examples = ", ".join(list(named)[:3])
        message = f"must name the split of each person. Received none for {names}; it has {examples}, ..."
        raise DataError(f"{message} Add them, or leave their records out by `records`.", file=path)
    if len(used) < len(named):
        report.append(f"{path.name}: {len(named) - len(used)} of its names have no record here")
    return replace(definition, split=_as_lists(split, persons, found))


def _as_lists(split, persons, found):
    """`Split` with lists of people instead of a column or file; who is unlabelled is listed by records."""
    people = {}
    for person in sorted(found):
        people.setdefault(found[person], []).append(_literal(person))
    unlabelled = [_literal(record) for record, person in persons.items() if found[person] == "pretrain"]
    lists = {name: tuple(names) for name, names in sorted(people.items()) if name != "pretrain"}
    pretrain = tuple(dict.fromkeys((*split.pretrain, *unlabelled)))
    # A split without a list of train would draw those who come later.
    return replace(split, people=lists or None, pretrain=pretrain, test=0.0, validation=0.0, column=None, file=None)


def _literal(name):
    """A pattern that a name alone matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _split_of(text, place, path):
    name = _SPLITS.get(text.lower())
    if name is None:
        message = f"a split must be one of {', '.join(_SPLITS)}. Received: {text!r:.60}."
        raise DataError(message, file=path, place=place)
    return name


def _table(path):
    """Name -> (word for its split, place)."""
    columns = read_header_line(path)
    keys, splits = ([column for column in known if column in columns] for known in (_KEYS, _COLUMNS))
    if not keys or not splits:
        message = f"must have the columns person and split. Received: {', '.join(columns[:20])}."
        raise DataError(message, file=path, place="line 1")
    named = {}
    for number, row in read_rows(path, (keys[0], splits[0])):
        _add(named, row[keys[0]], row[splits[0]], f"line {number}", path)
    return named


def _json(path):
    data = read_bounded(path, _LARGEST, "a split")
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"must be JSON: {error!s:.100}.", file=path) from error
    if not isinstance(table, dict) or not all(isinstance(names, list) for names in table.values()):
        raise DataError('must be lists of people, {"train": [...], "test": [...]}.', file=path)
    named = {}
    for split, names in table.items():
        for number, name in enumerate(names):
            if not isinstance(name, str | int):
                raise DataError(f"must name people. Received: {name!r:.60}.", file=path, place=f"{split}[{number}]")
            _add(named, str(name), split, f"{split}[{number}]", path)
    return named


def _add(named, name, word, place, path):
    other, line = named.setdefault(name, (word, place))
    if other != word:
        rule = f"a person belongs to one split. {name!r} is in {other!r:.60} ({line}) and {word!r:.60}"
        raise DataError(f"{rule}.", file=path, place=place)
