"""Start times of EDF files, and the seconds between two of them."""

import math
import os
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Self

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.edf_plus import Layout

DAY = 86400.0

_UNKNOWN = date(1985, 1, 1)
"""What EDF's rules, and whoever removes names from files, write for a date that is not to be known."""

_DAYS = 30
"""Days of a recording on which undated scores are looked for."""

_FIELDS = re.compile(r"(\d{1,2})[.:\-/ ](\d{1,2})[.:\-/ ](\d{1,2})")
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


@dataclass(frozen=True)
class Start:
    """The moment from which a file's annotations count.

    Attributes:
        moment: Date and time of the header; the date stands for nothing where it is unknown.
        dated: Whether the date is known.
        first: Seconds from there to the first sample.
    """

    moment: datetime
    dated: bool
    first: float

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of it: midnight of no date is what is written where times are removed."""
        return not self.dated and self.moment.time() == time()

    @classmethod
    def of(cls, path: str | os.PathLike) -> Self:
        """Read a file's start.

        Raises:
            DataError: The time of day is no time.
        """
        with open(path, "rb") as file:
            head = file.read(192).decode("latin-1")
        if not head.startswith(("0       ", "\xffBIOSEMI")):
            message = "scores in EDF+ can be placed on recordings in EDF and BDF alone."
            raise DataError(message, file=path, place="byte 0")
        day = _date(head[88:168], head[168:176])
        return cls(datetime.combine(day, _time(head[176:184], path)), day != _UNKNOWN, first_onset(path))


def first_onset(path):
    """Seconds from a file's start to its first sample: the part of a second that EDF+ keeps; 0 in plain EDF."""
    layout = Layout.of(path)
    onset = layout.onset(0) if layout.slots and layout.signals and layout.records else 0.0
    return 0.0 if math.isnan(onset) else onset


def shift_between(path, recording, seconds, begins, ends):
    """Seconds to add to another file's times, so that they count from a recording's first sample.

    Where both files are dated, the dates decide. Else the day is taken on which most of the marks lie in the recording,
    and of several the nearest.

    Args:
        path: EDF+ file of scores.
        recording: EDF file of signals; may be the same.
        seconds: Length of the recording.
        begins: list of the marks' begins, in seconds from the file's start.
        ends: The same for their ends; None where they do not say.

    Returns: `(shift, notes)`.

    Raises:
        DataError: By the dates, no mark meets the recording; a start that is no time.
    """
    if path == recording:
        return -first_onset(path), []
    score, signal = Start.of(path), Start.of(recording)
    if score.unknown != signal.unknown:
        lost = path if score.unknown else recording
        note = f"{lost.name} starts at midnight of no date, which is unknown"
        return -signal.first, [f"{path.name}: taken to begin with the recording, for {note}"]
    shift = (score.moment - signal.moment) / timedelta(seconds=1) - signal.first
    if score.dated and signal.dated:
        last = max(begin + DAY / 2 if end is None else end for begin, end in zip(begins, ends, strict=True))
        if min(begins) + shift > seconds or last + shift <= 0:
            rule = (
                f"by the dates of both files it starts {shift / 3600:+.1f} h from the recording, and no mark meets it"
            )
            way = "Is it another night's? Correct byte 168 of one of them, or write 01.01.85 where the date is unknown"
            raise DataError(f"{rule}. {way}.", file=path, place="byte 168")
        return shift, []
    near = (shift + DAY / 2) % DAY - DAY / 2

    def inside(day):
        return sum(0 <= begin + near + day * DAY < seconds for begin in begins), -abs(near + day * DAY)

    day = max(range(-1, min(int(seconds // DAY), _DAYS) + 2), key=inside)
    note = f"{path.name}: the dates are unknown; taken to start {(near + day * DAY) / 3600:+.1f} h from the recording"
    return near + day * DAY, [note] if day else []


def _date(recording, plain):
    """EDF+'s date, or EDF's where that is none, as with months in another language; `_UNKNOWN` where neither is one."""
    words = recording.split()
    if words[:1] == ["Startdate"] and len(words) > 1:
        parts = words[1].upper().split("-")
        try:
            return date(int(parts[2]), _MONTHS.index(parts[1]) + 1, int(parts[0]))
        except (ValueError, IndexError):
            if parts == ["X"]:
                return _UNKNOWN
    match = _FIELDS.fullmatch(plain.strip())
    try:
        day, month, year = (int(number) for number in match.groups())
        return date(year + (1900 if year >= 85 else 2000), month, day)
    except (AttributeError, ValueError):
        return _UNKNOWN


def _time(text, path):
    match = _FIELDS.fullmatch(text.strip())
    try:
        return time(*(int(number) for number in match.groups()))
    except (AttributeError, ValueError):
        rule = "the start must be a time of day, hh.mm.ss, for scores of another file to be placed"
        raise DataError(f"{rule}. Received: {text!r}. Write it.", file=path, place="byte 176") from None
