"""The target of the PhysioNet/CinC Challenge 2018: +1 arousal, 0 none, -1 not scored, for every sample.

Read from `NAME-arousal.mat`, or derived from the events and stages of `NAME.arousal`.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from physiokeras.errors import DataError

UNSCORED = ("resp_centralapnea", "resp_hypopnea", "resp_mixedapnea", "resp_obstructiveapnea")
"""Events around which nothing is scored."""

TARGETS = (
    "arousal_bruxism",
    "arousal_noise",
    "arousal_plm",
    "arousal_rera",
    "arousal_snore",
    "arousal_spontaneous",
    "resp_cheynestokesbreath",
    "resp_hypoventilation",
    "resp_partialobstructive",
)
"""Events that are target arousals."""

_BLOCK = 1 << 20
_LARGEST_CHUNK = 1 << 26


@dataclass(frozen=True)
class Event:
    """A pair of annotations, `(kind` at sample `begin` and `kind)` at sample `end`, as the annotator numbers them."""

    kind: str
    begin: int
    end: int


def pair_events(annotations, last, report):
    """Events from the notes `(kind` and `kind)`.

    What cannot be paired is clipped and reported: an event that is never closed ends at `last`; a closing mark without
    an opening one is left out. Of several open events of one kind, the first to begin is the first to end.

    Args:
        annotations: `Annotations`.
        last: The annotator's number of the record's last sample.
        report: list that receives messages.

    Returns: list of `Event`, by begin.
    """
    opened, events = {}, []
    for sample, note in zip(annotations.samples.tolist(), annotations.notes, strict=True):
        kind = note.strip("()")
        if note.startswith("("):
            if opened.setdefault(kind, []):
                report.append(f"{annotations.path.name}: {kind} at sample {sample} overlaps one at {opened[kind][0]}")
            opened[kind].append(sample)
        elif note.endswith(")"):
            if opened.get(kind):
                events.append(Event(kind, opened[kind].pop(0), sample))
            else:
                report.append(f"{annotations.path.name}: {kind} ends at sample {sample} without a begin; left out")
    for kind, begins in opened.items():
        for begin in begins:
            report.append(f"{annotations.path.name}: {kind} at sample {begin} never ends; clipped to the record's end")
            events.append(Event(kind, begin, last))
    for kind in sorted({event.kind for event in events} - {*UNSCORED, *TARGETS}):
        report.append(f"{annotations.path.name}: unknown event {kind}; kept, without effect on labels")
    return sorted(events, key=lambda event: event.begin)


def derive_targets(events, wakes, rate, frames, *, first_sample=1, wake_margin=10.0, central_after=10.0):
    """The target vector by the Challenge's rules.

    +1 from 2 s before to 2 s after a target arousal, 10 s after where it is a RERA; -1 from 10 s before to 10 s after
    an apnea, a hypopnea or a wake period, which overrides +1; else 0.

    With these defaults the vector of tr03-0005 is met in every sample. That of tr14-0291 is met in every sample with
    `wake_margin=None, central_after=0`: there wake periods count as scored and nothing is left out after central
    apneas. The files do not say which of the two a record follows: prefer its `-arousal.mat`.

    Args:
        events: list of `Event`.
        wakes: list of (begin, end) of wake periods, `end` being the next stage's annotation.
        rate: Hz.
        frames: Samples of the record.
        first_sample: Number that events give to the first sample.
        wake_margin: Seconds around wake periods; None scores them.
        central_after: Seconds after central apneas.

    Returns: int8 `(frames,)`.
    """
    vector = np.zeros(frames, np.int8)

    def paint(begin, end, before, after, value):
        start, stop = begin - first_sample - round(before * rate), end - first_sample + 1 + round(after * rate)
        vector[max(start, 0) : max(stop, 0)] = value

    for event in events:
        if event.kind in TARGETS:
            paint(event.begin, event.end, 2, 10 if event.kind == "arousal_rera" else 2, 1)
    for event in events:
        if event.kind in UNSCORED:
            paint(event.begin, event.end, 10, central_after if event.kind == "resp_centralapnea" else 10, -1)
    if wake_margin is not None:
        for begin, end in wakes:
            paint(begin - 1, end - 1, wake_margin, wake_margin, -1)
    return vector


def read_targets(path, frames):
    """The vector `data/arousals` of a `-arousal.mat` file (HDF5, MATLAB 7.3).

    Everything that HDF5 could be made to do besides is refused before it is read: links to other files, external
    storage, virtual data sets, giant chunks, another length than the record's.

    Returns: int8 `(frames,)` of -1, 0 and 1.
    """
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            return _read(_dataset(file, path, frames), path, frames)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        message = f"must be an HDF5 file (MATLAB 7.3) with /data/arousals: {error}. Restore it."
        raise DataError(message, file=path) from error


def _dataset(file, path, frames):
    def fail(message):
        raise DataError(message, file=path, place="/data/arousals")

    group = file
    for name in ("data", "arousals"):
        if not isinstance(group, h5py.Group):
            fail("must be in a group called data.")
        # Asking h5py whether the name exists would follow the link; this raises KeyError where there is none.
        if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            fail("must be in the file itself. Received: a link.")
        group = group[name]
    data = group
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "fiu" or data.dtype.itemsize > 8:
        fail("must be a data set of numbers.")
    if data.is_virtual or data.external:
        fail("must be stored in the file itself. Received: virtual or external storage.")
    if data.shape not in ((frames, 1), (1, frames), (frames,)):
        fail(f"must have one value for each of the record's {frames} samples. Received: shape {data.shape}.")
    if data.chunks and np.prod(data.chunks, dtype=object) * data.dtype.itemsize > _LARGEST_CHUNK:
        fail(f"chunks may have {_LARGEST_CHUNK} bytes. Received: {data.chunks}.")
    properties = data.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    if not filters <= {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}:
        fail(f"must be stored plain or as gzip. Received: HDF5 filters {sorted(filters)}.")
    return data


def _read(data, path, frames):
    vector = np.empty(frames, np.int8)
    for start in range(0, frames, _BLOCK):
        stop = min(start + _BLOCK, frames)
        block = data[:, start:stop] if data.shape[0] == 1 and data.ndim == 2 else data[start:stop]
        values = np.asarray(block).reshape(-1)
        wrong = np.flatnonzero(~np.isin(values, (-1, 0, 1)))
        if len(wrong):
            message = f"must be -1, 0 or 1. Received: {values[wrong[0]]}."
            raise DataError(message, file=path, place=f"sample {start + wrong[0]}")
        vector[start:stop] = values
    return vector


def per_token(vector, patch, rate, tokens):
    """Target of every token: what most of its scored samples are, arousal in a tie; -1 where none is scored.

    Args:
        vector: `(frames,)` of -1, 0 and 1.
        patch: Seconds of a token.
        rate: Frames per second.
        tokens: How many tokens; frames after the last are left out.

    Returns: `(tokens,)` of -1, 0 and 1.
    """
    edges = np.rint(np.arange(tokens + 1) * patch * rate).astype(np.int64)
    ones, zeros = (np.add.reduceat(vector[: edges[-1]] == value, edges[:-1], dtype=np.int64) for value in (1, 0))
    return np.where(ones + zeros == 0, -1, ones >= zeros).astype(np.int64)
