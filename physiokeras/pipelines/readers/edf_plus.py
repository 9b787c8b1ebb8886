"""What EDF+ adds to EDF: lists of annotations, and the time at which each data record begins.

edfio drops what its pattern does not match and takes the first annotation for the time where a file keeps none, so the
bytes are walked here. Source: Kemp and Olivan 2003, Clin Neurophysiol 114:1755; edfplus.info/specs.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from physiokeras.errors import DataError

LISTS = ("EDF Annotations", "BDF Annotations")
"""Labels of the channels that hold lists; for edfio the first in EDF alone, the second in BDF alone."""

_ENTRY = re.compile(rb"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:\x15([^\x14]*))?\x14(.*)", re.DOTALL)
_DURATION = re.compile(rb"\+?(\d+(?:\.\d*)?|\.\d+)")
_SHOWN = 3


class refused:
    """Context: any error while a damaged EDF file is read becomes a `DataError`."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        # A damaged file makes edfio raise nearly anything, its own warnings included.
        if isinstance(error, Exception) and not isinstance(error, DataError | MemoryError):
            message = str(error) or type(error).__name__
            raise DataError(f"must be a whole EDF file: {message[:200]} Restore it.", file=self.path) from error


@dataclass(frozen=True)
class Layout:
    """Place of the annotation lists in an EDF file.

    Attributes:
        path: The file.
        begin: Byte of the first data record.
        size: Bytes of a data record.
        records: Number of whole data records in the file.
        slots: `(start, stop)` bytes, in a data record, of each channel of lists; the first keeps the time.
        signals: Number of ordinary channels.
        places: `(start, stop)` bytes, in a data record, of each channel that is ordinary for edfio.
    """

    path: Path
    begin: int
    size: int
    records: int
    slots: tuple[tuple[int, int], ...]
    signals: int
    places: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, path: str | os.PathLike) -> Self:
        """From the header; no data record is read."""
        with refused(path), open(path, "rb") as file:
            head = file.read(256)
            count = int(head[252:256])
            fields = file.read(256 * count)
            labels = [fields[16 * k : 16 * k + 16].decode("latin-1").strip() for k in range(count)]
            width = 3 if head[:1] == b"\xff" else 2
            sizes = [width * int(fields[216 * count + 8 * k :][:8]) for k in range(count)]
            ends = np.cumsum(sizes).tolist()
            begin, size = int(head[184:192]), ends[-1] if ends else 0
            channels = [(label, end - size, end) for label, size, end in zip(labels, sizes, ends, strict=True)]
            slots = [(start, end) for label, start, end in channels if label in LISTS]
            places = [(start, end) for label, start, end in channels if label != LISTS[width == 3]]
            signals = sum(label not in LISTS for label in labels)
            records = (Path(path).stat().st_size - begin) // size if size > 0 else 0
            return cls(Path(path), begin, size, records, tuple(slots), signals, tuple(places))

    def lists(self) -> Iterator[tuple[int, bytes]]:
        """Yield `(byte, content)` for each list of each channel, in the file's order."""
        if not self.records:
            return
        data = np.memmap(self.path, np.uint8, "r", self.begin, (self.records, self.size))
        for number, record in enumerate(np.asarray(data)):
            for start, stop in self.slots:
                yield self.begin + number * self.size + start, record[start:stop].tobytes()

    def onset(self, number: int) -> float:
        """Seconds from the file's start to the data record `number`; NaN where it does not keep the time."""
        with open(self.path, "rb") as file:
            start, stop = self.slots[0]
            file.seek(self.begin + number * self.size + start)
            match = _ENTRY.fullmatch(file.read(stop - start).partition(b"\0")[0])
        # The entry that keeps the time begins with an empty text.
        return float(match[1]) if match and match[3][:1] in (b"", b"\x14") else math.nan


@dataclass(frozen=True)
class Mark:
    """One annotation.

    Attributes:
        onset: Seconds from the file's start; may be negative.
        duration: Seconds, or None where the file gives none that can be.
        text: What it says.
    """

    onset: float
    duration: float | None
    text: str


def read_marks(path):
    """Every annotation of an EDF+ file, and what of its lists could not be read.

    Returns: `(marks, notes)`: list of `Mark`, by onset; list of messages.
    """
    marks, strange, unread = [], [], []
    for place, content in Layout.of(path).lists():
        for entry in content.split(b"\0"):
            match = _ENTRY.fullmatch(entry)
            texts = [text_of_field(text) for text in match[3].split(b"\x14")] if match else []
            duration = _duration(match[2]) if match else None
            found = [Mark(float(match[1]), duration, text) for text in texts if text]
            marks += found
            if found and match[2] is not None and duration is None and match[2].strip(b" 0."):
                strange.append((place, match[2].decode("latin-1"), found[0].text))
            if entry.strip() and not found and not (match and match[2] is None):
                unread.append((place, entry.decode("latin-1")))
            place += len(entry) + 1
    return sorted(marks, key=lambda mark: mark.onset), [*_strange(strange, path), *_unread(unread, path)]


def _duration(raw):
    """Seconds; None for none, zero, and what cannot be, such as a negative one."""
    match = _DURATION.fullmatch((raw or b"").strip())
    return float(match[1]) or None if match else None


def text_of_field(raw):
    """Text of a field: UTF-8, as EDF+ wants it, or else Latin-1, as older recorders write accents."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", " ").strip()  # some recorders fill fields with NUL


def _strange(found, path):
    for place, duration, text in found[:_SHOWN]:
        yield f"{path.name}: byte {place}: {text!r} has the duration {duration!r}; it is taken to last to the next mark"
    yield from _more(found, path, "durations that cannot be")


def _unread(found, path):
    for place, entry in found[:_SHOWN]:
        yield f"{path.name}: byte {place}: no annotation could be read from {entry[:40]!r}"
    yield from _more(found, path, "entries that could not be read")


def _more(found, path, what):
    if len(found) > _SHOWN:
        yield f"{path.name}: {len(found)} {what} in all"
