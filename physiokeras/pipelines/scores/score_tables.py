"""Scores in text: tables with a row a mark or a row an epoch, and lists of one stage a line.

Tables are CSV (comma, semicolon or tab) or TSV with a header line, among them BIDS events, MNE's annotations, and the
events that RemLogic exports, whose header line comes after lines on the patient.
"""

import csv
import io
import re

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import commas_are_decimal, number_of, stated_separator
from physiokeras.pipelines.scores.score_clock import check_clock, clock_of, is_clock, onsets_of_clock, refuse_jump
from physiokeras.pipelines.scores.score_marks import (
    EPOCH,
    Durations,
    Mark,
    read_text,
    refuse_many,
    refuse_recorded,
    seconds_of,
    to_annotations,
)

SUFFIXES = (".csv", ".tsv", ".txt", ".hyp", ".eannot")
"""Extensions of scores in text."""

_ROLES = {
    "onset": ("onset", "start", "begin", "starttime", "begintime", "onsettime", "time", "timestamp"),
    "end": ("end", "stop", "endtime", "stoptime", "offset"),
    "duration": ("duration", "dur", "length"),
    "description": (
        *("description", "trialtype", "stage", "sleepstage", "stages", "hypnogram", "hypno", "event", "eventname"),
        *("label", "annotation", "annotations", "type", "eventtype", "name", "class", "score", "scoring", "state"),
    ),
    "epoch": ("epoch", "epochs", "epochnumber", "epochno", "index", ""),
}
_UNITS = {"s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "ms": 0.001, "msec": 0.001, "min": 60.0,
          "minutes": 60.0}  # fmt: skip
_UNIT = re.compile(r"(.+?)(?:[\s_]+|\s*[(\[])(" + "|".join(_UNITS) + r")[)\]]?", re.IGNORECASE)
_REMLOGIC = re.compile(r"(?:.*\t)?Time \[hh:mm:ss[^\]]*\]\t(?:.*\t)?Event\t.*")
"""The header line of events that RemLogic exports."""

_COLUMNS = 1000
_TIMELIKE = re.compile(r"onset|start|begin|time|clock|date|sample|second|frame|end$|stop")


def read_text_scores(path, label, header):
    """`Annotations` of a table or list, from the recording's first sample.

    Args:
        path: The file.
        label: `Label`, for `epoch`, `column` and `times`.
        header: `Header` of the recording.

    Raises:
        DataError: Columns or cells that cannot be told, an onset that is no number, epochs that do not count by one.
    """
    comments, lines = _lines(read_text(path), path)
    table = _Table(path, label, comments, lines)
    notes, durations = [], Durations(path)
    if "onset" in table.columns:
        marks = _marks(table, label, header, durations, notes)
        scored = None
    else:
        marks = _epochs(table, label)
        scored = len(marks) * (label.epoch or EPOCH)
        refuse_recorded(scored, header, label.epoch or EPOCH, path)
        if abs(scored - header.seconds) >= (label.epoch or EPOCH):
            rule = f"{path.name}: {len(marks)} epochs of {label.epoch or EPOCH:g} s are {scored:g} s"
            notes.append(f"{rule}; the record lasts {header.seconds:g} s")
    shift = check_clock(_origin(comments), header, path, label.times)
    marks = [Mark(mark.onset + shift, mark.duration, mark.text, mark.place) for mark in marks] if shift else marks
    scored = None if scored is None else scored + shift
    empty = label.kind == "events"
    return to_annotations(path, marks, [*notes, *durations.notes], scored=scored, empty=empty)


