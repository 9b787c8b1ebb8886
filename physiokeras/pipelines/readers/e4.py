"""Exports of the wristband Empatica E4: a folder of CSV files is a recording.

Each file has the start in its first line (seconds since 1970 in UTC, or a date and time), the rate in its second, and
a sample a line from the third on. Acceleration is in 1/64 g. `IBI.csv` and `tags.csv` are no signals and are not read.

Source: Empatica's support pages "Data export and formatting from E4 connect", and `info.txt` of an export.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.readers.wfdb_header import Signal

FORMAT = "E4"
"""`Signal.format` of these files."""

FILES = {
    "ACC.csv": (("ACC-X", "ACC-Y", "ACC-Z"), "g", 64.0),
    "BVP.csv": (("BVP",), "NU", 1.0),
    "EDA.csv": (("EDA",), "uS", 1.0),
    "TEMP.csv": (("TEMP",), "degC", 1.0),
    "HR.csv": (("HR",), "bpm", 1.0),
}
"""File -> its columns, their unit, and the steps of one unit."""

_SENSORS = frozenset(FILES) - {"HR.csv"}
_FASTEST = 1000
_APART = 3600.0
"""Most seconds between the starts of two files; heart rates begin 10 s after the others."""

_LONGEST = 400.0
_DIGITS = 10
"""Digits of today's seconds since 1970."""

_BLOCK = 1 << 22


@dataclass(frozen=True)
class _Head:
    """Start (seconds since 1970), rate and number of samples of a file, or why it has none."""

    begin: float = 0.0
    rate: int = 1
    samples: int = 0
    fault: str | None = None

    @property
    def end(self) -> float:
        return self.begin + self.samples / self.rate


def is_export(path):
    """Whether a path is a folder with files of an E4's sensors."""
    return path.is_dir() and any((path / name).is_file() for name in _SENSORS)


def read_e4_header(path):
    """Fields of a `Header` of a folder; samples are counted, not read.

    The recording begins with the file that begins first. A file that is damaged is a fault of its channels.

    Args:
        path: The folder.

    Returns: dict of `rate`, `frames`, `signals` and `notes`. A frame is a second.

    Raises:
        DataError: No file of samples; files that begin over an hour apart.
    """
    if not is_export(path):
        raise DataError(f"a folder that is a record must be an E4's, with {', '.join(sorted(_SENSORS))}.", file=path)
    heads = _heads(path)
    good = [head for head in heads.values() if not head.fault]
    if not good:
        raise DataError(next(iter(heads.values())).fault, file=path / next(iter(heads)))
    begin = _begin(heads, path)
    frames = int(max(head.end for head in good) - begin)
    if frames < 1:
        raise DataError("must hold a second of samples.", file=path)
    signals = []
    for file, head in heads.items():
        names, unit, gain = FILES[file]
        shape = {"samples_per_frame": head.rate, "rate": float(head.rate), "offset": 0, "line": 3}
        place = {"file": f"{path.name}/{file}", "format": FORMAT, "fault": head.fault}
        facts = {"gain": gain, "baseline": 0, "initial": None, "checksum": None}
        signals += [Signal(name, unit, True, **shape, **place, **facts) for name in names]
    notes = [f"{file}: begins {head.begin - begin:.3g} s after the first" for file, head in heads.items()
             if not head.fault and head.begin - begin > 1]  # fmt: skip
    return {"rate": 1.0, "frames": frames, "signals": tuple(signals), "notes": tuple(notes)}


def read_e4_samples(header, index):
    """One channel in its unit: float32 `(samples,)`, at its time in the recording, NaN where its file has none.

    Raises:
        DataError: A cell that is no number, or a line with another number of cells.
    """
    signal, heads = header.signals[index], _heads(header.path)
    file = signal.file.rpartition("/")[2]
    path, head, names = header.path / file, heads[file], FILES[file][0]
    values = _column(path, names.index(signal.name), len(names))
    if len(values) != head.samples:
        rule = "must have a sample in each line from the third on"
        raise DataError(f"{rule}. Received: {len(values)} in {head.samples} lines. Remove empty lines.", file=path)
    values[~np.isfinite(values)] = np.nan
    values /= np.float32(signal.gain)
    result = np.full(header.frames * head.rate, np.nan, np.float32)
    first = round((head.begin - _begin(heads, header.path)) * head.rate)
    taken = values[: max(0, len(result) - first)]
    result[first : first + len(taken)] = taken
    return result


def _column(path, column, count):
    """One of `count` columns of a file as float32."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            values = np.loadtxt(file, np.float32, delimiter=",", skiprows=2, comments=None, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        # NumPy counts rows from 0 where a cell is wrong, from 1 where their number is.
        row = re.search(r"at row (\d+)", str(error))
        place = f"line {int(row[1]) + 3 - ('columns' in str(error))}" if row else None
        raise DataError(f"must hold {count} number(s) a line. Restore it.", file=path, place=place) from error
    if values.shape[1] != count:
        raise DataError(f"must hold {count} number(s) a line. Received: {values.shape[1]}.", file=path, place="line 3")
    return np.ascontiguousarray(values[:, column])


def _begin(heads, path):
    """Start of the recording: that of the file that begins first."""
    begins = {head.begin: file for file, head in heads.items() if not head.fault}
    first, last = min(begins), max(begins)
    if last - first > _APART:
        rule = f"begins {last - first:.0f} s after {begins[first]}; files of one recording begin together"
        raise DataError(f"{rule}. Correct its first line, or restore it.", file=path / begins[last], place="line 1")
    return first


def _heads(folder):
    """File -> `_Head`, for the files that are there."""
    return {name: _head(folder / name, len(FILES[name][0])) for name in FILES if (folder / name).is_file()}


def _head(path, columns):
    refuse_link_out(path, path.parent)
    with open(path, "rb") as file:
        lines = [file.readline(1000).decode("utf-8", "replace").strip("\ufeff \t\r\n") for _ in range(2)]
        samples, last = 0, b"\n"
        while block := file.read(_BLOCK):
            samples, last = samples + block.count(b"\n"), block[-1:]
    samples += last != b"\n"
    start, rate = (next(iter({cell.strip() for cell in line.split(",")}), "") for line in lines)
    if any(len({cell.strip() for cell in line.split(",")}) > 1 for line in lines):
        return _Head(fault=f"{path.name} must have one start and one rate for all columns. Received: {lines}.")
    begin, rate = _seconds(start), _number(rate)
    if begin is None:
        return _Head(fault=f"line 1 of {path.name} must be its start in seconds since 1970. Received: {start!r:.60}.")
    if not 0 < rate <= _FASTEST or rate != int(rate):
        return _Head(fault=f"line 2 of {path.name} must be a whole rate in Hz. Received: {lines[1]!r:.60}.")
    if not 0 < samples <= _LONGEST * 86400 * rate:
        return _Head(rate=int(rate), fault=f"{path.name} must hold samples. Received: {samples}.")
    return _Head(begin, int(rate), samples)


def _number(text):
    try:
        return float(text)
    except ValueError:
        return np.nan


def _seconds(text):
    """Seconds since 1970 of a start; None where it is none, or was rounded by a spreadsheet, as 1.54403E+09."""
    value, (digits, power, _) = _number(text), text.lower().partition("e")
    if 0 < value < 1e11:
        return None if power and len(digits.replace(".", "")) < _DIGITS else value
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
