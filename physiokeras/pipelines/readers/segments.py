"""WFDB records of several segments: which headers they are made of, and how their signals correspond.

Source: the WFDB manual page header(5). In a fixed layout all segments have the same signals in the same order. In a
variable one the first segment, of no samples, lists all signals, and each other one holds some of them, by name.
"""

import re
from dataclasses import dataclass
from typing import Any

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.wfdb_header import integer, read_lines

NOTHING = "~"
"""Name of a segment without samples, and of the signal file of a layout."""

_MOST = 100
"""How many times as long as the samples the gaps may be: a header alone must not claim memory."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a record.

    Args:
        start: The record's frame at which it begins.
        header: `Header` of the segment, a record of its own.
        places: For each of the record's signals its position in the segment, or None where that lacks it.
    """

    start: int
    header: Any
    places: tuple[int | None, ...]


def parse_segment_lines(lines, count, frames, fail):
    """The segments that a header lists.

    Args:
        lines: list of (number, text) below the record line.
        count: Number of segments that the record line announces.
        frames: Number of frames that it gives, or None.
        fail: Function of (message, number of the line) that raises.

    Returns: `(layout, stretches)`: name of the layout's header or None, and a list of (name, frames, line number).
    """
    if len(lines) != count:
        fail(f"the header announces {count} segments and lists {len(lines)}. Correct one.", lines[-1][0])
    listed = []
    for number, text in lines:
        fields = text.split()
        if len(fields) != 2 or not (fields[0] == NOTHING or re.fullmatch(r"[\w.-]+", fields[0])):
            fail(f"must give a segment's name and its number of samples. Received: {text[:80]!r}.", number)
        length = integer(fields[1], "a segment's number of samples", lambda message, n=number: fail(message, n))
        listed.append((fields[0], length, number))
    layout = listed.pop(0)[0] if listed[0][1] == 0 and listed[0][0] != NOTHING else None
    for name, length, number in listed:
        if length < 1:
            fail(f"the segment {name} must have at least one sample. Received: {length}.", number)
    total, recorded = sum(entry[1] for entry in listed), sum(entry[1] for entry in listed if entry[0] != NOTHING)
    if not recorded:
        fail("must list at least one segment with samples.", lines[-1][0])
    if frames not in (None, total):
        fail(f"the record must have as many samples as its segments, {total}. Received: {frames}.", lines[0][0])
    if total > (1 + _MOST) * recorded:
        message = f"the segments without samples may be {_MOST} times as long as the others"
        fail(f"{message}. Received: {total - recorded} of {total} samples. Divide the record.", lines[0][0])
    return layout, listed


def match_signals(signals, header, variable, fail):
    """For each of a record's signals its position in the segment `header`, or None; `fail` where they contradict."""
    names = [signal.name for signal in header.signals]
    if not variable and names != [signal.name for signal in signals]:
        wanted = ", ".join(signal.name for signal in signals)
        fail(f"{header.name} must have the signals of the first segment, {wanted}. Received: {', '.join(names)}.")
    if variable:
        strange = sorted(set(names) - {signal.name for signal in signals})
        twice = sorted({name for name in names if names.count(name) > 1})
        if strange or twice:
            rule = f"the signals of {header.name} must stand in the layout, and once in the segment"
            fail(f"{rule}. Received: {', '.join(strange or twice)}.")
    places = tuple(
        (names.index(signal.name) if signal.name in names else None) if variable else place
        for place, signal in enumerate(signals)
    )
    for signal, place in zip(signals, places, strict=True):
        own = signal if place is None else header.signals[place]
        if own.samples_per_frame != signal.samples_per_frame:
            rule = f"{signal.name} must have {signal.samples_per_frame} samples per frame in each segment"
            fail(f"{rule}. Received: {own.samples_per_frame} in {header.name}.")
    return places


def without_segments(paths):
    """Headers without those that another of them names as its segments: a part of a record is no record."""
    claims = {path: parts_of(path) for path in paths}
    claimed = set().union(*claims.values()) - {path for path, parts in claims.items() if parts}
    return [path for path in paths if path not in claimed]


def parts_of(path):
    """The headers that a header names as its segments; none for a record of one piece, or what cannot be read."""
    if path.suffix != ".hea":
        return set()
    try:
        (_, record), *parts = read_lines(path)
    except DataError:  # refused, with its reason, where it is read as a record
        return set()
    several = "/" in record.split()[0]
    return {path.with_name(f"{text.split()[0]}.hea") for _, text in parts} if several else set()
