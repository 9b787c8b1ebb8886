"""Stages and spans: from the marks of a score to the class of each window."""

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.scores.score_files import UNKNOWN, class_reader, far_behind, frames_of
from physiokeras.pipelines.scores.score_marks import EPOCH
from physiokeras.pipelines.scores.stage_names import AMBIGUOUS
from physiokeras.wording import counted

ROUNDING = 0.02
"""Seconds that a window may lack of the share: the clocks of two files differ by some milliseconds."""

_SLIVER = 1.0
"""Seconds by which a mark may reach into the next one, because its length was rounded."""

_REGULAR = 10
"""Steps of one length that show that there is a mark for each epoch, whatever its length."""

_NOTABLE = 0.05
"""Share of the windows with scores above which it is noted that they have no label."""


def stage_vector(annotations, label, header, report=None):
    """Class of every frame: int8 `(frames,)`, -1 where none."""
    vector = np.full(round(header.seconds * header.rate), -1, np.int8)
    for begin, end, value in find_spans(annotations, label, header, [] if report is None else report):
        vector[begin:end] = value
    return vector


def window_classes(annotations, label, header, edges, report):
    """Class of every window: the one that covers the label's share of it; -1 where none does.

    Args:
        annotations: `Annotations`.
        label: `Label` of the kind "stages" or "spans".
        header: `Header` of the record.
        edges: `(windows + 1,)` first frame of each window, and the end of the last.
        report: list that receives messages.
    """
    spans = find_spans(annotations, label, header, report)
    shares = np.stack([_covered(spans, value, edges) for value in range(len(label.classes))])
    best, needed = shares.argmax(axis=0), label.share * np.diff(edges) - ROUNDING * header.rate
    labelled = shares.max(axis=0) >= needed
    report += _lost(shares.sum(axis=0), needed, labelled, annotations, label, header, edges)
    return np.where(labelled, best, -1)


def find_spans(annotations, label, header, report):
    """`(begin, end, class)` in frames of every stretch of one class, in order and without overlaps.

    A mark lasts for its duration; without one, until the next mark of the label or the record's end. Where marks of
    different classes overlap, there is no class.

    Raises:
        DataError: A mark that is none of the label's classes.
    """
    begins, ends, values = _marks(annotations, label, header, report)
    name = annotations.path.name
    if not len(begins):
        report.append(f"{name}: no mark of [labels.{label.name}]")
        return []
    frames = round(header.seconds * header.rate)
    # What lies behind an unfinished record's end is reported where the file is read.
    outside = (ends <= 0) | ((begins >= frames) & (not header.unfinished))
    outside = np.count_nonzero(outside & (values >= 0))
    if outside:
        lie = "lies" if outside == 1 else "lie"
        report.append(
            f"{name}: {counted(outside, 'mark')} of [labels.{label.name}] {lie} before or behind the record; left out"
        )
    report += far_behind(annotations.path, ends[values >= 0], label, header)
    begins, ends = np.clip(begins, 0, frames), np.clip(ends, 0, frames)
    places = np.unique(np.concatenate([begins, ends]))
    covers = np.zeros((len(label.classes) + 1, len(places)), np.int64)
    np.add.at(covers, (values, np.searchsorted(places, begins)), 1)
    np.add.at(covers, (values, np.searchsorted(places, ends)), -1)
    covers = covers.cumsum(axis=1)[:, :-1] > 0
    several = covers.sum(axis=0) > 1
    if several.any():
        seconds, first = np.diff(places)[several].sum() / header.rate, places[:-1][several][0] / header.rate
        rule = f"marks of [labels.{label.name}] contradict each other at the same time for {seconds:g} s"
        report.append(f"{name}: {rule}, from second {first:g} on; these have no class")
    # Index -1 selects the last row, that of unscored marks.
    classes = np.where(several | ~covers[:-1].any(axis=0), -1, covers[:-1].argmax(axis=0))
    spans = zip(places[:-1].tolist(), places[1:].tolist(), classes.tolist(), strict=True)
    return [span for span in spans if span[2] >= 0]


