"""Nights in memory: windows and labels of a recording, or of a record of a prepared folder."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.experiments.training_set import identity_of, identity_of_record
from physiokeras.pipelines.converting.sources import differing, fingerprint
from physiokeras.pipelines.labels.window_labels import arousals_by_token, first_window, read_labels
from physiokeras.pipelines.readers.clock import start_of
from physiokeras.pipelines.readers.records import read_header
from physiokeras.pipelines.signals.channels import record_windows


@dataclass(frozen=True)
class Night:
    """A recording, cut into windows.

    Args:
        name: Its name.
        signals: Modality to int16 `(windows, samples, channels)` as stored, or floats in scaled units.
        present: Boolean `(windows, channels)`, modality by modality in the order of `signals`.
        window: Seconds per window.
        start: Seconds of the recording before the first window.
        clock: Date and time of the recording's start, or None.
        labels: Label name to `(windows,)`, those of a scorer; "arousal_second" to `(seconds,)`.
        channels: One dict a channel: its quality, as `physiokeras.pipelines.signals.channels.record_windows` finds it.
        notes: Sentences about the recording.
        sources: Files that it was made from, name to size, times and SHA-256.
        identity: What it is recognised by, see `physiokeras.experiments.training_set`, or None.
    """

    name: str
    signals: dict[str, np.ndarray]
    present: np.ndarray
    window: float
    start: float = 0.0
    clock: datetime | None = None
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    channels: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    sources: dict = field(default_factory=dict)
    identity: str | None = None

    def __len__(self):
        """Number of windows."""
        return len(self.present)

    @property
    def starts(self) -> np.ndarray:
        """Seconds from the recording's start to each window, `(windows,)`."""
        return self.start + np.arange(len(self)) * self.window


def read_night(path, definition, people, strict=True, sums=None, seconds=False):
    """Read, filter, resample, scale and cut a recording as a conversion does.

    Args:
        path: Its header or file.
        definition: `Definition`.
        people: Record name to `Person`.
        strict: Whether a wrong checksum is an error; else a note.
        sums: SHA-256 that its files must have, by file name.
        seconds: Whether to read the scorer's arousals of single seconds, as the label "arousal_second".

    Returns: `Night`.

    Raises:
        DataError: The recording breaks a rule.
    """
    path = Path(path)
    sources = fingerprint(path, definition)
    doubts = differing(path, sources, sums or {}, strict)
    header = read_header(path)
    start = first_window(header, definition)
    notes = [*doubts, *header.notes]
    labels = read_labels(header, definition, people, notes, start)
    signals, present, channels = record_windows(header, definition, strict=strict, start=start)
    if not present.any():
        why = "; ".join(f"{channel['channel']}: {', '.join(channel['notes'])}" for channel in channels)
        raise DataError(f"no channel is usable in any window. {why[:400]}", file=header.path)
    if seconds:
        labels |= arousals_by_token(header, definition, start, len(present))
    facts = {"clock": start_of(path), "labels": labels, "channels": channels, "notes": notes, "sources": sources}
    facts["identity"] = identity_of(sources)
    return Night(header.name, signals, present, definition.window, start, **facts)


def night_or_reason(*arguments):
    """`read_night`, or why it cannot be read, a text. Runs in a worker."""
    try:
        return read_night(*arguments)
    except (DataError, OSError) as error:
        return str(error)
    except Exception as error:
        return f"{arguments[0]}: unexpected {type(error).__name__}: {error}"


def prepared_night(manifest, name):
    """A record of a prepared folder.

    Args:
        manifest: `Manifest`.
        name: The record's name.

    Returns: `Night`.

    Raises:
        DataError: Its shard is damaged or missing.
    """
    from physiokeras.pipelines import windows

    (record,) = manifest.select(records=[name])
    found = windows(manifest, records=[name], modalities=list(manifest.modalities), labels=list(manifest.labels))
    return Night(
        name,
        {modality: found[modality] for modality in manifest.modalities},
        found["present"],
        float(manifest.definition["window"]),
        record.start,
        labels={label: found[label] for label in manifest.labels},
        channels=record.channels,
        notes=record.notes,
        sources=shard_sources(record),
        identity=identity_of_record(manifest, name),
    )


def prepared_night_or_reason(manifest, name):
    """`prepared_night`, or why it cannot be read, a text. Runs in a worker."""
    try:
        return prepared_night(manifest, name)
    except (DataError, OSError) as error:
        return str(error)


def shard_sources(record):
    """`Night.sources` of a record of a prepared folder: its shard."""
    return {f"{record.name}.tfrecord": {"size": record.bytes, "sha256": record.sha256}}
