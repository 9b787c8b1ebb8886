"""Recordings in memory: arrays with rates, or an `mne.io.Raw`, as `convert` and `inspect_record` take them."""

import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import LONGEST_NAME
from physiokeras.pipelines.readers import mne_files
from physiokeras.pipelines.readers.annotations import Annotations
from physiokeras.pipelines.readers.header import Header
from physiokeras.pipelines.readers.mne_scores import marks_of
from physiokeras.pipelines.readers.timed_marks import timed_marks
from physiokeras.pipelines.readers.wfdb_header import Signal, plain_unit
from physiokeras.wording import counted

FORMAT = "memory"
"""`Signal.format` of arrays."""

_HASHED = 1 << 16
"""Samples of all channels that are read at a time for the hash."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording in memory; `from_arrays` and `from_raw` make it.

    Args:
        name: Its name, which is also its shard's.
        samples: `mne.io.Raw`, or one array `(samples,)` a channel.
        signals: Channels, in order: `physiokeras.pipelines.readers.wfdb_header.Signal`.
        seconds: Its length.
        frames: Its samples, or 1 where channels have several rates.
        annotations: Its scores, or None.
        person: Whose it is; None: as the definition says, by its name.
        sex: "F", "M" or None.
        age: Years, or None.
        labels: Label -> its class or number, for labels that come from tables where files are converted.
        notes: What deserves a line in the report.
    """

    name: str
    samples: Any
    signals: tuple[Signal, ...]
    seconds: float
    frames: int
    annotations: Annotations | None = None
    person: str | None = None
    sex: str | None = None
    age: float | None = None
    labels: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if not re.fullmatch(r"[^./\\\0:][^/\\\0:]*", self.name):
            raise ValueError(f"`name` must be a file name that does not begin with a dot. Received: {self.name!r}.")
        if len(os.fsencode(self.name)) > LONGEST_NAME:
            raise ValueError(f"`name` may have {LONGEST_NAME} bytes. Received: {self.name!r}.")

    def __str__(self):
        return f"{self.name} (in memory)"

    @property
    def stem(self) -> str:
        """Its name: what `Path.stem` is of a record's file."""
        return self.name

    @property
    def header(self) -> Header:
        """`Header`."""
        rate = self.frames / self.seconds
        return Header(Path(str(self)), self.name, rate, self.frames, self.signals, self.notes, recording=self)

    def read(self, index: int) -> np.ndarray:
        """One channel in its unit: float32 `(samples,)`, NaN where missing."""
        if isinstance(self.samples, tuple):
            values = np.array(self.samples[index], np.float32)
            values[np.isinf(values)] = np.nan
            return values
        return mne_files.read_raw_channel(self.samples, index, self.signals[index].gain)

    def digest(self) -> str:
        """SHA-256 of all that is in it, hexadecimal."""
        about = [(signal.name, signal.unit, signal.rate, signal.gain) for signal in self.signals]
        found = hashlib.sha256(repr(about).encode())
        if isinstance(self.samples, tuple):
            for values in self.samples:
                found.update(str(values.dtype).encode() + np.ascontiguousarray(values).tobytes())
        else:
            for start in range(0, self.frames, _HASHED):
                found.update(self.samples.get_data(start=start, stop=min(start + _HASHED, self.frames)).tobytes())
            # Among them are pauses of the recorder, in which samples are missing.
            texts = self.samples.annotations
            found.update(texts.onset.tobytes() + texts.duration.tobytes() + repr(list(texts.description)).encode())
        if self.annotations:
            marks = self.annotations
            found.update(marks.samples.tobytes() + np.asarray(marks.durations).tobytes() + repr(marks.notes).encode())
        return found.hexdigest()


def from_arrays(
    signals: Mapping[str, Any],
    rates: float | Mapping[str, float],
    units: str | Mapping[str, str] | None = None,
    *,
    name: str = "recording",
    scores: Sequence[tuple[float, float, str]] = (),
    person: str | None = None,
    sex: str | None = None,
    age: float | None = None,
    labels: Mapping[str, Any] | None = None,
) -> Recording:
    """A recording of arrays, which `convert` and `inspect_record` take instead of files.

    Args:
        signals: Channel -> `(samples,)` of numbers, NaN where missing; all begin together and last equally long.
        rates: Hz: one for all channels, or channel -> rate.
        units: Unit of all channels, such as "uV", or channel -> unit; None: unknown.
        name: Its name, which is also its shard's.
        scores: `(onset, duration, text)` of each mark, in seconds from the first sample; a mark of duration 0 lasts to
            the next mark.
        person: Whose it is; default: as the definition says, by the name.
        sex: "F" or "M".
        age: Years.
        labels: Label -> its class or number, for labels that come from tables where files are converted.

    Returns: `Recording`.

    Raises:
        DataError: A channel that is no row of numbers, has no rate or another length than the first; a rate or unit of
            a channel that is not there; a mark without a time, or of negative duration.
    """
    if not isinstance(signals, Mapping) or not all(isinstance(channel, str) for channel in signals):
        rule = '`signals` must be a dict of channel name to its samples, {"C3": row, ...}'
        raise DataError(f"{rule}. Received: {type(signals).__name__}.", file=name)
    if not signals:
        raise DataError("must have at least one channel.", file=name)
    given = rates if isinstance(rates, Mapping) else dict.fromkeys(signals, rates)
    texts = units if isinstance(units, Mapping) else dict.fromkeys(signals, units or "")
    for argument, keys in {"rates": given, "units": texts}.items():
        unknown = ", ".join(map(str, set(keys) - set(signals)))
        if unknown:
            rule = f"`{argument}` must be of its channels {', '.join(signals)}"
            raise DataError(f"{rule}. Received also: {unknown}.", file=name)
    signals = {channel: _filled(values) for channel, values in signals.items()}
    arrays = tuple(signals.values())
    described = tuple(
        _signal(name, channel, values, given.get(channel), texts.get(channel))
        for channel, values in zip(signals, arrays, strict=True)
    )
    first, seconds = described[0], len(arrays[0]) / described[0].rate
    for signal in described:
        length = signal.samples_per_frame / signal.rate
        if abs(length - seconds) > 1 / min(signal.rate, first.rate) + 1e-9:
            rule = f"must last as long as {first.name}, {seconds:g} s"
            raise DataError(f"{rule}. Received: {length:g} s at {signal.rate:g} Hz.", file=name, channel=signal.name)
    marks = _marks(name, scores) if len(scores) else None
    about = (marks, person, sex, age, dict(labels or {}), tuple(_infinite(signals)))
    return Recording(name, arrays, described, seconds, 1, *about)


