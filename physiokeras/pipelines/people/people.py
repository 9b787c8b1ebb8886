"""Sex and age of the people recorded, from a table with the columns Record, Sex, Age."""

import csv
import io
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import (
    commas_are_decimal,
    number_of,
    one_form,
    refuse_link_out,
    refuse_spreadsheet,
    stated_separator,
    text_of,
    with_point,
)
from physiokeras.pipelines.definitions.parts import TABLE_KINDS, check
from physiokeras.wording import counted

UNKNOWN = (
    *("", "nan", "na", "n/a", "null", "none", ".", "?", "<na>", "unknown"),
    *("#n/a", "#value!", "#ref!", "#div/0!", "#num!", "#name?", "#null!"),
)
"""Cells that say that there is no value: the point is SAS's, and so NSRR's; "<NA>" is pandas', with "#" Excel's."""

_FILE = re.compile(r"^.*[/\\]|\.(edf|bdf|hea|dat|vhdr|fif|fif\.gz|set|gdf|cnt|h5)$", re.IGNORECASE)
"""What makes a record's name that of its file: folders before it, an extension behind it."""

_HIDDEN = re.compile(r">\s*89|(>=|≥)\s*90|90\s*\+|90 (or|and) (older|over|above)", re.IGNORECASE)
"""Ages above 89, which US law (HIPAA, 45 CFR 164.514) has data sets put together."""

_LARGEST = 16 << 20
_OLDEST = 120


@dataclass(frozen=True)
class Person:
    """Sex "F", "M" or None, age in years or NaN, and values of labels from tables."""

    sex: str | None = None
    age: float = math.nan
    labels: dict = field(default_factory=dict)


def read_people(source, definition, report=None):
    """The table that the definition names, below the source folder.

    Sex may be a word, in whatever case. A cell of `UNKNOWN`, and a record that is not in the table, are unknown. An age
    that a data set hides because it is above 89, such as "90+", is 90.

    Args:
        source: The data set's folder.
        definition: `Definition`.
        report: list that receives messages.

    Returns: dict record name -> `Person`; empty where the definition names no table.

    Raises:
        DataError: A label whose table is not named, missing file or columns, a link out of the source, an age that is
            no number or implausible, a sex other than F and M, a record twice with different entries.
    """
    check_tables(definition)
    if definition.people is None:
        return {}
    path, people, hidden = Path(source) / definition.people, {}, 0
    refuse_link_out(path, source)
    for number, row in read_rows(path, ("Record", "Sex", "Age")):
        person = Person(read_sex(row["sex"], path, f"line {number}"), read_age(row["age"], path, f"line {number}"))
        name, hidden = row["record"], hidden + is_hidden_age(row["age"])
        if repr(people.setdefault(name, person)) != repr(person):
            message = f"a record must have one entry. Received: {name!r} again, with other values."
            raise DataError(message, file=path, place=f"line {number}")
    if report is not None and hidden:
        report.append(hidden_ages(path, hidden))
    return people


def is_hidden_age(text):
    """Whether a cell says that an age is above 89 without saying which: "90+", ">89"."""
    return bool(_HIDDEN.fullmatch(text))


def hidden_ages(path, count):
    """A note on such ages."""
    return f"{path.name}: {counted(count, 'age')} given as above 89; taken as 90"


def check_tables(definition):
    """Refuse a label of a table that the definition does not name; recordings in memory bring such labels themselves.

    Args:
        definition: `Definition`.

    Raises:
        DataError: Names the label's key and the one that is lacking.
    """
    for name, label in definition.labels.items():
        key = f"[labels.{name}]"
        check(label.kind != "age" or definition.people, key, "kind age needs `people`", definition.people)
        rule = f"must name the table; kind {label.kind} is a column of one"
        check(label.kind not in TABLE_KINDS or label.table, f"{key} table", rule, label.table)


def without_missing_people(definition, source):
    """The definition without the tables that the source lacks, and without what needs them."""

    def there(table):
        return table is not None and (Path(source) / table).is_file()

    people = definition.people if there(definition.people) else None
    labels = {
        name: label
        for name, label in definition.labels.items()
        if (label.kind != "age" or people) and (label.kind not in TABLE_KINDS or there(label.table))
    }
    column, split = definition.person_column if people else None, definition.split
    if (split.column and not people) or (split.file and not there(split.file)):
        split = replace(split, column=None, file=None)
    return replace(definition, people=people, person_column=column, labels=labels, split=split)


def read_header_line(path):
    """Names of a table's columns, in lower case."""
    return [name.lower() for name in open_table(path)[1]]


