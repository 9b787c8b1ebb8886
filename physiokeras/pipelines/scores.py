"""The annotation files of a record: which they are, their marks in the record's time, and those that no label uses."""

import bisect
import fnmatch
import functools
import os
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines import edf, mne_scores
from physiokeras.pipelines.annotations import read_annotations

BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""WFDB's symbols of heart beats."""

_KINDS = 8
"""Kinds of unused marks that are listed one by one."""


def annotation_file(path, label):
    """The annotation file of a record and a `Label`, or None where it has none.

    Raises:
        DataError: Several files match the label's pattern.
    """
    path = Path(path)
    if label.file is None:
        file = path.with_suffix(f".{label.annotator}")
        return _any_case(file) if label.annotator else None
    # Whatever stands in a record's name stands for itself.
    name = path.stem
    pattern = re.sub(r"\{record(?::\.(\d+))?\}", lambda cut: escaped(name[: cut[1] and int(cut[1])]), label.file)
    files = matching(path.parent, any_case(pattern))
    if len(files) > 1:
        names, wanted = ", ".join(file.name for file in files), label.file.format(record=name)
        raise DataError(f"one file must match [labels.{label.name}] file = {wanted!r}. Received: {names}.", file=path)
    return files[0] if files else None


def escaped(text):
    """`text` as a pattern that matches it alone."""
    return re.sub(r"([*?[])", r"[\1]", text)


def any_case(pattern):
    """A pattern whose extension matches in capitals too, as devices and old file systems write it."""
    stem, dot, extension = pattern.rpartition(".")
    if not dot or "]" in extension:
        return pattern
    return stem + dot + "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in extension)


def matching(folder, pattern):
    """Paths in a folder whose names match, hidden ones left out, sorted."""
    modified, expression = os.stat(folder).st_mtime_ns, re.compile(fnmatch.translate(pattern))
    # The clock of file systems is coarse: what changed just now may change once more at the same time.
    settled = time.time_ns() - modified > 2_000_000_000
    names = _names(folder, modified) if settled else _names.__wrapped__(folder, modified)
    first = re.match(r"[^*?[]*", pattern)[0]
    begin = bisect.bisect_left(names, first)
    end = bisect.bisect_right(names, first + chr(0x10FFFF))
    return [folder / name for name in names[begin:end] if expression.match(name) and not name.startswith(".")]


@functools.lru_cache(64)
def _names(folder, modified):
    """Names in a folder, sorted: looked up once for all of its records."""
    return sorted(os.listdir(folder))


def _any_case(file):
    if file.exists():
        return file
    return next(iter(matching(file.parent, any_case(escaped(file.name)))), None)


def scores(header, label, report):
    """A label's `Annotations`, timed from the record's first frame, or None where the record has no such file."""
    source = _source(header, label)
    if source is None:
        wanted = "scores" if header.recording else label.file or f"{header.name}.{label.annotator}"
        report.append(f"{header.name}: no {wanted}; without the label {label.name}")
        return None
    annotations = _read(source, header)
    path = annotations.path
    report += annotations.report
    marks = zip(annotations.symbols, annotations.notes, strict=True)
    # A recorder's own remarks in EDF+ may come after its last sample.
    used = np.fromiter(map(uses(label), marks), bool) | (annotations.durations is None)
    beyond = np.flatnonzero(used & (frames_of(annotations, label, header) > round(header.seconds * header.rate)))
    if len(beyond) and header.unfinished and len(beyond) < used.sum():
        report.append(f"{path.name}: {len(beyond)} marks lie behind the unfinished record's end; left out")
    elif len(beyond):
        sample = annotations.samples[beyond[0]]
        message = f"must lie in the record, which ends at {header.seconds:g} s. Is it another record's?"
        raise DataError(message, file=path, place=f"sample {sample}")
    return annotations


def frames_of(annotations, label, header):
    """Frame of every annotation, counted from 0; negative where it begins before the record."""
    samples = annotations.samples - label.first_sample
    samples = samples if annotations.durations is not None else np.maximum(samples, 0)
    return np.rint(samples * (header.rate / (annotations.rate or header.rate))).astype(np.int64)


def classes_of(label):
    """Number of the class of each text that a label knows; -1 for what it lists as unscored.

    What is listed as unscored need not have the prefix, and what is listed with it need not have it twice.
    """
    known = {name: number for number, name in enumerate(label.classes)}
    known |= {text: known[name] for text, name in label.mapping.items()} | dict.fromkeys(label.unscored, -1)
    whole = {text: value for text, value in known.items() if value < 0 or text.startswith(label.prefix)}
    return {label.prefix + text: value for text, value in known.items()} | whole


def is_event(text):
    """Whether a text is `(kind` or `kind)`, as the Challenge 2018 writes where an event begins and ends."""
    return text.startswith("(") or text.endswith(")")


def uses(label):
    """Function of `(symbol, text)`: whether a label makes something of such an annotation. No other place says so."""
    if label.kind == "beats":
        return lambda mark: mark[0] in BEATS
    if label.kind == "arousal":
        return lambda mark: bool(mark[1])
    if label.kind not in ("stages", "spans"):
        return lambda mark: False
    known = classes_of(label)
    return lambda mark: mark[1] in known or (bool(mark[1]) and not label.prefix and not is_event(mark[1]))


def unused_marks(header, definition):
    """Lines on the annotations that no label makes anything of, for each annotation file of a record."""
    readers = {}
    for label in definition.labels.values():
        source = _source(header, label)
        if source is not None:
            readers.setdefault(getattr(source, "path", source), (source, []))[1].append(label)
    for path, (source, labels) in readers.items():
        annotations, used = _read(source, header), [uses(label) for label in labels]
        marks = Counter(zip(annotations.symbols, annotations.notes, strict=True))
        unused = {mark: count for mark, count in marks.items() if not any(use(mark) for use in used)}
        for (symbol, text), count in list(unused.items())[:_KINDS]:
            yield f"{path.name}: {count} x {text or symbol!r}, without effect on labels"
        if len(unused) > _KINDS:
            rest = sum(list(unused.values())[_KINDS:])
            yield f"{path.name}: {rest} marks of {len(unused) - _KINDS} more kinds, without effect on labels"


def _source(header, label):
    """Where a label's annotations are: the path of a file, `Annotations` in memory, or None."""
    return header.recording.annotations if header.recording else annotation_file(header.path, label)


def _read(source, header):
    if header.recording:
        return source
    path = source
    refuse_link_out(path, header.path.parent)
    if path.suffix.lower() in edf.SUFFIXES:
        return edf.read_edf_annotations(path, header.path, header.seconds)
    if path.name.lower().endswith(mne_scores.ANNOTATED):
        return mne_scores.read_mne_annotations(path, header)
    return read_annotations(path)
