"""The labels of a record's windows, by the rules of its definition."""

from dataclasses import replace

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.annotations import read_annotations
from physiokeras.pipelines.challenge import derive_targets, pair_events, read_targets
from physiokeras.pipelines.edf import read_edf_annotations
from physiokeras.pipelines.label_tables import table_label
from physiokeras.pipelines.parts import NUMBER_KINDS, TABLE_KINDS
from physiokeras.pipelines.people import Person, read_people

__all__ = ["Person", "label_dtype", "read_labels", "read_people"]

BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""WFDB's symbols of heart beats."""


def label_dtype(label):
    """NumPy type of a `Label`: float32 for ages and numbers (NaN unknown), int32 for classes (-1 none)."""
    return np.float32 if label.kind in NUMBER_KINDS else np.int32


def read_labels(header, definition, people, report=None):
    """Every label that the definition asks for.

    A record without the annotation file is unlabelled, which is reported. Windows before the first mark, and those in
    which two classes meet, have no stage and no span.

    Args:
        header: `Header` of the record.
        definition: `Definition`.
        people: dict record name -> `Person`, from `physiokeras.pipelines.label_tables.read_tables`.
        report: list that receives messages.

    Returns: dict label name -> `(windows,)`, int32 (-1 none) or, for ages and numbers, float32 (NaN unknown).

    Raises:
        DataError: An annotation file that is damaged or says what cannot be; a table without a row for the record.
    """
    report = [] if report is None else report
    if header.path.suffix != ".hea":
        # The data records of EDF last up to 30 s: too coarse a clock for labels.
        rate = max(signal.rate for signal in header.signals)
        header = replace(header, rate=rate, frames=round(header.seconds * rate))
    windows = definition.windows(header.seconds)
    edges = np.rint(np.arange(windows + 1) * definition.window * header.rate).astype(np.int64)
    rules = {"stages": _spans, "spans": _spans, "arousal": _arousals, "beats": _beats}
    labels = {}
    for name, label in definition.labels.items():
        if label.kind == "age":
            labels[name] = np.full(windows, people.get(header.name, Person()).age, np.float32)
        elif label.kind in TABLE_KINDS:
            labels[name] = np.full(windows, table_label(header, label, people), label_dtype(label))
        else:
            labels[name] = rules[label.kind](header, label, edges, report).astype(np.int32)
    if "age" in {label.kind for label in definition.labels.values()} and header.name not in people:
        report.append(f"{header.name}: not in the table of people; age and sex unknown")
    return labels


def annotation_file(path, label):
    """The annotation file of a record and a `Label`, or None where it has none.

    Raises:
        DataError: Several files match the label's pattern.
    """
    if label.file is None:
        file = path.with_suffix(f".{label.annotator}")
        return file if label.annotator and file.exists() else None
    pattern = label.file.format(record=path.stem)
    files = sorted(path.parent.glob(pattern))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"one file must match [labels.{label.name}] file = {pattern!r}. Received: {names}.", file=path)
    return files[0] if files else None


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


def stage_vector(annotations, label, header, report=None):
    """Class of every frame: int8 `(frames,)`, -1 where none.

    A class lasts until the next mark, or to the record's end, or as long as the annotation says.
    """
    vector = np.full(header.frames, -1, np.int8)
    for begin, end, value in _marks(annotations, label, header, [] if report is None else report):
        vector[begin:end] = value
    return vector