def open_table(path):
    """A table in UTF-8, or in UTF-16 as Excel writes it: a `csv.reader` behind the line of names, and the names.

    Cells are separated by what a first line `sep=;` says; else in .tsv files by tabs, in others by that of commas,
    semicolons and tabs of which the line of names has most.

    Raises:
        DataError: A file that cannot be read or is too large, no table, two columns of one name.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise DataError(f"may have {_LARGEST} bytes. Received: {size}.", file=path)
        data = path.read_bytes()
        refuse_spreadsheet(data, path)
        text = text_of(data)
    except (OSError, UnicodeDecodeError) as error:
        message = (
            f"must be a readable table in UTF-8: {error}. Put it there, or remove what needs it from the definition."
        )
        raise DataError(message, file=path) from error
    lines = list(io.StringIO(text, newline=None))  # cells may hold other kinds of line ends
    stated = stated_separator(lines[0]) if lines else None
    usual = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key="".join(lines[:1]).count)
    reader = csv.reader(lines, delimiter=stated or usual, skipinitialspace=True)
    try:
        columns = [cell.strip() for cell in next(reader, [])]
        columns = [cell.strip() for cell in next(reader, [])] if stated else columns
    except csv.Error as error:
        raise DataError(f"must be a table: {error}.", file=path, place="line 1") from error
    lower = [name.lower() for name in columns]
    twice = sorted({name for name in lower if name and lower.count(name) > 1})
    if twice:
        message = f"each column must have a name of its own. Received twice: {', '.join(twice)}. Rename or remove one."
        raise DataError(message, file=path, place="line 1")
    return reader, columns


def read_rows(path, needed):
    """Yield the line number and the row, a dict of lower-case column -> cell, of a table that has the `needed` columns.

    Decimal commas become points where cells are separated by semicolons; where they are separated by tabs, too, unless
    all commas of a column may separate thousands.
    """
    reader, columns = open_table(path)
    lower, numbers, rows = [name.lower() for name in columns], [], []
    if not {column.lower() for column in needed} <= set(lower):
        message = f"must have the columns {', '.join(needed)}. Received: {lower[:20]}."
        raise DataError(message, file=path, place="line 1")
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                if len(row) != len(lower):
                    message = f"must have {len(lower)} cells. Received: {len(row)}."
                    raise DataError(message, file=path, place=f"line {reader.line_num}")
                numbers.append(reader.line_num)
                rows.append([cell.strip() for cell in row])
    except csv.Error as error:
        raise DataError(f"must be a table: {error}.", file=path, place=f"line {reader.line_num}") from error
    cells = zip(*rows, strict=True)
    cells = [[*map(with_point, each)] if commas_are_decimal(each, reader.dialect.delimiter) else each for each in cells]
    for number, *row in zip(numbers, *cells, strict=True):
        yield number, dict(zip(lower, row, strict=True))


def table_column(source, table, key, column):
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


def by_name(table, names, file=None, report=None):
    """A table by name, with each key as `names` write it.

    Keys that differ in Unicode's form alone are the same. A key that is no name, as where a spreadsheet made 123 of
    00123, or where it is a file's, is the one name that is spelled alike and has no row of its own, if no other key is.

    Args:
        table: dict of key to anything.
        names: Names of records or people.
        file: The table's name, for messages.
        report: list that receives messages.
    """
    known = {one_form(name): name for name in names}
    table = {known.get(one_form(key), key): value for key, value in table.items()}
    lost, free = {}, {}
    for key in table.keys() - known.values():
        lost.setdefault(spelling(_FILE.sub("", key)), []).append(key)
    for name in set(known.values()) - table.keys():
        free.setdefault(spelling(name), []).append(name)
    same = {
        keys[0]: free[spelled][0]
        for spelled, keys in lost.items()
        if len(keys) == 1 and spelled and len(free.get(spelled, ())) == 1
    }
    if same and report is not None:
        key = min(same)
        rule = f"{file}: {counted(len(same), 'name')} taken for that of a record or person that is spelled alike"
        line = f"{rule}, such as {key!r} for {same[key]!r}"
        report += [line] if line not in report else []
    return {same.get(key, key): value for key, value in table.items()}


def spelling(text):
    """A name without case, spaces and leading zeros, which all spellings of it share."""
    plain = re.sub(r"[\s_-]+", "-", one_form(text).strip().casefold())
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)


def read_sex(text, file, place):
    """Sex of a text: "F", "M", or None where it is unknown.

    Raises:
        DataError: It is neither, nor one of `UNKNOWN`.
    """
    if text.upper() in ("F", "M", "FEMALE", "MALE"):
        return text[0].upper()
    if text.lower() in UNKNOWN:
        return None
    raise DataError(f"sex must be F, M or empty. Received: {text!r}.", file=file, place=place)


def read_age(text, file, place):
    """Age of a text in years, NaN where it is unknown, 90 where it is only known to be above 89.

    Raises:
        DataError: It is no number of years that a person reaches, nor one of `UNKNOWN`.
    """
    if text.lower() in UNKNOWN:
        return math.nan
    try:
        age = 90.0 if is_hidden_age(text) else number_of(text)
    except ValueError:
        age = -1.0
    if not 0 <= age <= _OLDEST:
        message = f"age must be a number of years in [0, {_OLDEST}], or empty. Received: {text[:40]!r}."
        raise DataError(message, file=file, place=place)
    return age
