"""Report on one record: the result of its conversion, without writing it."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.recordings import about_people, recordings_of
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.labels.window_labels import first_window, read_labels
from physiokeras.pipelines.readers.records import Header, read_header
from physiokeras.pipelines.scores.score_files import has_scores
from physiokeras.pipelines.signals.channels import is_absent, record_windows
from physiokeras.wording import counted

_ENOUGH = 0.5
"""Share of windows below which a modality is called mostly absent."""


@dataclass(frozen=True, repr=False)
class Inspection:
    """One record, as far as it could be read.

    Attributes:
        path: Its header.
        definition: `Definition` that it was read by.
        error: Why a conversion would set it aside, or None.
        header: `Header`, or None where it cannot be read.
        windows: How many there are.
        channels: One dict a channel of the definition, as `record_windows` gives them; empty where none could be read.
        modalities: Modality -> share of windows in which any of its channels is usable.
        labels: Label -> `(windows,)`.
        notes: What was found besides.
        unscored: Names of labels for which it has no scores at all.
    """

    path: Path
    definition: Definition
    error: str | None = None
    header: Header | None = None
    windows: int = 0
    channels: tuple = ()
    modalities: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    notes: tuple = ()
    unscored: tuple = ()

    def __repr__(self):
        """Verdict, size and modalities, in a few lines."""
        lines = [f"Inspection of {self.name}: {self.verdict_text}"]
        if self.channels:
            shares = ", ".join(f"{name} in {share:.0%} of the windows" for name, share in self.modalities.items())
            lines.append(f"{counted(self.windows, 'window')} of {self.definition.window:g} s; {shares}")
        lines += [f"label {label_text(self, name)}" for name in dict(self.labels)]
        more = [counted(len(found), thing) for thing, found in (("doubt", self.doubts), ("note", self.notes)) if found]
        return "\n  ".join([*lines, *(["; ".join(more)] if more else [])])

    @property
    def name(self) -> str:
        """The record's name."""
        return self.path.stem

    @property
    def doubts(self) -> list[str]:
        """Sentences on what a person should look at before trusting what a model says of this record."""
        found, single = [], []
        for name, share in dict(self.modalities).items():
            channels = [channel for channel in self.channels if channel["modality"] == name]
            noted = [
                f"{channel['channel']}: {', '.join(channel['notes'])}"
                for channel in channels
                if channel["notes"] and not is_absent(channel)
            ]
            if all(map(is_absent, channels)):
                found.append(f"{name} is absent: none of its names is in the header; see `alias` in the definition")
            elif share < _ENOUGH:
                found.append("; ".join([f"{name} is usable in {share:.0%} of the windows", *noted]))
            else:
                single += noted
        for name, values in dict(self.labels).items():
            if self.windows and name not in self.unscored and not _known(values).any():
                single.append(f"no window has the label {name}")
        return found + single

    @property
    def verdict(self) -> str:
        """One word: "good", "doubtful" or "unusable"."""
        return "unusable" if self.error else "doubtful" if self.doubts else "good"

    @property
    def verdict_text(self) -> str:
        """The verdict and its first reason."""
        reason = self.error or next(iter(self.doubts), None)
        return f"{self.verdict}: {reason}" if reason else self.verdict


def inspect_record(path: Any, definition: Definition | str | os.PathLike, people: dict | None = None) -> Inspection:
    """Read a record as a conversion would, and go on past a contradiction between header and samples.

    Args:
        path: Its header; or a `Recording`, or an `mne.io.Raw`.
        definition: `Definition`, a shipped name, or the path of a TOML file.
        people: As `physiokeras.pipelines.people.label_tables.read_tables` gives it; default: nothing is known.

    Returns: `Inspection`; nothing that is wrong with the record raises.
    """
    if not isinstance(definition, Definition):
        definition = Definition.read(definition)
    recordings = recordings_of(path)
    if recordings is None:
        return _inspect(Path(path), definition, people or {})
    if len(recordings) > 1:
        raise ValueError(f"`path` must be one recording. Received: {len(recordings)}.")
    return _inspect(recordings[0], *about_people(recordings, definition))


def _inspect(path, definition, people):
    facts = {"path": path, "definition": definition}
    try:
        header = facts["header"] = read_header(path)
        start = first_window(header, definition)
        facts["windows"] = definition.windows(header.seconds - start)
        try:
            _, present, channels = record_windows(header, definition, start=start)
        except DataError as error:
            facts["error"] = str(error)
            _, present, channels = record_windows(header, definition, strict=False, start=start)
        facts |= {"channels": tuple(channels), "modalities": _shares(present, definition)}
        notes = list(header.notes)
        facts["labels"] = read_labels(header, definition, people, notes, start)
        facts["notes"] = tuple(notes)
        scored = {name: label for name, label in definition.labels.items() if label.is_annotated}
        facts["unscored"] = tuple(name for name, label in scored.items() if not has_scores(header, label))
    except (DataError, OSError) as error:
        facts.setdefault("error", str(error))
    return Inspection(**facts)


def label_text(found, name):
    """A label of an `Inspection` in words: its name, and how many windows have each class."""
    counts = label_counts(found.labels[name], found.definition.labels[name].classes)
    return f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())


def label_counts(values, classes):
    """Class name -> windows, "none" for those without; for a float label how many windows have it."""
    if np.issubdtype(values.dtype, np.floating):
        return {"known": int(_known(values).sum()), "none": int((~_known(values)).sum())}
    names = classes or ("negative", "positive")
    counts = Counter(values.tolist())
    return {name: counts[number] for number, name in enumerate(names)} | {"none": counts[-1]}


def _known(values):
    return np.isfinite(values) if np.issubdtype(values.dtype, np.floating) else values >= 0


def _shares(present, definition):
    shares, start = {}, 0
    for name, modality in definition.modalities.items():
        stop = start + len(modality.channels)
        shares[name] = float(present[:, start:stop].any(axis=1).mean())
        start = stop
    return shares
