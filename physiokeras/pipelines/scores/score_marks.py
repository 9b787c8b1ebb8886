"""Marks of score files of any format, and their conversion to `Annotations`."""

import math
import re
from dataclasses import dataclass

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import number_of, read_bounded, refuse_spreadsheet, text_of
from physiokeras.pipelines.readers.annotations import LARGEST, Annotations

TICKS = 1000
"""Marks are kept to the millisecond."""

STAGE, EVENT, NOTE = "stage", "event", '"'
"""Symbols of marks: what the format itself calls a stage or an event, and what it calls neither."""

EPOCH = 30.0
"""Seconds of a scoring epoch where neither the file nor the definition says."""

MOST = 200_000
"""Most lines of a file; a night has some thousands."""

_FARTHEST = 1e9
_SHOWN = 3


@dataclass(frozen=True)
class Mark:
    """One mark of a score file.

    Args:
        onset: Seconds from the recording's start; may be negative.
        duration: Seconds, or None where the file gives none that can be.
        text: What it says.
        place: Where it stands in its file, for messages.
        symbol: `STAGE`, `EVENT` or `NOTE`.
    """

    onset: float
    duration: float | None
    text: str
    place: str
    symbol: str = NOTE


def to_annotations(path, marks, notes=(), *, coding=None, scored=None, empty=False):
    """`Annotations` of marks, by onset.

    Args:
        path: The file.
        marks: list of `Mark`.
        notes: Messages on the file.
        coding: What the format's stage numbers mean, where it says so.
        scored: Seconds from the recording's start up to which the file scores, where it says so.
        empty: Whether a file without marks says that nothing happened, as one of events does.

    Raises:
        DataError: No mark.
    """
    if not marks and not empty:
        message = "must hold scores. Received: none. Remove it where nothing was scored."
        raise DataError(message, file=path)
    marks = sorted(marks, key=lambda mark: mark.onset)
    begins = _ticks([mark.onset for mark in marks])
    durations = _ticks([mark.onset + (mark.duration or 0.0) for mark in marks]) - begins
    # 0 stands for none: one that is shorter than a tick must not last to the next mark.
    durations = np.maximum(durations, [int(bool(mark.duration)) for mark in marks])
    symbols, texts, places = (tuple(getattr(mark, name) for mark in marks) for name in ("symbol", "text", "place"))
    notes = [*notes] if marks else [*notes, f"{path.name}: it holds no marks; taken for a record without events"]
    facts = {"coding": coding, "scored": scored, "places": places}
    return Annotations(path, TICKS, begins, symbols, texts, durations, tuple(notes), **facts)


def read_text(path):
    """Text of a score file, in UTF-8, or in UTF-16 as Excel writes it.

    Raises:
        DataError: It cannot be read, is empty or too large, or is neither.
    """
    data = read_bytes(path)
    try:
        text = text_of(data)
    except UnicodeDecodeError as error:
        message = f"must be UTF-8. Received: byte {data[error.start]:#04x}. Save it anew in UTF-8."
        raise DataError(message, file=path, place=f"byte {error.start}") from error
    if "\0" in text:
        raise DataError(
            "must be a text. Received: a NUL. Restore it.", file=path, place=f"character {text.index(chr(0))}"
        )
    return text


def is_text(path):
    """Whether a file begins as printable text does."""
    with open(path, "rb") as file:
        return bool(re.fullmatch(rb"(\xef\xbb\xbf)?[\t\r\n\x20-\x7e]{2,}", file.read(512)))


def read_bytes(path):
    """Content of a score file, its size bounded."""
    data = read_bounded(path, LARGEST, "a score file")
    refuse_spreadsheet(data, path)
    if not data.strip(b"\0 \t\r\n"):
        message = "must hold scores. Received: an empty file. Restore it, or remove it where nothing was scored."
        raise DataError(message, file=path)
    return data


def refuse_many(count, path, what="lines", most=MOST):
    """Refuse a file with more marks than any recording has, before each takes memory."""
    if count > most:
        raise DataError(f"a score file may have {most} {what}. Received: {count}. Is it one?", file=path)


def refuse_recorded(scored, header, epoch, path):
    """Refuse a list of epochs that is as long as the data without the recording's gaps: who wrote it left them out.

    Args:
        scored: Seconds of all epochs.
        header: `Header` of the recording.
        epoch: Seconds of one.
        path: The score file.

    Raises:
        DataError: So it is, and epochs behind a gap would lie too early.
    """
    recorded = header.seconds - header.gaps
    if header.gaps >= epoch and abs(scored - recorded) < min(epoch, abs(scored - header.seconds)):
        rule = f"its epochs last {scored:g} s, as the data do without the {header.gaps:g} s of the recording's gaps"
        raise DataError(f"{rule}. Give onsets in seconds from the recording's start.", file=path)


def seconds_of(text, what, path, place):
    """A number of seconds.

    Raises:
        DataError: It is no number, or no time.
    """
    try:
        value = number_of(text)
    except (TypeError, ValueError):
        value = math.nan
    if not abs(value) < _FARTHEST:
        raise DataError(f"{what} must be a number of seconds. Received: {text!r:.60}.", file=path, place=place)
    return value


class Durations:
    """Reads durations, and counts those that cannot be.

    Args:
        path: The file.
    """

    def __init__(self, path):
        self.path, self.strange = path, []

    def read(self, text, place, name):
        """Seconds; None for none, and for what cannot be, such as a negative one.

        Args:
            text: As the file has it.
            place: Where it stands.
            name: What the mark says.
        """
        try:
            value = number_of(text)
        except (TypeError, ValueError):
            value = math.nan
        if 0 < value < _FARTHEST:
            return value
        # "n/a" is how BIDS writes that there is none.
        if value != 0 and (text or "").strip().lower() not in ("", "n/a", "nan"):
            self.strange.append(f"{place}: {name!r:.60} has the duration {text!r:.40}")
        return None

    @property
    def notes(self):
        """Messages on those that cannot be."""
        lines = [f"{self.path.name}: {line}; read as if none were given" for line in self.strange[:_SHOWN]]
        if len(self.strange) > _SHOWN:
            lines.append(f"{self.path.name}: {len(self.strange)} durations that cannot be in all")
        return lines


def _ticks(seconds):
    return np.rint(np.array(seconds) * TICKS).astype(np.int64)