class _Table:
    """Rows of a table, and which column is what.

    Attributes:
        columns: Role -> position of its column; "description" alone for a list without a header.
        scale: Role -> seconds of one of its units.
        rows: list of `(place, cells)`.
    """

    def __init__(self, path, label, comments, lines):
        self.path, self.scale = path, {}
        stated = stated_separator(lines[0][1]) if len(lines) > 1 else None
        lines = lines[1:] if stated else lines
        usual = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=lines[0][1].count)
        delimiter = stated or usual
        refuse_many(lines[0][1].count(delimiter), path, "columns", _COLUMNS)
        reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
        numbers = [number for number, _ in lines]
        try:
            rows = [(f"line {numbers[reader.line_num - 1]}", [cell.strip() for cell in row]) for row in reader]
        except csv.Error as error:
            place = f"line {numbers[min(max(reader.line_num, 1), len(numbers)) - 1]}"
            raise DataError(f"must be a table: {error}.", file=path, place=place) from error
        heads = [line for _, line in comments if "onset" in line.lower() and "," in line]
        first = [cell.strip() for cell in heads[-1].split(",")] if heads else rows[0][1]
        self.columns = self._columns_of(first, label, rows[0][0])
        if not heads and (len(first) > 1 or self.columns):
            rows = rows[1:]
        self.columns = self.columns or {"description": 0}
        self.rows = [(place, row or [""]) for place, row in rows if row or "onset" not in self.columns]
        for place, row in self.rows:
            if len(row) != len(first):
                message = f"must have {len(first)} cells. Received: {len(row)}."
                raise DataError(message, file=path, place=place)
        times = [row[column] for role, column in self.columns.items() if role != "description" for _, row in self.rows]
        self.decimal_comma = commas_are_decimal(times, delimiter)
        if self.decimal_comma is None:
            rule = "commas in its times may be decimal ones, or separate thousands. Write decimal points"
            raise DataError(f"{rule}, or times without a comma.", file=path)

    def _columns_of(self, cells, label, place):
        """Role -> position; empty where the first line of a list is a stage already."""
        names = [self._name(cell) for cell in cells]
        self._refuse_twice(cells, names, label, place)
        columns = {}
        for role in ("onset", "end", "duration", "epoch"):
            found = [names.index(name) for name in _ROLES[role] if name in names]
            columns |= {role: found[0]} if found else {}
        for role, position in columns.items():
            unit = _UNIT.fullmatch(cells[position])
            self.scale[role] = _UNITS[unit[2].lower()] if unit else 1.0
        column = _described(cells, names, label, self.path, place)
        if column is None and len(cells) == 1 and label.column is None:
            return {}
        if column is None:
            rule = "must have a header line with the columns onset, duration and description, or stage"
            raise DataError(f"{rule}; or name one in `column`. Received: {cells[:20]}.", file=self.path, place=place)
        columns = {role: position for role, position in columns.items() if position != column}
        strange = [cell for cell, name in zip(cells, names, strict=True) if _TIMELIKE.search(name)]
        strange = [cell for cell in strange if cells.index(cell) != column]
        if "onset" not in columns and ("duration" in columns or strange):
            rule = "a table without the column onset has a row an epoch, and no other times"
            named = strange or [cells[columns["duration"]]]
            message = f"{rule}. Received: {', '.join(named)}. Call the begin of a mark onset, in seconds"
            raise DataError(f"{message}, or remove the column.", file=self.path, place=place)
        return columns | {"description": column}

    def _refuse_twice(self, cells, names, label, place):
        """Refuse columns of one name among those that are read: nobody can tell which counts."""
        read = [name for role in ("onset", "end", "duration", "epoch") for name in _ROLES[role] if name]
        twice = [cell for cell, name in zip(cells, names, strict=True) if name in read and names.count(name) > 1]
        column, lower = (label.column or "").lower(), [cell.lower() for cell in cells]
        if twice or (column and lower.count(column) > 1):
            message = f"each column must have a name of its own. Received twice: {(twice or [label.column])[0]}."
            raise DataError(f"{message} Rename or remove one.", file=self.path, place=place)

    def _name(self, cell):
        """A column's name without its unit, letters alone."""
        plain = re.sub(r"[\s_.\-]|\[hh:mm:ss.*\]", "", cell.lower())
        unit = _UNIT.fullmatch(cell)
        name = re.sub(r"[\s_.\-]", "", unit[1].lower()) if unit else plain
        return name if any(name in _ROLES[role] for role in ("onset", "end", "duration")) else plain

    def cell(self, row, role):
        """Text of a row's cell, with a decimal point; "" where the table lacks the column."""
        text = row[self.columns[role]] if role in self.columns else ""
        return text.replace(",", ".") if self.decimal_comma and role != "description" else text

    def seconds(self, row, role, place):
        """A cell as seconds."""
        text = self.cell(row, role)
        return seconds_of(text, f"the {role}", self.path, place) * self.scale[role]


def _described(cells, names, label, path, place):
    """Position of the column that says what a mark is; None where there is none."""
    if label.column is not None:
        found = [number for number, cell in enumerate(cells) if cell.lower() == label.column.lower()]
        return found[0] if found else None
    found = [number for number, name in enumerate(names) if name in _ROLES["description"]]
    if len(found) > 1:
        several = ", ".join(cells[number] for number in found)
        rule = f"several columns may be the description: {several}"
        raise DataError(f"{rule}. Name one in `column` of [labels.{label.name}].", file=path, place=place)
    return found[0] if found else None


