"""The labels of a record's windows, by the rules of its definition."""

from dataclasses import replace

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.definitions.parts import NUMBER_KINDS, TABLE_KINDS
from physiokeras.pipelines.labels.challenge import derive_targets, pair_events, per_token, read_targets
from physiokeras.pipelines.labels.spans import grid_start, stage_vector, window_classes
from physiokeras.pipelines.labels.window_events import window_events
from physiokeras.pipelines.people.label_tables import table_label
from physiokeras.pipelines.people.people import Person, read_people
from physiokeras.pipelines.readers.edf import TICKS
from physiokeras.pipelines.scores.score_files import BEATS, annotation_file, frames_of, scores, unused_marks

__all__ = ["Person", "annotation_file", "first_window", "label_dtype", "read_labels", "read_people", "stage_vector"]


AROUSAL_SECOND = "arousal_second"
"""Name of the label, and of the task, of arousals by the second."""


def label_dtype(label):
    """NumPy type of a `Label`: float32 for ages and numbers (NaN unknown), int32 for classes (-1 none)."""
    return np.float32 if label.kind in NUMBER_KINDS else np.int32


def read_labels(header, definition, people, report=None, start=0.0):
    """Every label that the definition asks for.

    A record without the annotation file is unlabelled, which is reported, as are annotations that no label uses.
    Windows before the first mark, and those in which two classes meet, have no stage and no span.

    Args:
        header: `Header` of the record.
        definition: `Definition`.
        people: dict record name -> `Person`, from `physiokeras.pipelines.people.label_tables.read_tables`.
        report: list that receives messages.
        start: Seconds after the record's start at which the first window begins.

    Returns: dict label name -> `(windows,)`, int32 (-1 none) or, for ages and numbers, float32 (NaN unknown).

    Raises:
        DataError: An annotation file that is damaged or says what cannot be; a table without a row for the record.
    """
    report, found = [] if report is None else report, []
    windows = definition.windows(header.seconds - start)
    rules = {"stages": _spans, "spans": _spans, "arousal": _arousals, "beats": _beats, "events": _events_of_windows}
    labels = {}
    for name, label in definition.labels.items():
        if label.kind == "age":
            labels[name] = np.full(windows, people.get(header.name, Person()).age, np.float32)
        elif label.kind in TABLE_KINDS:
            labels[name] = np.full(windows, table_label(header, label, people), label_dtype(label))
        else:
            clock = _clock(header, label)
            edges = np.rint((start + np.arange(windows + 1) * definition.window) * clock.rate).astype(np.int64)
            labels[name] = rules[label.kind](clock, label, edges, found).astype(np.int32)
    if "age" in {label.kind for label in definition.labels.values()} and header.name not in people:
        found.append(f"{header.name}: not in the table of people; age and sex unknown")
    report += dict.fromkeys([*found, *unused_marks(header, definition)])
    return labels


def first_window(header, definition):
    """Seconds after the record's start at which its first window begins: where the grid of `definition.grid` does."""
    label = definition.labels.get(definition.grid)
    annotations = scores(_clock(header, label), label, []) if label else None
    return grid_start(annotations, label, _clock(header, label), definition.window) if annotations else 0.0


def _clock(header, label):
    """The header, its frames as fine as labels need them: the data records of EDF last up to 30 s."""
    if header.path.suffix.lower() == ".hea":
        return header
    rate = max(signal.rate for signal in header.signals) if label.kind == "arousal" else TICKS
    gaps = header.seconds - header.frames / header.rate
    return replace(header, rate=rate, frames=round(header.seconds * rate), runs=((0, 0.0),), gaps=gaps)


def arousal_labels(targets, edges, rate, positive=1.0, scored=15.0):
    """Label windows by the Challenge's targets.

    Args:
        targets: int8 `(frames,)` of +1 arousal, 0 none, -1 not scored.
        edges: `(windows + 1,)` first frame of each window, and the end of the last.
        rate: Hz.
        positive: Least seconds of +1 in a positive window.
        scored: Least seconds of 0 in a negative window, which has no +1.

    Returns: `(windows,)`, 1 positive, 0 negative, -1 neither.
    """
    arousal, quiet = (_count(targets == value, edges) / rate for value in (1, 0))
    return np.where(arousal >= positive - 1e-9, 1, np.where((arousal == 0) & (quiet >= scored - 1e-9), 0, -1))


