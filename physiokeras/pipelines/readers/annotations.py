"""Parse WFDB annotation files strictly.

`wfdb.rdann` takes an empty or cut file for one with fewer events, and one note makes it hang; so the bytes are walked
here. Source: the WFDB manual page annot(5), MIT format.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import read_bounded

LARGEST = 8 << 20
"""Bytes; ten days of beats take less."""

_SYMBOLS = dict(zip(range(1, 15), "NLRaVFJASEj/Q~", strict=True)) | {16: "|"}
_SYMBOLS |= dict(zip(range(18, 42), 'sT*D"=pB^t+u?![]en@xf()r', strict=True))
_SKIP, _NUM, _SUB, _CHAN, _AUX = 59, 60, 61, 62, 63


@dataclass(frozen=True)
class Annotations:
    """The annotations of one record in the order of the file.

    Args:
        path: The file.
        rate: Ticks of `samples` per second, or None where the file does not say (then: the record's frames).
        samples: int64 `(annotations,)`, as the annotator numbers them.
        symbols: Annotation codes as WFDB writes them: "N" a normal beat, '"' a note.
        notes: Texts, empty where there is none; the symbol, where the file itself defines it and there is no text.
        durations: int64 `(annotations,)`, 0 where none is given; None where the format has none.
        report: What was found in the file besides: messages.
        places: Where each annotation stands in the file, for messages; None: by its sample.
        coding: What the numbers of stages mean, where the format says so: see `pipelines.scores.stage_names`.
        scored: Seconds of the recording up to which the file scores it, where the file says so.
    """

    path: Path
    rate: float | None
    samples: np.ndarray
    symbols: tuple[str, ...]
    notes: tuple[str, ...]
    durations: np.ndarray | None = None
    report: tuple[str, ...] = ()
    places: tuple[str, ...] | None = None
    coding: str | None = None
    scored: float | None = None

    def place(self, number: int, frame: int | None = None) -> str:
        """Place of an annotation, for messages; `frame` is its frame, where that says more than its sample."""
        if self.places:
            return self.places[number]
        if self.durations is not None:
            return f"second {self.samples[number] / self.rate:g}"
        return f"sample {self.samples[number] if frame is None else frame}"


def read_annotations(path):
    """Read an annotation file.

    Raises:
        DataError: Empty, NUL, cut, too large, an unknown code, a note that is not UTF-8, negative or decreasing
            samples, bytes after the end mark.
    """
    path = Path(path)
    rate, samples, symbols, notes = None, [], [], []
    own, defines = {}, False
    for place, sample, code, note in _entries(path):
        if code == 22 and note.startswith("##"):
            rate = _resolution(note, path, place) if "time resolution:" in note else rate
            defines = "annotation type definitions" in note
            continue
        if code == 22 and defines:
            number, symbol = _definition(note, path, place)
            own[number] = symbol
            continue
        if sample < (samples[-1] if samples else 0):
            rule = "samples must be in order and not negative"
            raise DataError(f"{rule}. Received: {sample} after {samples[-1:]}.", file=path, place=f"byte {place}")
        samples.append(sample)
        symbols.append(own.get(code) or _SYMBOLS.get(code, f"[{code}]"))
        notes.append(note or own.get(code, ""))
    return Annotations(path, rate, np.array(samples, np.int64), tuple(symbols), tuple(notes))


def _entries(path):
    """Byte, sample, code and note of every annotation; code 0 marks nothing and is left out."""
    data, position, time = _load(path), 0, 0
    entry = None
    while True:
        begin = position
        word, position = _word(data, position, path)
        code, value = word >> 10, word & 0x3FF
        if code == _AUX:
            note, position = _note(data, position, value, path)
            entry = entry and (*entry[:3], note)
        elif code not in (_NUM, _SUB, _CHAN):
            if entry:
                yield entry
            entry = None
            if word == 0:
                break
            if code == _SKIP:
                high, position = _word(data, position, path)
                low, position = _word(data, position, path)
                time += struct.unpack("<i", struct.pack("<HH", low, high))[0]
                continue
            if code > 49:
                raise DataError(f"unknown annotation code {code}. Is it WFDB?", file=path, place=f"byte {begin}")
            time += value
            entry = (begin, time, code, "") if code else None
    if data[position:].strip(b"\0"):
        raise DataError("bytes follow the end mark. Restore the file.", file=path, place=f"byte {position}")


def _load(path):
    data = read_bounded(path, LARGEST, "an annotation file")
    if not data.strip(b"\0"):
        content = "NUL bytes alone" if data else "an empty file"
        message = f"must hold annotations. Received: {content}. Restore it, or remove it where nothing was annotated."
        raise DataError(message, file=path, place="byte 0")
    return data


def _word(data, position, path):
    if position + 2 > len(data):
        message = "the file is cut: it ends inside an annotation, or without its end mark. Restore it."
        raise DataError(message, file=path, place=f"byte {position}")
    return data[position] | data[position + 1] << 8, position + 2


def _note(data, position, length, path):
    if position + length > len(data):
        raise DataError("the file is cut inside a note. Restore it.", file=path, place=f"byte {position}")
    try:
        note = data[position : position + length].rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"a note must be ASCII or UTF-8. Received: byte {data[position + error.start]:#04x}."
        raise DataError(message, file=path, place=f"byte {position + error.start}") from error
    return note, position + length + length % 2


def _resolution(note, path, place):
    text = note.partition("time resolution:")[2].strip()
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < 1e9:
        message = f"the time resolution must be a number above 0. Received: {text!r}."
        raise DataError(message, file=path, place=f"byte {place}")
    return rate


def _definition(note, path, place):
    """Code and symbol of a line of the file's own table of types, such as "42 y description"."""
    fields = note.split()
    if len(fields) < 2 or not fields[0].isdigit():
        message = f"a type must be defined as code, symbol, description. Received: {note[:40]!r}."
        raise DataError(message, file=path, place=f"byte {place}")
    return int(fields[0]), fields[1]