def _lines(text, path):
    """`(comments, lines)`, each a list of `(number, text)`; comments begin the file, empty lines end it at most."""
    refuse_many(text.count("\n") + text.count("\r") - text.count("\r\n"), path)
    lines = list(enumerate(io.StringIO(text, newline=None), 1))
    while lines and not lines[-1][1].strip():
        lines.pop()
    begin = next((place for place, (_, line) in enumerate(lines) if _REMLOGIC.fullmatch(line.strip("\r\n"))), None)
    if begin is not None:
        return [], [(number, line) for number, line in lines[begin:] if line.strip()]
    first = next((place for place, (_, line) in enumerate(lines) if line.strip()[:1] not in ("#", "")), len(lines))
    comments, lines = [(number, line.strip(" #\r\n\t")) for number, line in lines[:first]], lines[first:]
    if not lines:
        raise DataError("must hold scores. Received: comments alone.", file=path)
    return comments, lines


def _marks(table, label, header, durations, notes):
    """Marks of a table with a row a mark."""
    rows, empty = [], []
    for place, row in table.rows:
        named = table.cell(row, "description").lower() not in ("", "n/a", "nan")
        (rows if named else empty).append((place, row))
    if empty:
        notes.append(f"{table.path.name}: {len(empty)} rows without a description are left out, {empty[0][0]} first")
    if not rows:
        return []
    onsets, lengths = _times(table, rows, label, header, durations)
    if "end" not in table.columns and "duration" not in table.columns:
        epoch = label.epoch or EPOCH
        if len(onsets) > 1 and np.allclose(np.diff(onsets), epoch, atol=0.01):
            lengths = [epoch] * len(onsets)
        else:
            notes.append(
                f"{table.path.name}: marks without durations: stages last to the next mark or the record's end"
            )
    texts = [_plain(table.cell(row, "description")) for _, row in rows]
    return [Mark(*facts) for facts in zip(onsets, lengths, texts, (place for place, _ in rows), strict=True)]


def _times(table, rows, label, header, durations):
    """`(onsets, durations)` in seconds of a table's rows."""
    places, texts = [place for place, _ in rows], [table.cell(row, "onset") for _, row in rows]
    clock = is_clock(texts[0])
    if clock:
        onsets = onsets_of_clock(texts, header, table.path, places, label.times)
    else:
        onsets = [table.seconds(row, "onset", place) for place, row in rows]
    lengths, backwards = [], 0
    for onset, start, (place, row) in zip(onsets, texts, rows, strict=True):
        name, text = table.cell(row, "description"), table.cell(row, "duration")
        scale = table.scale.get("duration", 1.0)
        if "duration" not in table.columns and "end" in table.columns:
            text, scale = _length(table, row, onset, start if clock else None), 1.0
            backwards += text.startswith("-")
        length = durations.read(text, place, name)
        lengths.append(None if length is None else length * scale)
    if len(rows) > 1 and backwards == len(rows):
        rule = "every mark ends before it begins. Are the columns of begin and end exchanged?"
        raise DataError(rule, file=table.path, place=places[0])
    if clock:
        refuse_jump(onsets, lengths, table.path, places)
    return onsets, lengths


def _length(table, row, onset, start):
    """Text of the seconds between a row's onset and its end; what is no time stays as it is, for the report."""
    text = table.cell(row, "end")
    if start is not None:
        begin, end = clock_of(start), clock_of(text)
        if end is None:
            return text
        days = (end[0] - begin[0]).days if end[0] and begin[0] else int(end[1] < begin[1])
        return repr(days * 86400 + end[1] - begin[1])
    try:
        return repr(number_of(text) * table.scale["end"] - onset) if text else ""
    except ValueError:
        return text


def _epochs(table, label):
    """Marks of a table or list with a row an epoch."""
    epoch, marks, first = label.epoch or EPOCH, [], None
    for number, (place, row) in enumerate(table.rows):
        text = _plain(table.cell(row, "description"))
        if not text:
            rule = "each line must hold a stage, or lines after it would move"
            raise DataError(f"{rule}. Received: an empty one. Write ? where it is unscored.", file=table.path,
                            place=place)  # fmt: skip
        if "epoch" in table.columns:
            count = _plain(table.cell(row, "epoch"))
            first = count if first is None else first
            if first not in ("0", "1") or count != str(int(first) + number):
                rule = "epochs must count by one, from 0 or 1 on, or `onset` must say where they begin"
                raise DataError(f"{rule}. Received: {count:.40}.", file=table.path, place=place)
        marks.append(Mark(epoch * number, epoch, text, place))
    return marks


def _plain(text):
    """A whole number without its decimals, as NumPy writes it; other texts as they are."""
    try:
        value = number_of(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 1e6 else text


def _origin(comments):
    """Second of the day from which MNE's onsets count; None where the file does not say."""
    for _, line in comments:
        name, _, text = line.partition(":")
        if name.strip() == "orig_time":
            clock = clock_of(text.strip().removesuffix("+00:00"))
            return clock[1] if clock else None
    return None
