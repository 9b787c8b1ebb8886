"""Labels, and people, from tables: any column of a CSV file with a row a record or a row a person."""

import contextlib
import math
import re
from dataclasses import replace
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import number_of
from physiokeras.pipelines.definitions.parts import TABLE_KINDS
from physiokeras.pipelines.people.people import (
    UNKNOWN,
    Person,
    by_name,
    hidden_ages,
    is_hidden_age,
    read_people,
    spelling,
    table_column,
)
from physiokeras.pipelines.people.published_splits import read_split

_CODES = (9, 99, 999, 9999, 88, 888, 8888)
"""What tables of studies write for missing numbers, with either sign."""

_DAY = re.compile(
    r"\d{1,2}-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)-\d\d",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\d{4}-\d\d?-\d\d?([ T].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?|\d{1,2}[- ]?[A-Za-z]{3}[- ]?\d{2,4}"
)


def read_tables(source, definition, records, report=None):
    """Read the tables below `source`: people and labels of records, checked before any signal is read.

    Args:
        source: The data set's folder.
        definition: `Definition`.
        records: Names of its records.
        report: list that receives messages.

    Returns: `(definition, people)`: the definition with each label's classes, each record's person and each person's
        split as far as they come from a table, without labels that are dates; and dict record name -> `Person`.

    Raises:
        DataError: A missing table or column, two rows that contradict each other, a text that is no class, a cell that
            is no number, or no row for any of the records.
    """
    report = [] if report is None else report
    people = by_name(read_people(source, definition, report), records, definition.people, report)
    if definition.person_column:
        column = definition.person_column
        cells = by_name(table_column(source, definition.people, "record", column), records, definition.people, report)
        same = {key: cell for key, (cell, _) in cells.items()}
        lacking = [name for name in records if same.get(name, "").lower() in UNKNOWN]
        if lacking:
            message = f"must name the person of every record in the column {column}. Received none for: "
            raise DataError(f"{message}{', '.join(lacking[:5])}.", file=Path(source) / definition.people)
        definition = replace(definition, same_person={**same, **definition.same_person})
    report += _both_sexes(definition, records, people)
    for name in tables_of(definition):
        label, (definition, values) = definition.labels[name], _read(source, definition, name, report)
        if name not in definition.labels:
            report.append(f"{label.table}: the column {label.column} holds dates; [labels.{name}] is left out")
            continue
        report += _doubts(definition.labels[name], values)
        keys = {record: definition.person_of(record) if label.by == "person" else record for record in records}
        values = by_name(values, keys.values(), label.table, report)
        if records and not set(keys.values()) & set(values):
            message = f"must have rows of this data set's records for [labels.{name}], by {label.by}"
            raise DataError(f"{message}. Received: {', '.join(sorted(values)[:5])}.", file=Path(source) / label.table)
        for record, key in keys.items():
            if key in values:
                person = people.get(record, Person())
                people[record] = replace(person, labels={**person.labels, name: values[key]})
    return read_split(source, definition, records, report), people


def _both_sexes(definition, records, people):
    """A line on people who are of another sex in another of their records."""
    sexes = {}
    for record in set(records) & set(people):
        with contextlib.suppress(DataError):  # a record without a person is set aside by its name
            sexes.setdefault(definition.person_of(record), set()).add(people[record].sex)
    both = sorted(person for person, found in sexes.items() if len(found - {None}) > 1)
    if both:
        rule = f"{definition.people}: F in one record and M in another: {', '.join(both[:5])}"
        yield f"{rule}. Correct the table, or `person` if they are several people"


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


def _read(source, definition, name, report):
    """The definition with the label's classes, or without the label if it is dates; dict key -> class or number."""
    label, path = definition.labels[name], Path(source) / definition.labels[name].table
    cells = table_column(source, label.table, label.key or label.by, label.column)
    known = [cell for cell, _ in cells.values() if cell.lower() not in UNKNOWN]
    if known and not label.classes and all(_DATE.fullmatch(cell) for cell in known):
        return replace(definition, labels={key: other for key, other in definition.labels.items() if key != name}), {}
    if label.kind == "number":
        if re.search(r"(?<![a-z])age(?![a-z])", label.column.lower()):
            hidden = {key for key, (cell, _) in cells.items() if is_hidden_age(cell)}
            report += [hidden_ages(path, len(hidden))] if hidden else []
            cells |= {key: ("90", cells[key][1]) for key in hidden}
        return definition, {key: _number(cell, path, number) for key, (cell, number) in cells.items()}
    classes = label.classes
    if not classes:
        found = {cell for cell, _ in cells.values() if cell.lower() not in UNKNOWN}
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
        if cell not in known and cell.lower() not in UNKNOWN:
            message = f"{label.column} must be one of {', '.join(known)}, or empty. Received: {cell[:40]!r}."
            advice = f"Add it to [labels.{name}] `classes`, `mapping` or `unscored`."
            raise DataError(f"{message} {advice}", file=path, place=f"line {number}")
        values[key] = known.get(cell, -1)
    return definition, values


def _doubts(label, values):
    """Lines on what a column may mean otherwise: codes of missing numbers, classes that differ in spelling alone."""
    if label.kind == "number":
        numbers = [value for value in values.values() if not math.isnan(value)]
        for code in sorted({value for value in numbers if abs(value) in _CODES}):
            others = [abs(value) for value in numbers if value != code]
            least, most = min((value for value in numbers if value != code), default=0), max(others, default=0)
            if (code < 0 <= least) or (code > 0 and code > 5 * most):
                rule = f"{label.table}: the column {label.column} has {numbers.count(code)} x {code:g}"
                yield f"{rule}, taken as a number. Empty such cells if they say that the value is missing"
        return
    spelled = {}
    for name in label.classes:
        spelled.setdefault(_alike(name), []).append(name)
    for names in spelled.values():
        if len(names) > 1:
            rule = f"{label.table}: classes of [labels.{label.name}] differ in spelling alone: {', '.join(names)}"
            yield f"{rule}. Make them one by `mapping` if they are"
    dates = [name for name in label.classes if _DAY.fullmatch(name)]
    if dates:
        rule = f"{label.table}: classes of [labels.{label.name}] look like dates: {', '.join(dates[:5])}"
        yield f"{rule}. Spreadsheets make such of texts like 1-2; restore the column if so"


def _alike(text):
    """What is the same in all spellings of a class: as a number, 1 and 1.0."""
    try:
        return number_of(text)
    except ValueError:
        return spelling(text)


def _number(text, path, line):
    if text.lower() in UNKNOWN:
        return math.nan
    try:
        value = number_of(text)
    except ValueError:
        value = math.inf
    if not abs(value) < 1e30:
        rule = "must be a number, without separators of thousands, or empty"
        raise DataError(f"{rule}. Received: {text[:40]!r}.", file=path, place=f"line {line}")
    return value
