"""Where the data records of an EDF+ file lie in time: without gaps, or in runs with gaps between them."""

import math

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.edf_plus import Layout
from physiokeras.wording import counted

JUMP = 0.1
"""Seconds by which a data record may begin late before that is a gap; recorders write times with some jitter."""

_NOTABLE = 0.5
_PROBED = 64
_LONGEST = 4 * 86400.0
_LARGEST = 1e8
"""Most seconds, and samples of a channel, of a recording that is gaps for the most part."""


def find_runs(path, duration, records, fastest, *, gaps_expected):
    """Runs of data records that follow each other without a gap.

    EDF+ keeps the time of each data record. Where those of some, spread over the file, lie where a continuous recording
    has them, the others are not read: records never overlap, so nothing can lie between.

    Args:
        path: An EDF or EDF+ file with signals.
        duration: Seconds of a data record.
        records: Number of data records.
        fastest: Hz of its fastest signal; what gaps would take is bounded by it.
        gaps_expected: Whether the header says EDF+D, so that times are needed.

    Returns: `(runs, notes)`: tuple of (first data record, seconds from the first), one run where there is no gap.

    Raises:
        DataError: Data records that overlap, times that are missing where they are needed, or gaps too long to fill.
    """
    layout = Layout.of(path)
    if not layout.slots:
        if gaps_expected:
            raise DataError("EDF+D must keep the time of each data record. Received: no annotations.", file=path)
        return ((0, 0.0),), []
    probed = np.unique(np.linspace(0, records - 1, _PROBED).astype(int))
    late = _late(layout, probed, duration)
    missing = np.isnan(late)
    constant = records > 2 and np.ptp(late + probed * duration) == 0
    if not gaps_expected and (missing.any() or constant) and (constant or np.all(np.abs(late[~missing]) <= JUMP)):
        return ((0, 0.0),), [f"{path.name}: not all of its data records keep the time; taken as continuous"]
    if np.abs(late).max() <= JUMP:  # false where one is NaN
        return ((0, 0.0),), []
    late = _late(layout, np.arange(records), duration)
    missing = np.flatnonzero(np.isnan(late))
    if len(missing):
        rule = "each data record must keep its time, where the file says that there are gaps"
        raise DataError(f"{rule}. Received: none.", file=path, place=f"data record {missing[0]}")
    runs = [(0, 0.0)]
    for number in np.flatnonzero(np.abs(np.diff(late, prepend=0.0)) > 1e-4).tolist():
        if late[number] - late[max(number - 1, 0)] < -JUMP:
            rule = "data records must follow each other in time"
            raise DataError(f"{rule}. This one begins before the last ended.", file=path, place=f"data record {number}")
        first, begin = runs[-1]
        if late[number] - (begin - first * duration) > JUMP:
            runs.append((number, float(late[number] + number * duration)))
    return tuple(runs), _notes(path, runs, late, duration, records, fastest)


def _late(layout, numbers, duration):
    """Seconds by which data records begin later than in a continuous recording."""
    onsets = np.array([layout.onset(number) for number in numbers])
    return onsets - onsets[0] - numbers * duration


def _notes(path, runs, late, duration, records, fastest):
    seconds = runs[-1][1] + (records - runs[-1][0]) * duration
    if seconds > max(min(_LONGEST, _LARGEST / fastest), 2 * records * duration):
        message = f"{records * duration:.0f} s recorded over {seconds:.0f} s; split it at its longest gaps"
        raise DataError(f"the gaps between data records are too long: {message}.", file=path)
    notes = []
    if len(runs) > 1:
        lost = late[-1] if math.isfinite(late[-1]) else 0.0
        notes.append(
            f"{path.name}: {counted(len(runs) - 1, 'gap')} between data records, {lost:.1f} s in all: missing data"
        )
    if late.min() < -_NOTABLE:
        notes.append(f"{path.name}: its clock runs {-late.min():.1f} s ahead of its data records; left as they are")
    return notes


def spread(values, rate, runs, duration, seconds):
    """Put each run of a channel at its time.

    Args:
        values: `(samples,)` float32, run after run.
        rate: Hz.
        runs: From `find_runs`.
        duration: Seconds of a data record.
        seconds: Length of the recording with its gaps.

    Returns: `(samples,)` float32, NaN in the gaps.
    """
    if len(runs) == 1:
        return values
    result = np.full(round(seconds * rate), np.nan, np.float32)
    ends = [*(round(first * duration * rate) for first, _ in runs[1:]), len(values)]
    for (first, begin), end in zip(runs, ends, strict=True):
        piece = values[round(first * duration * rate) : end]
        place = round(begin * rate)
        result[place : place + len(piece)] = piece[: max(0, len(result) - place)]
    return result
