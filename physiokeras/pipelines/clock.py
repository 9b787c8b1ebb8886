"""The clock time at which a recording starts, where its header gives it."""

import re
from datetime import date, datetime, time
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.pipelines.edf_start import Start
from physiokeras.pipelines.wfdb_header import read_lines

UNDATED = date(1985, 1, 1)
"""Stands for a date that is unknown, as in EDF."""

_TIME = re.compile(r"(?:(\d{1,2}):)?(\d{1,2}):(\d{1,2})(?:\.\d*)?")
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


def start_of(path):
    """Date and time of a recording's first sample; the date is `UNDATED` where the header does not give it.

    Args:
        path: The `.hea` or `.edf` file.

    Returns: `datetime`, or None where the header gives no time of day or a wrong one.

    Source of the fields: the WFDB manual page header(5), base time and base date.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".edf":
            return Start.of(path).moment.replace(microsecond=0)
        fields = read_lines(path)[0][1].split() if path.suffix.lower() == ".hea" else []
    except (DataError, OSError):
        return None
    clock = _TIME.fullmatch(fields[4]) if len(fields) > 4 else None
    day = _DATE.fullmatch(fields[5]) if len(fields) > 5 else None
    try:
        moment = time(*(int(number or 0) for number in clock.groups())) if clock else None
        when = date(*(int(number) for number in reversed(day.groups()))) if day else UNDATED
    except ValueError:
        return None
    return datetime.combine(when, moment) if moment else None
