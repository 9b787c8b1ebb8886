"""The annotation files of a record: find them, read their marks in the record's time, name those that no label uses."""

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
from physiokeras.files import one_form, refuse_link_out, refuse_spreadsheet
from physiokeras.pipelines.readers import dreem, edf, mne_scores
from physiokeras.pipelines.readers.annotations import read_annotations
from physiokeras.pipelines.scores.score_marks import EVENT, STAGE, is_text
from physiokeras.pipelines.scores.score_tables import SUFFIXES, read_text_scores
from physiokeras.pipelines.scores.score_xml import read_xml_scores
from physiokeras.pipelines.scores.stage_names import (
    KALES,
    UNSCORED,
    coding_of,
    plain_number,
    standard_classes,
    standard_stage,
)

BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""WFDB's symbols of heart beats."""

UNKNOWN = -2
"""Class of a mark that a label must know and does not."""

_BEHIND = 60.0
"""Seconds behind a record's end up to which a mark may last without a note."""

_KINDS = 8
"""Kinds of unused marks that are listed one by one."""


def annotation_file(path, label):
    """The annotation file of a record and a `Label`, or None where it has none.

    Raises:
        DataError: Several files match the label's pattern.
    """
    path = Path(path)
    if label.file is None:
        return _any_case(path.with_suffix(f".{label.annotator}")) if label.annotator else None
    # Wildcards in a record's name match themselves only.
    known = {"record": path.stem, "folder": path.parent.name}

    def insert(match):
        return escaped(known[match[1]][: match[2] and int(match[2])])

    *folders, pattern = re.sub(r"\{(record|folder)(?::\.(\d+))?\}", insert, label.file).split("/")
    folder = Path(os.path.normpath(path.parent.joinpath(*folders)))
    files = matching(folder, any_case(pattern)) if folder.is_dir() else []
    files = [file for file in files if not _of_a_longer_name(file, path, files)]
    if len(files) > 1:
        names, wanted = ", ".join(file.name for file in files), wanted_file(path, label)
        raise DataError(f"one file must match [labels.{label.name}] file = {wanted!r}. Received: {names}.", file=path)
    return files[0] if files else None


def _of_a_longer_name(file, path, files):
    """Whether a score file's name begins with that of another record: P07_10.xml is not P07_1's.

    Args:
        file: The score file.
        path: The record.
        files: Score files that match for the record.
    """
    name, stem = one_form(file.name), one_form(path.stem)
    if not name.startswith(stem) or one_form(file.stem) == stem or not path.parent.is_dir():
        return False
    others = matching(path.parent, any_case(f"{escaped(path.stem)}?*{path.suffix}"))
    return any(name.startswith(one_form(other.stem)) for other in others if other not in files)


def wanted_file(path, label):
    """Name or pattern of the annotation file of a record and a `Label`, for messages."""
    path = Path(path)
    if label.file is None:
        return (
            f"{path.stem}.{label.annotator}" if label.annotator else "scores: neither `annotator` nor `file` is given"
        )
    return label.file.format(record=path.stem, folder=path.parent.name)


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
    pattern = one_form(pattern)
    modified, expression = os.stat(folder).st_mtime_ns, re.compile(fnmatch.translate(pattern))
    # File systems keep coarse times: a folder that changed just now may change again without a new time.
    settled = time.time_ns() - modified > 2_000_000_000
    names = _names(folder, modified) if settled else _names.__wrapped__(folder, modified)
    first = re.match(r"[^*?[]*", pattern)[0]
    begin = bisect.bisect_left(names, (first,))
    end = bisect.bisect_right(names, (first + chr(0x10FFFF),))
    return [folder / name for form, name in names[begin:end] if expression.match(form) and not form.startswith(".")]


@functools.lru_cache(64)
def _names(folder, modified):
    """Names in a folder, each after its Unicode form, sorted: looked up once for all of its records."""
    return sorted((one_form(name), name) for name in os.listdir(folder))


def _any_case(file):
    if file.exists():
        return file
    return next(iter(matching(file.parent, any_case(escaped(file.name)))), None)