def _marks(annotations, label, header, report):
    """Begin, end and class of every mark: three int64 `(marks,)`, by begin."""
    frames, found = frames_of(annotations, label, header), _classes(annotations, label, header)
    chosen = [place for place, value in enumerate(found) if value is not None]
    begins, end = frames[chosen], round(header.seconds * header.rate)
    following = np.searchsorted(begins, begins, side="right")
    nexts = np.append(begins, end)[following]
    nexts = np.maximum(nexts, begins)
    if annotations.durations is None:
        ends = np.minimum(nexts, begins + _step(begins, label, header))
    else:
        lengths = np.rint(annotations.durations[chosen] * (header.rate / annotations.rate)).astype(np.int64)
        if not lengths.any():
            nexts = np.minimum(nexts, begins + _step(begins, label, header))
        ends = np.where(lengths > 0, begins + lengths, nexts)
        ends = np.where((ends > nexts) & (ends < nexts + _SLIVER * header.rate), nexts, ends)
    return begins, ends, np.array([found[place] for place in chosen], np.int64)


def _step(begins, label, header):
    """Frames that an open mark lasts at most: those of an epoch, where marks follow each other by one epoch.

    Else the last of them would last to the record's end, long after the scoring.
    """
    epoch, steps = (label.epoch or EPOCH) * header.rate, np.diff(np.unique(begins))
    same = len(steps) and np.abs(steps - np.median(steps)).max() <= ROUNDING * header.rate
    regular = same and (len(steps) >= _REGULAR or abs(np.median(steps) - epoch) <= ROUNDING * header.rate)
    return round(np.median(steps)) if regular else np.iinfo(np.int64).max // 2


def _classes(annotations, label, header):
    """Class of every mark: its number, -1 where it is unscored, None where it is no mark of the label.

    Raises:
        DataError: A mark of the label that is none of its classes.
    """
    read, found = class_reader(label, annotations), []
    for place, mark in enumerate(zip(annotations.symbols, annotations.notes, strict=True)):
        found.append(read(mark))
        if found[-1] == UNKNOWN:
            names = ", ".join([*label.classes, *label.mapping, *label.unscored])
            message = f"a mark of [labels.{label.name}] must be one of {names}. Received: {mark[1]!r:.80}."
            way = "Add it to `mapping`, `unscored` or, where it is no mark of this label, `ignore`."
            if mark[1] == AMBIGUOUS and label.kind == "stages":
                way = f"It is REM in YASA's numbers, stage 4 in others: write mapping = {{ {AMBIGUOUS} = ... }}."
            frame = frames_of(annotations, label, header)[place]
            raise DataError(f"{message} {way}", file=annotations.path, place=annotations.place(place, frame))
    return found


def _covered(spans, value, edges):
    """Frames of each window that spans of one class cover."""
    chosen = [(begin, end) for begin, end, other in spans if other == value]
    if not chosen:
        return np.zeros(len(edges) - 1)
    places = np.array(chosen).reshape(-1)
    lengths = np.diff(places, prepend=0) * (np.arange(len(places)) % 2)
    return np.diff(np.interp(edges, places, lengths.cumsum()))


def _lost(scored, needed, labelled, annotations, label, header, edges):
    """A line where many windows with scores have no label, and why."""
    windows, lost = np.count_nonzero(scored), np.count_nonzero((scored > 0) & ~labelled)
    if not windows or (lost <= max(1, _NOTABLE * windows) and labelled.any()):
        return
    two = np.count_nonzero((scored >= needed) & ~labelled)
    window, start = (edges[1] - edges[0]) / header.rate, edges[0] / header.rate
    offset = (grid_start(annotations, label, header, window) - start) % window
    marked = f"{counted(windows, 'window')} with marks of [labels.{label.name}]"
    text = f"{annotations.path.name}: {lost} of {marked} without a label"
    why = [f"in {two} two classes meet"] * bool(two)
    why += [f"{lost - two} {'holds' if lost - two == 1 else 'hold'} too little of one"] * bool(lost - two)
    text += f": {', '.join(why)}"
    yield text + (f"; the scoring's grid begins {offset:g} s off the windows, see `grid`" if offset else "")


def grid_of(seconds, window):
    """Seconds by which marks begin after a multiple of the window; 0.0 where that is rounding, or most share none."""
    rests, counts = np.unique(np.round(seconds % window, 2) % window, return_counts=True)
    offset = float(rests[counts.argmax()])
    return 0.0 if min(offset, window - offset) <= ROUNDING or counts.max() <= len(seconds) / 2 else offset


def grid_start(annotations, label, header, window):
    """Seconds after the record's start at which the first window on the grid of a label's marks begins."""
    found = _classes(annotations, label, header)
    begins = frames_of(annotations, label, header)[[value is not None for value in found]]
    return grid_of(begins / header.rate, window) if len(begins) else 0.0
