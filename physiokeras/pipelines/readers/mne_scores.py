"""Annotations that MNE-Python reads, as scores in the time of a recording."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.clock import file_start
from physiokeras.pipelines.readers.mne_files import (
    NIHON,
    SUFFIXES,
    check_structure,
    import_mne,
    is_structure,
    listen,
    open_raw,
    read_mne_header,
)
from physiokeras.pipelines.readers.timed_marks import timed_marks

ANNOTATED = (*SUFFIXES, NIHON, ".vmrk")
"""Extensions, in lower case, of the files whose annotations are read through MNE."""

_SAME = 1e-4
"""Seconds within which two marks begin together."""

_OPEN = 43200.0
"""Seconds that a mark without a length lasts at most, where none follows."""

_IN_SAMPLES = (".vhdr", ".ahdr", ".vmrk")
"""Those whose marks count samples, pauses left out."""


def read_mne_annotations(path, header):
    """The annotations of a file that MNE reads: of a recording, or a file of annotations alone.

    Where it and the recording both have a date, the dates decide; else both begin together.

    Args:
        path: The file; may be the recording's own.
        header: `Header` of the recording.

    Returns: `Annotations`; what tells of pauses and joints is left out.

    Raises:
        DataError: A file that MNE cannot read, or none of whose marks meets the recording.
    """
    mne = import_mne(path)
    if path == header.path:
        raw, _ = open_raw(path)
        return marks_of(raw.annotations, -raw.first_time, path, header)
    check_structure(path)
    found, notes = listen(path, lambda: mne.read_annotations(path))
    origin = 0.0 if path.suffix.lower() == ".vmrk" else _seconds_before(found.orig_time, header)
    return marks_of(found, origin, path, header, notes)


def marks_of(found, origin, path, header, notes=()):
    """`Annotations` of an `mne.Annotations`.

    Args:
        found: `mne.Annotations`.
        origin: Seconds to add to its times, so that they count from the recording's first sample.
        path: What they were read from.
        header: `Header` of the recording.
        notes: Messages.
    """
    keep = [place for place, text in enumerate(found.description) if not is_structure(text)]
    if not keep:
        message = "must hold annotations. Received: none. Remove it where nothing was annotated, or correct `file`."
        raise DataError(message, file=path)
    onsets, durations = found.onset[keep] + origin, found.duration[keep]
    if Path(path).suffix.lower() in _IN_SAMPLES and header.path.suffix.lower() in _IN_SAMPLES:
        onsets = _with_pauses(onsets, read_mne_header(header.path))
    ends = onsets + np.where(durations > 0, durations, _OPEN)
    if onsets.min() > header.seconds or ends.max() < 0:
        message = f"no mark meets the recording: they lie {onsets.min():g} to {onsets.max():g} s from its start"
        raise DataError(f"{message}. Is it another night's?", file=path)
    left = _left_by_crops(onsets, durations)
    lost = f"{path.name}: {left.sum()} marks that end where the recording begins are left out"
    report = [*notes, lost] if left.any() else notes
    texts = [str(found.description[place]) for place, out in zip(keep, left, strict=True) if not out]
    return timed_marks(path, onsets[~left], durations[~left], texts, report)


def _left_by_crops(onsets, durations):
    """Marks of no length at the first sample, where one with a length begins: `mne.io.Raw.crop` leaves such."""
    first = np.abs(onsets) < _SAME
    return first & (durations == 0) & np.any(first & (durations > 0))


def _seconds_before(start, header):
    """Seconds from a recording's first sample to `start`, a moment or None; 0 where either is unknown."""
    own = None if start is None else file_start(header.path)
    if own is None or not own.dated:
        return 0.0
    start = start if isinstance(start, datetime) else datetime.fromtimestamp(float(start), UTC)
    return (start - own.moment.replace(tzinfo=UTC)).total_seconds() - own.first


def _with_pauses(onsets, facts):
    """Times of samples, counted without pauses, in the recording's time."""
    firsts, begins = (np.array(values, float) for values in zip(*facts["runs"], strict=True))
    firsts /= facts["rate"]
    run = np.maximum(np.searchsorted(firsts, onsets + 1e-9, side="right") - 1, 0)
    return begins[run] + onsets - firsts[run]