def scores(header, label, report):
    """A label's `Annotations`, timed from the record's first frame, or None where the record has no such file."""
    source = _source(header, label)
    if source is None:
        wanted = "scores" if header.recording else wanted_file(header.path, label)
        report.append(f"{header.name}: no {wanted}; without the label {label.name}")
        return None
    annotations = read_marks(source, header, label)
    path = annotations.path
    report += annotations.report
    marks = zip(annotations.symbols, annotations.notes, strict=True)
    # A recorder's own remarks in EDF+ may come after its last sample.
    used = np.fromiter(map(uses(label), marks), bool) | (annotations.durations is None)
    beyond = np.flatnonzero(used & (frames_of(annotations, label, header) > round(header.seconds * header.rate)))
    if len(beyond) and header.unfinished and len(beyond) < used.sum():
        report.append(f"{path.name}: {len(beyond)} marks lie behind the unfinished record's end; left out")
    elif len(beyond):
        rule = f"must lie in the record, which ends at {header.seconds:g} s"
        message = f"{rule}. Is it another record's, or are its times in another unit, its epochs of another length?"
        raise DataError(message, file=path, place=annotations.place(beyond[0]))
    return annotations


def far_behind(path, ends, label, header):
    """A note on marks that last far beyond the record, as where durations are in another unit.

    Args:
        path: The score file.
        ends: Frames at which marks end.
        label: `Label`.
        header: `Header` of the recording.
    """
    count = np.count_nonzero(ends > round((header.seconds + _BEHIND) * header.rate))
    if not count or header.unfinished:
        return []
    rule = f"{count} marks of [labels.{label.name}] last over {_BEHIND:g} s beyond the record"
    return [f"{path.name}: {rule}; are durations in another unit?"]


def has_scores(header, label):
    """Whether a record has a file, or marks in memory, of a label."""
    return _source(header, label) is not None


def frames_of(annotations, label, header):
    """Frame of every annotation, counted from 0; negative where it begins before the record."""
    samples = annotations.samples - label.first_sample
    samples = samples if annotations.durations is not None else np.maximum(samples, 0)
    return np.rint(samples * (header.rate / (annotations.rate or header.rate))).astype(np.int64)


def class_reader(label, annotations=None):
    """Function of `(symbol, text)` of a mark: the number of its class in a label of stages or spans.

    It is -1 for what is listed as unscored, None for what is no mark of the label, and `UNKNOWN` for a mark of the
    label that is none of its classes. Entries of the label match with and without its prefix. Common names of stages
    need no entry. An entry with `*` is a pattern: the first that matches counts, where no entry equals the text.

    Args:
        label: `Label`.
        annotations: `Annotations` of the marks, which may tell what numbers of stages mean.
    """
    known = {name: number for number, name in enumerate(label.classes)}
    known |= {text: known[name] for text, name in label.mapping.items()} | dict.fromkeys(label.unscored, -1)
    whole = {text: value for text, value in known.items() if value < 0 or text.startswith(label.prefix)}
    whole |= {label.prefix + text: value for text, value in known.items() if label.prefix + text not in whole}
    standard = {UNSCORED: -1, **standard_classes(label.classes, label.mapping)} if label.kind == "stages" else {}
    coding = None if annotations is None else annotations.coding or coding_of(annotations.notes)
    coding = KALES if label.prefix else coding
    patterns = [(text, value) for text, value in known.items() if "*" in text]

    stages, prefix = label.kind == "stages", label.prefix.lower()

    def read(mark):
        symbol, text = mark
        if stages and text[: len(prefix)].lower() == prefix:  # as with the names of stages, case does not matter
            text = label.prefix + text[len(prefix) :]
        text = plain_number(text) if stages and text not in whole else text
        if text in whole:
            return whole[text]
        if not text or symbol == EVENT or any(fnmatch.fnmatchcase(text, pattern) for pattern in label.ignore or ()):
            return None
        belongs = symbol == STAGE or (text.startswith(label.prefix) if label.prefix else not is_event(text))
        if not belongs:
            return None
        bare = text.removeprefix(label.prefix)
        found = next((value for pattern, value in patterns if fnmatch.fnmatchcase(bare, pattern)), None)
        return standard.get(standard_stage(bare, coding), UNKNOWN) if found is None else found

    return functools.lru_cache(256)(read)