def _spans(header, label, edges, report):
    annotations = _annotations(header, label, report)
    if annotations is None:
        return np.full(len(edges) - 1, -1)
    vector = stage_vector(annotations, label, header, report)
    shares = np.stack([_count(vector == value, edges) for value in range(len(label.classes))])
    best = shares.argmax(axis=0)
    return np.where(shares.max(axis=0) >= label.share * np.diff(edges), best, -1)


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
    annotations = _annotations(header, label, report)
    events = [] if annotations is None else _events(annotations, label, header, report)
    path = header.path.with_name(f"{header.name}{label.vector}") if label.vector else None
    if path is not None and path.exists():
        refuse_link_out(path, header.path.parent)
        return read_targets(path, header.frames)
    return None if annotations is None else targets_of(annotations, events, label, header)


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
    annotations = _annotations(header, label, report)
    result = np.full(len(edges) - 1, -1)
    if annotations is None:
        return result
    symbols = np.array(annotations.symbols)
    beats = np.isin(symbols, list(BEATS))
    window = np.searchsorted(edges, _frames(annotations, label, header)[beats], side="right") - 1
    symbols, window = symbols[beats][window < len(result)], window[window < len(result)]
    result[window] = 0
    result[window[~np.isin(symbols, label.normal)]] = -1
    result[window[np.isin(symbols, label.abnormal)]] = 1
    return result


def _annotations(header, label, report):
    """The label's annotations, or None where the record has no such file."""
    path = annotation_file(header.path, label)
    if path is None:
        wanted = label.file or f"{header.name}.{label.annotator}"
        report.append(f"{header.name}: no {wanted}; without the label {label.name}")
        return None
    refuse_link_out(path, header.path.parent)
    edf = path.suffix.lower() == ".edf"
    annotations = read_edf_annotations(path, header.path) if edf else read_annotations(path)
    beyond = np.flatnonzero(_frames(annotations, label, header) > header.frames)
    if len(beyond):
        sample = annotations.samples[beyond[0]]
        message = f"must lie in the record, which ends at {header.seconds:g} s. Is it another record's?"
        raise DataError(message, file=path, place=f"sample {sample}")
    return annotations


def _frames(annotations, label, header):
    """Frame of every annotation, counted from 0."""
    samples = np.maximum(annotations.samples - label.first_sample, 0)
    return np.rint(samples * (header.rate / (annotations.rate or header.rate))).astype(np.int64)


def _marks(annotations, label, header, report):
    """Begin, end and class of every span; events `(x` and `x)`, and what lacks the prefix, are no marks."""
    known = {name: value for value, name in enumerate(label.classes)}
    known |= {text: known[name] for text, name in label.mapping.items()} | dict.fromkeys(label.unscored, -1)
    marks, events = [], {}
    frames = _frames(annotations, label, header).tolist()
    for frame, last, note in zip(frames, _lasts(annotations, header, frames), annotations.notes, strict=True):
        if not note or note.startswith("(") or note.endswith(")"):
            continue
        if not note.startswith(label.prefix):
            events[note] = events.get(note, 0) + 1
            continue
        note = note.removeprefix(label.prefix)
        if note not in known:
            rule = f"a mark of [labels.{label.name}] must be one of {', '.join(known)}"
            message = f"{rule}. Received: {note!r}. Add it to `mapping` or `unscored`."
            raise DataError(message, file=annotations.path, place=f"sample {frame}")
        marks.append((frame, last, known[note]))
    name = annotations.path.name
    report += [f"{name}: {count} x {note!r}, without effect on labels" for note, count in events.items()]
    if not marks:
        report.append(f"{name}: no mark of [labels.{label.name}]")
    nexts = [*(frame for frame, _, _ in marks[1:]), header.frames]
    return [(begin, min(last, end), value) for (begin, last, value), end in zip(marks, nexts, strict=False)]


def _lasts(annotations, header, frames):
    """Frame at which each annotation ends by itself; the record's end where it does not say."""
    if annotations.durations is None:
        return [header.frames] * len(frames)
    lengths = np.rint(annotations.durations * (header.rate / annotations.rate)).astype(np.int64).tolist()
    return [frame + length if length else header.frames for frame, length in zip(frames, lengths, strict=True)]


def _count(mask, edges):
    """Frames of each window in which `mask` holds."""
    if len(edges) < 2:
        return np.zeros(0, np.int64)
    return np.add.reduceat(mask[: edges[-1]], edges[:-1], dtype=np.int64)