def _spans(header, label, edges, report):
    annotations = scores(header, label, report)
    if annotations is None:
        return np.full(len(edges) - 1, -1)
    return window_classes(annotations, label, header, edges, report)


def _events_of_windows(header, label, edges, report):
    annotations = scores(header, label, report)
    if annotations is None:
        return np.full(len(edges) - 1, -1)
    return window_events(annotations, label, header, edges, report)


def arousal_targets(header, label, report=None):
    """The Challenge's target of every sample: from `-arousal.mat` where there is one, else derived from annotations.

    Args:
        header: `Header` of the record.
        label: `Label` of the kind "arousal".
        report: list that receives messages.

    Returns: int8 `(frames,)` of +1 arousal, 0 none, -1 not scored; None where the record has neither file.

    Raises:
        DataError: A file that is damaged or says what cannot be.
    """
    report = [] if report is None else report
    annotations = scores(header, label, report)
    events = [] if annotations is None else _events(annotations, label, header, report)
    path = header.path.with_name(f"{header.name}{label.vector}") if label.vector and not header.recording else None
    if path is not None and path.exists():
        refuse_link_out(path, header.path.parent)
        return read_targets(path, header.frames)
    return None if annotations is None else targets_of(annotations, events, label, header)


def arousals_by_token(header, definition, start, windows):
    """A scorer's arousals of every token of a recording, such as every second.

    Args:
        header: Its `Header`.
        definition: `Definition`.
        start: Seconds of the recording before the first window.
        windows: Number of windows.

    Returns: `AROUSAL_SECOND` to `(tokens,)` of -1, 0 and 1; empty where there is no scoring.
    """
    label = next((one for one in definition.labels.values() if one.kind == "arousal"), None)
    vector = None if label is None else arousal_targets(header, label)
    if vector is None or not windows:
        return {}
    patch, tokens = definition.window / definition.tokens, windows * definition.tokens
    return {AROUSAL_SECOND: per_token(vector[round(start * header.rate) :], patch, header.rate, tokens)}


def _arousals(header, label, edges, report):
    targets = arousal_targets(header, label, report)
    if targets is None:
        return np.full(len(edges) - 1, -1)
    return arousal_labels(targets, edges, header.rate, label.positive, label.scored)


def targets_of(annotations, events, label, header, **rules):
    """The Challenge's target vector, derived from annotations; `rules` go to `challenge.derive_targets`."""
    notes = [(sample, note) for sample, note in zip(annotations.samples.tolist(), annotations.notes, strict=True)
             if note and "(" not in note and ")" not in note]  # fmt: skip
    ends = [*(sample for sample, _ in notes[1:]), header.frames + label.first_sample]
    wakes = [(begin, end) for (begin, note), end in zip(notes, ends, strict=False) if note == "W"]
    return derive_targets(events, wakes, header.rate, header.frames, first_sample=label.first_sample, **rules)


def _events(annotations, label, header, report):
    if annotations.rate not in (None, header.rate):
        message = f"must count in the record's samples, {header.rate:g} per second. Received: {annotations.rate:g}."
        raise DataError(message, file=annotations.path)
    return pair_events(annotations, header.frames - 1 + label.first_sample, report)


def _beats(header, label, edges, report):
    annotations = scores(header, label, report)
    result = np.full(len(edges) - 1, -1)
    if annotations is None:
        return result
    symbols = np.array(annotations.symbols)
    beats = np.isin(symbols, list(BEATS))
    window = np.searchsorted(edges, frames_of(annotations, label, header)[beats], side="right") - 1
    inside = (window >= 0) & (window < len(result))
    symbols, window = symbols[beats][inside], window[inside]
    result[window] = 0
    result[window[~np.isin(symbols, label.normal)]] = -1
    result[window[np.isin(symbols, label.abnormal)]] = 1
    return result


def _count(mask, edges):
    """Frames of each window in which `mask` holds."""
    if len(edges) < 2:
        return np.zeros(0, np.int64)
    return np.add.reduceat(mask[: edges[-1]], edges[:-1], dtype=np.int64)
