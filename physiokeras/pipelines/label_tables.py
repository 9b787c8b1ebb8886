"""Labels, and people, from tables: any column of a CSV file with a row a record or a row a person."""

import math
from dataclasses import replace
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.parts import TABLE_KINDS
from physiokeras.pipelines.people import Person, read_people, read_rows

_UNKNOWN = ("", "nan", "na", "n/a")


def read_tables(source, definition, records):
    """What the tables below `source` say of records, checked before any signal is read.

    Args:
        source: The data set's folder.
        definition: `Definition`.
        records: Names of its records.

    Returns: `(definition, people)`: the definition with each label's classes and each record's person as far as they
        come from a table, and dict record name -> `Person`.

    Raises:
        DataError: A missing table or column, two rows that contradict each other, a text that is no class, a cell that
            is no number, or no row for any of the records.
    """
    people = read_people(source, definition)
    if definition.person_column:
        column = definition.person_column
        same = {key: cell for key, (cell, _) in _column(source, definition.people, "record", column).items()}
        lacking = [name for name in records if not same.get(name)]
        if lacking:
            message = f"must name the person of every record in the column {column}. Received none for: "
            raise DataError(f"{message}{', '.join(lacking[:5])}.", file=Path(source) / definition.people)
        definition = replace(definition, same_person={**same, **definition.same_person})
    for name in tables_of(definition):
        label, (definition, values) = definition.labels[name], _read(source, definition, name)
        keys = {record: definition.person_of(record) if label.by == "person" else record for record in records}
        if records and not set(keys.values()) & set(values):
            message = f"must have rows of this data set's records for [labels.{name}], by {label.by}"
            raise DataError(f"{message}. Received: {', '.join(sorted(values)[:5])}.", file=Path(source) / label.table)
        for record, key in keys.items():
            if key in values:
                person = people.get(record, Person())
                people[record] = replace(person, labels={**person.labels, name: values[key]})
    return definition, people


def tables_of(definition):
    """Label -> file name of its table, for the labels that come from one."""
    return {name: label.table for name, label in definition.labels.items() if label.kind in TABLE_KINDS}


def table_label(header, label, people):
    """A record's value of a label from a table.

    Args:
        header: `Header` of the record.
        label: `Label` of one of `TABLE_KINDS`.
        people: As `read_tables` gives it.

    Raises:
        DataError: The table has no row for the record.
    """
    values = people.get(header.name, Person()).labels
    if label.name not in values:
        what = "the record" if label.by == "record" else "the record's person"
        message = (
            f"{label.table} must have a row for {what}; leave the cell of {label.column} empty where it is unknown."
        )
        raise DataError(message, file=header.path, place=f"[labels.{label.name}]")
    return values[label.name]


def _read(source, definition, name):
    """The definition with the label's classes, and dict key -> class number or float."""
    label, path = definition.labels[name], Path(source) / definition.labels[name].table
    cells = _column(source, label.table, label.key or label.by, label.column)
    if label.kind == "number":
        return definition, {key: _number(cell, path, number) for key, (cell, number) in cells.items()}
    classes = label.classes
    if not classes:
        found = {cell for cell, _ in cells.values() if cell.lower() not in _UNKNOWN}
        classes = tuple(sorted({label.mapping.get(cell, cell) for cell in found - set(label.unscored)}))
        if len(classes) < 2:
            message = (
                f"the column {label.column} must have at least two classes. Received: {', '.join(classes) or 'none'}."
            )
            raise DataError(message, file=path)
        label = replace(label, classes=classes)
        definition = replace(definition, labels={**definition.labels, name: label})
    known = {text: classes.index(text) for text in classes}
    known |= {text: known[target] for text, target in label.mapping.items()} | dict.fromkeys(label.unscored, -1)
    values = {}
    for key, (cell, number) in cells.items():
        if cell not in known and cell.lower() not in _UNKNOWN:
            message = f"{label.column} must be one of {', '.join(known)}, or empty. Received: {cell[:40]!r}."
            advice = f"Add it to [labels.{name}] `classes`, `mapping` or `unscored`."
            raise DataError(f"{message} {advice}", file=path, place=f"line {number}")
        values[key] = known.get(cell, -1)
    return definition, values


def _column(source, table, key, column):
    """Dict of the cells of `key` -> (cell of `column`, line number)."""
    path = Path(source) / table
    refuse_link_out(path, source)
    cells = {}
    for number, row in read_rows(path, (key, column)):
        name, cell = row[key.lower()], row[column.lower()]
        before, line = cells.setdefault(name, (cell, number))
        if before != cell:
            message = f"{name!r} must have one {column}. Received: {cell[:40]!r}, and {before[:40]!r} in line {line}."
            raise DataError(message, file=path, place=f"line {number}")
    return cells


def _number(text, path, line):
    if text.lower() in _UNKNOWN:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not abs(value) < 1e30:
        raise DataError(f"must be a number or empty. Received: {text[:40]!r}.", file=path, place=f"line {line}")
    return value
