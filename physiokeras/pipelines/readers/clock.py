"""Start of a recording in date and time, where its file or header gives it."""

import re
from datetime import date, datetime, time, timedelta
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.pipelines.readers import edf, mne_files
from physiokeras.pipelines.readers.edf_start import Start
from physiokeras.pipelines.readers.wfdb_header import read_lines

UNDATED = date(1985, 1, 1)
"""Stands for a date that is unknown, as in EDF."""

_TIME = re.compile(r"(?:(\d{1,2}):)?(\d{1,2}):(\d{1,2})(\.\d*)?")
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


def file_start(path):
    """The `Start` of a file of EDF, BDF, or of a format that MNE reads, or of a header of WFDB.

    Args:
        path: The file.

    Returns: `Start`; None where it keeps none.

    Raises:
        DataError: A time that is none, or a file that cannot be read.
    """
    name = Path(path).name.lower()
    if name.endswith(".hea"):
        return _wfdb_start(Path(path))
    if name.endswith(edf.SUFFIXES):
        return Start.of(path)
    return raw_start(mne_files.open_raw(path)[0]) if name.endswith((*mne_files.SUFFIXES, mne_files.NIHON)) else None


def raw_start(raw):
    """The `Start` of an `mne.io.Raw`; None where it has no date. Parts of a second and crops are in `first`."""
    moment = raw.info["meas_date"]
    if moment is None:
        return None
    whole = moment.replace(tzinfo=None, microsecond=0)
    return Start(whole, True, raw.first_time + moment.microsecond / 1e6)


def first_sample(start):
    """Date and time of the first sample by a `Start`, to the second; None without one."""
    return None if start is None else (start.moment + timedelta(seconds=start.first)).replace(microsecond=0)


def start_of(path):
    """Date and time of a recording's first sample; the date is `UNDATED` where the header does not give it.

    Args:
        path: The header or file.

    Returns: `datetime`, or None where the header gives no time of day or a wrong one.

    Source of the fields: the WFDB manual page header(5), base time and base date.
    """
    try:
        return first_sample(file_start(path))
    except (DataError, OSError):
        return None


def _wfdb_start(path):
    """The `Start` of a header of WFDB; None where it gives no time of day or a wrong one."""
    fields = read_lines(path)[0][1].split()
    clock = _TIME.fullmatch(fields[4]) if len(fields) > 4 else None
    day = _DATE.fullmatch(fields[5]) if len(fields) > 5 else None
    try:
        *parts, fraction = clock.groups() if clock else (None, None)
        moment = time(*(int(number or 0) for number in parts)) if clock else None
        when = date(*(int(number) for number in reversed(day.groups()))) if day else UNDATED
    except ValueError:
        return None
    return Start(datetime.combine(when, moment), bool(day), float(f"0{fraction or ''}")) if moment else None