def from_raw(
    raw: Any,
    *,
    name: str | None = None,
    person: str | None = None,
    sex: str | None = None,
    age: float | None = None,
    labels: Mapping[str, Any] | None = None,
) -> Recording:
    """A recording that is an `mne.io.Raw`; its `Annotations` are its scores.

    Samples are read from it a channel at a time, loaded or not. Where its recorder paused (`BAD_ACQ_SKIP`) samples
    are missing; other `BAD_` annotations are marks like any other.

    Args:
        raw: `mne.io.Raw` of any kind.
        name: Its name; default: its file's, without the extension.
        person: Whose it is; default: as the definition says, by the name.
        sex: "F" or "M".
        age: Years.
        labels: Label -> its class or number, for labels that come from tables where files are converted.

    Returns: `Recording`.

    Raises:
        DataError: It has no samples, or its annotations lie elsewhere in time.
    """
    file = next((str(file) for file in raw.filenames if file), "")
    name = name or Path(file).stem or "recording"
    units = mne_files.gdf_units(raw, Path(file)) if file.lower().endswith(".gdf") else ()
    facts = mne_files.describe(raw, f"{name} (in memory)", units, eeglab=file.endswith((".set", ".fdt")))
    signals, frames = facts["signals"], facts["frames"]
    about = (None, person, sex, age, dict(labels or {}), facts["notes"])
    recording = Recording(name, raw, signals, frames / facts["rate"], frames, *about)
    if all(mne_files.is_structure(text) for text in raw.annotations.description):
        return recording
    header = recording.header
    return replace(recording, annotations=marks_of(raw.annotations, -raw.first_time, header.path, header))


def _marks(recording, scores):
    """`Annotations` of scores."""
    marks = []
    for number, mark in enumerate(scores):
        onset, duration, text = mark if len(mark) == 3 else (math.nan, math.nan, "")
        onset, duration = _float(onset), _float(duration)
        if not (math.isfinite(onset) and math.isfinite(duration) and duration >= 0):
            rule = "must be (onset, duration, text), in seconds, the duration 0 or more; 0 lasts to the next mark"
            raise DataError(f"{rule}. Received: {mark!r}.", file=recording, place=f"scores[{number}]")
        marks.append((onset, duration, text))
    return timed_marks(Path(f"{recording} (in memory)"), *(list(column) for column in zip(*marks, strict=True)))


def _filled(values):
    """An array; what a masked array hides is missing, whatever lies below."""
    if isinstance(values, np.ma.MaskedArray):
        return np.asarray(values.astype(np.result_type(values.dtype, np.float32)).filled(np.nan))
    return np.asarray(values)


def _float(value):
    """A number; NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _infinite(signals):
    """A note on each channel that holds infinite values."""
    for name, values in signals.items():
        count = np.count_nonzero(np.isinf(values))
        if count:
            yield f"{name}: {counted(count, 'infinite value')} taken as missing data"


def _signal(recording, name, values, rate, unit):
    """`Signal` of an array; its data are one frame."""
    if values.ndim != 1 or values.dtype.kind not in "iufb" or not len(values):
        message = f"must be one row of real numbers. Received: {values.dtype} of shape {values.shape}."
        raise DataError(message, file=recording, channel=name)
    if not 0 < _float(rate) < 1e9:
        raise DataError(f"`rates` must give its rate in Hz. Received: {rate!r}.", file=recording, channel=name)
    unit = plain_unit(unit or "")
    fields = {"file": "", "format": FORMAT, "offset": 0, "initial": None, "checksum": None, "line": 0}
    shape = {"samples_per_frame": len(values), "rate": float(rate)}
    return Signal(name, unit, bool(unit), gain=1.0, baseline=0, **shape, **fields)
