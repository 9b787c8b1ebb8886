"""Parse the text of a WFDB header strictly: an unclear or impossible value is an error that names its line.

Source: the WFDB manual page header(5). Nothing is allocated by the numbers found here, and no signal file is touched:
`physiokeras.pipelines.readers.records.read_header` compares them with the files.
"""

import codecs
import math
import re
from dataclasses import dataclass
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import read_bounded
from physiokeras.pipelines.readers.sample_formats import DIFFERENCES, KNOWN

LARGEST = 1 << 20
"""Bytes; no header of signals that fit on a disk is longer."""

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_FORMAT = re.compile(r"(\d{1,4})(?:x(\d{1,9}))?(?::(\d{1,9}))?(?:\+(\d{1,18}))?")
_NUMBER = r"[+-]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][+-]?\d{1,3})?"
_GAIN = re.compile(rf"({_NUMBER}|[+-]?nan|[+-]?inf(?:inity)?)(?:\(([+-]?\d{{1,18}})\))?(?:/(\S+))?", re.IGNORECASE)
_RATE = re.compile(rf"({_NUMBER})(?:/{_NUMBER}(?:\({_NUMBER}\))?)?")


@dataclass(frozen=True)
class Signal:
    """One channel of a record.

    Args:
        name: The header's description, or "signal 3" where it has none.
        unit: Physical unit in ASCII: "uV" for µV; "mV", WFDB's default, where the header has none.
        unit_stated: Whether the header has a unit.
        gain: Digital steps per unit.
        baseline: Digital value of physical zero.
        samples_per_frame: Samples in each frame.
        rate: Samples per second.
        file: Name of the signal file.
        format: Sample format, one of `physiokeras.pipelines.readers.sample_formats.KNOWN`.
        offset: Byte of the file where the samples begin; in FLAC the sample.
        initial: Digital value of the first sample, or None.
        checksum: Sum of the digital samples modulo 65536, or None.
        line: Line of the header.
        fault: Why its samples mean nothing, or None. An error where the channel is asked for, and else a note.
    """

    name: str
    unit: str
    unit_stated: bool
    gain: float
    baseline: int
    samples_per_frame: int
    rate: float
    file: str
    format: str
    offset: int
    initial: int | None
    checksum: int | None
    line: int
    fault: str | None = None


def read_lines(path):
    """The lines of a header that are neither blank nor comments.

    Returns: list of (number, text); numbers count from 1.

    Raises:
        DataError: Too large, empty, NUL bytes, UTF-16, undecodable.
    """
    path = Path(path)
    data = read_bounded(path, LARGEST, "a header", "Is this a signal file?")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("must be ASCII or UTF-8. Received: UTF-16. Save it as UTF-8.", file=path, place="line 1")
    lines = []
    for number, raw in enumerate(data.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        if b"\0" in raw:
            message = "must be text. Received: a NUL byte. Restore the header from its source."
            raise DataError(message, file=path, place=f"line {number}")
        if raw.strip() and not raw.lstrip().startswith(b"#"):
            # Text has more kinds of blanks than bytes.
            text = _decode(raw, path, number).strip()
            lines += [(number, text)] if text else []
    if not lines:
        raise DataError("must have a record line. Received: an empty header, or comments alone.", file=path)
    return lines


def parse_record_line(text, fail):
    """Name, segments (None for a plain record), signals, frames per second and frames (None where not given)."""
    fields = text.split()
    name, several, segments = fields[0].partition("/")
    segments = integer(segments, "the number of segments of a multi-segment record", fail) if several else None
    if not re.fullmatch(r"[\w.-]+", name):
        fail(f"a record's name is of letters, digits, - and _. Received: {name!r}.")
    if len(fields) < 3:
        fail(f"must give name, number of signals and sampling rate. Received: {text[:80]!r}.")
    signals = integer(fields[1], "the number of signals", fail)
    rate = _RATE.fullmatch(fields[2])
    rate = float(rate[1]) if rate else math.nan
    if not 0 < rate < 1e9:
        fail(f"the sampling rate must be a number above 0. Received: {fields[2][:40]!r}.")
    frames = integer(fields[3], "the number of samples", fail) if len(fields) > 3 else 0
    if signals < 1 or frames < 0 or segments == 0:
        fail(f"signals and segments must be at least 1 and samples not negative. Received: {text[:80]!r}.")
    return name, segments, signals, rate, frames or None


def parse_signal_line(text, number, index, frame_rate, fail, formats=KNOWN):
    """One `Signal` in one of `formats`; the rules are in the messages."""
    fields = text.split(None, 8)
    if len(fields) < 3:
        fail(f"must give file, format and gain. Received: {text[:80]!r}. WFDB would assume 200 steps per mV.")
    form = _FORMAT.fullmatch(fields[1])
    if not form or form[1] not in formats:
        fail(f"format must be one of {', '.join(formats)}. Received: {fields[1][:40]!r}. Convert it with `xform`.")
    if int(form[3] or 0):
        fail("skewed signals are unsupported. Align them first with `xform`.")
    gain = _GAIN.fullmatch(fields[2])
    if not gain:
        fail(f"gain must look like 200, 200(0) or 200(0)/mV. Received: {fields[2][:40]!r}.")
    name = fields[8].strip() if len(fields) > 8 else f"signal {index}"
    value, fault = float(gain[1]), None
    if not math.isfinite(value) or abs(value) < 1e-12:
        rule = "gain must be finite and not zero (WFDB would read zero as 200 steps per mV)"
        fault = f"line {number}: {rule}. Received: {fields[2][:40]}. Give the calibration, or leave the channel out."
    numbers = [integer(field, "a field between gain and description", fail) for field in fields[3:8]]
    zero = numbers[1] if len(numbers) > 1 else 0
    if form[1] == DIFFERENCES and len(numbers) < 3:
        fail("format 8 needs the initial value, from which its differences count. Give it.", channel=name)
    per_frame = int(form[2] or 1)
    if per_frame < 1:
        fail("samples per frame must be at least 1. Received: 0.", channel=name)
    return Signal(
        name=name,
        unit=plain_unit(gain[3] or "mV"),
        unit_stated=gain[3] is not None,
        gain=value,
        baseline=zero if gain[2] is None else int(gain[2]),
        samples_per_frame=per_frame,
        rate=frame_rate * per_frame,
        file=fields[0],
        format=form[1],
        offset=int(form[4] or 0),
        initial=numbers[2] if len(numbers) > 2 else None,
        checksum=numbers[3] % 65536 if len(numbers) > 3 else None,
        line=number,
        fault=fault,
    )


def plain_unit(unit):
    """A unit in ASCII: the micro sign and the Greek mu as "u", the degree sign as "deg"."""
    return unit.replace("\u00b5", "u").replace("\u03bc", "u").replace("\u00b0", "deg")


def integer(text, what, fail):
    """An integer of at most 18 digits."""
    if not _INTEGER.fullmatch(text):
        fail(f"{what} must be an integer of at most 18 digits. Received: {text[:40]!r}.")
    return int(text)


def _decode(raw, path, number):
    """UTF-8, or Latin-1 where its only non-ASCII letters are the micro and the degree sign."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if set(raw) - set(range(128)) <= set("\u00b5\u00b0".encode("latin-1")):
            return raw.decode("latin-1")
        message = f"must be ASCII or UTF-8. Received: byte {raw[error.start]:#04x} at column {error.start + 1}."
        raise DataError(message, file=path, place=f"line {number}") from error