def is_event(text):
    """Whether a text is `(kind` or `kind)`, as the Challenge 2018 writes where an event begins and ends."""
    return text.startswith("(") or text.endswith(")")


def uses(label):
    """Function of `(symbol, text)`: whether a label uses such an annotation. Only this function decides it."""
    if label.kind == "beats":
        return lambda mark: mark[0] in BEATS
    if label.kind == "arousal":
        return lambda mark: bool(mark[1])
    if label.kind == "events":
        positive = is_positive(label)
        return lambda mark: positive(mark[1])
    if label.kind not in ("stages", "spans"):
        return lambda mark: False
    read = class_reader(label)
    return lambda mark: read(mark) is not None


def is_positive(label):
    """Function of a text: whether it is one of the events that make a window positive."""
    patterns = [pattern.lower() for pattern in label.events or ()]
    return functools.lru_cache(256)(lambda text: any(fnmatch.fnmatchcase(text.lower(), each) for each in patterns))


def unused_marks(header, definition):
    """Lines on the annotations that no label uses, for each annotation file of a record."""
    readers = {}
    for label in (label for label in definition.labels.values() if label.is_annotated):
        source = _source(header, label)
        if source is not None:
            # These keys say how a file is read; marks in memory are the same for all labels.
            keys = () if header.recording else (label.column, label.epoch, label.times)
            key = getattr(source, "path", source), *keys
            readers.setdefault(key, (source, []))[1].append(label)
    for (path, *_), (source, labels) in readers.items():
        annotations, used = read_marks(source, header, labels[0]), [uses(label) for label in labels]
        marks = Counter(zip(annotations.symbols, annotations.notes, strict=True))
        unused = {mark: count for mark, count in marks.items() if not any(use(mark) for use in used)}
        for (symbol, text), count in list(unused.items())[:_KINDS]:
            yield f"{path.name}: {count} x {text or symbol!r}, without effect on labels"
        if len(unused) > _KINDS:
            rest = sum(list(unused.values())[_KINDS:])
            yield f"{path.name}: {rest} marks of {len(unused) - _KINDS} more kinds, without effect on labels"


def _source(header, label):
    """Source of a label's annotations: the path of a file, `Annotations` in memory, or None."""
    return header.recording.annotations if header.recording else annotation_file(header.path, label)


def read_marks(source, header, label):
    """`Annotations` of a label: of a file, whatever its format, or those that a recording in memory has.

    Args:
        source: Path of the file, or the `Annotations`.
        header: `Header` of the recording.
        label: `Label`.
    """
    if header.recording:
        return source
    path = source
    # A label may name a file of another folder, as far above the record's as it says.
    above = len(re.match(r"(?:\.\./)*", label.file or "")[0]) // 3
    refuse_link_out(path, os.path.normpath(header.path.parent.joinpath(*[".."] * above)))
    suffix = path.suffix.lower()
    if suffix in edf.SUFFIXES:
        return edf.read_edf_annotations(path, header.path, header.seconds)
    if path.name.lower().endswith(mne_scores.ANNOTATED):
        return mne_scores.read_mne_annotations(path, header)
    if suffix in dreem.SUFFIXES:
        return dreem.read_dreem_scores(path)
    if suffix == ".xml":
        return read_xml_scores(path, label, header)
    if suffix in SUFFIXES:
        return read_text_scores(path, label, header)
    if suffix in (".xls", ".xlsx", ".ods"):
        refuse_spreadsheet(path.read_bytes()[:4], path)
    try:
        return read_annotations(path)
    except DataError as error:
        if not is_text(path):
            raise
        message = f"is a text, but files of scores in text are called {', '.join(SUFFIXES)} or .xml. Rename it"
        raise DataError(f"{message}; {suffix or 'no extension'} is taken for WFDB annotations.", file=path) from error
