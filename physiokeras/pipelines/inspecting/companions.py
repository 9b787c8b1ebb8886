"""Score files that belong to recordings: the pattern of their names, and their marks."""

import itertools
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.parts import Label
from physiokeras.pipelines.labels.spans import grid_of
from physiokeras.pipelines.readers import edf, mne_scores
from physiokeras.pipelines.readers.edf_plus import Layout
from physiokeras.pipelines.scores import score_tables
from physiokeras.pipelines.scores.score_files import BEATS, annotation_file, escaped, read_marks

_SHORTEST = 3
SCORES = frozenset((*edf.SUFFIXES, ".xml", *score_tables.SUFFIXES, *mne_scores.ANNOTATED))
"""Extensions of files of scores that a label's `file` may name; they are not tried as annotations of WFDB."""

_SEPARATOR = re.compile(r"[-_. ]")


@dataclass
class Companions:
    """Files of scores that belong to recordings by one pattern.

    Attributes:
        pattern: `file` of a label, such as "{record:.6}*-Hypnogram.edf"; or None, where `annotator` says it.
        annotator: Extension of annotation files of WFDB.
        inside: Extension of the recordings, where they hold the marks themselves; else None.
        files: Path of a recording -> path of its file.
        marks: `(symbol, text)` -> how many.
        records: `(symbol, text)` -> in how many files.
        first: Seconds from each recording's start to its first mark.
        last: Seconds from each recording's end to the end of the last mark, negative before it.
        grid: Seconds by which most marks lie off multiples of 30 s.
        lasting: Whether marks have durations of their own.
    """

    pattern: str | None
    annotator: str | None
    inside: str | None = None
    files: dict = field(default_factory=dict)
    marks: Counter = field(default_factory=Counter)
    records: Counter = field(default_factory=Counter)
    first: list = field(default_factory=list)
    last: list = field(default_factory=list)
    grid: list = field(default_factory=list)
    lasting: bool = False

    @property
    def name(self) -> str:
        """The pattern as a file name."""
        return self.pattern or f"{{record}}.{self.annotator}"

    @property
    def is_beats(self) -> bool:
        """Whether most marks are heart beats."""
        return sum(count for (symbol, _), count in self.marks.items() if symbol in BEATS) > self.marks.total() / 2

    @property
    def texts(self) -> Counter[str]:
        """Text -> how many, of the marks that have one."""
        found: Counter[str] = Counter()
        for (_, text), count in self.marks.items():
            found[text] += count if text else 0
        return +found


def find_companions(recordings, files, bad):
    """Files of scores, grouped by the patterns by which they belong to recordings.

    Args:
        recordings: list of `physiokeras.pipelines.inspecting.folder.Recording`.
        files: The other files.
        bad: dict that receives path -> why it cannot be read.

    Returns: `(companions, rest)`: list of `Companions`, and the files that are none.
    """
    found, rest = [Companions(None, annotator) for annotator in _annotators(recordings, files)], list(files)
    paths = [recording.path for recording in recordings]
    for suffix in sorted({file.suffix.lower() for file in files} & SCORES):
        group = [file for file in files if file.suffix.lower() == suffix]
        found += [Companions(pattern, None) for pattern in find_patterns(paths, group)]
    inside = {recording.path.suffix.lower() for recording in recordings} - {".hea", ""}
    found += [Companions(f"{{record}}{suffix}", None, inside=suffix) for suffix in sorted(inside)]
    for group in found:
        label = Label("x", "stages", annotator=group.annotator, file=group.pattern, classes=("a", "b"))
        for recording in recordings:
            if group.inside in (None, recording.path.suffix.lower()):
                _add(group, recording, label, bad)
        taken = set(group.files.values())
        rest = [file for file in rest if file not in taken]
    found = [group for group in found if group.files]
    return found, [file for file in rest if file not in bad]


def _annotators(recordings, files):
    """Extensions of files that have the name of a WFDB recording."""
    names = {recording.path.with_suffix("") for recording in recordings if recording.path.suffix.lower() == ".hea"}
    found = {file.suffix for file in files if file.with_suffix("") in names and file.suffix.lower() not in SCORES}
    return sorted(suffix[1:] for suffix in found if re.fullmatch(r"\.[\w-]+", suffix))


def _add(group, recording, label, bad):
    header, path = recording.header, None
    try:
        path = annotation_file(header.path, label)
        if (
            path is None
            or (path == header.path) != (group.inside is not None)
            or (group.inside and not _may_have(path))
        ):
            return
        annotations = read_marks(path, header, label)
    except (DataError, OSError) as error:
        if path is not None and path != header.path:
            bad[path] = str(error)
        return
    group.files[header.path] = path
    marks = list(zip(annotations.symbols, annotations.notes, strict=True))
    group.marks.update(marks)
    group.records.update(set(marks))
    rate = annotations.rate or header.rate
    if not len(marks):
        return
    begins = annotations.samples / rate
    ends = begins if annotations.durations is None else begins + annotations.durations / rate
    group.first.append(float(begins[0]))
    group.last.append(float(ends.max() - header.seconds))
    group.grid.append(grid_of(begins, 30.0))
    group.lasting |= annotations.durations is not None and bool(annotations.durations.any())


def _may_have(path):
    """Whether a file may hold marks: EDF without a list of annotations does not."""
    return path.suffix.lower() not in edf.SUFFIXES or bool(Layout.of(path).slots)


def find_patterns(records, files):
    """The patterns by which files belong to recordings, each as a label's `file`.

    A file belongs to the recording whose name is the beginning of its own, in any folder. Where there is no such file,
    the longest prefix of the recordings' names is taken for which each recording has at most one file in its folder, no
    file belongs to two recordings, and half of the files belong to one.

    Args:
        records: Paths of recordings.
        files: Paths of files of one extension.
    """
    named, tails = {path.stem: path for path in records}, Counter()
    for file in files:
        stems = (file.stem[:length] for length in range(len(file.stem), 0, -1))
        stem = next((stem for stem in stems if stem in named), None)
        if stem is not None:
            tails[_way(named[stem], file) + "{record}" + escaped(file.name[len(stem) :])] += 1
    most = max(tails.values(), default=0)
    whole = [pattern for pattern, count in tails.items() if 2 * count >= most]
    if whole:
        return sorted(whole)
    longest = max((len(path.stem) for path in records), default=0)
    lengths = range(longest - 1, _SHORTEST - 1, -1)
    fitting = filter(None, (_cut_pattern(records, files, length) for length in lengths))
    return list(itertools.islice(fitting, 1))


def _way(record, file):
    """The way from a recording's folder to a file's, as a label's `file` has it."""
    parts = Path(os.path.relpath(file.parent, record.parent)).parts
    return "".join("{folder}/" if part == record.parent.name else f"{part}/" for part in parts)


def _cut_pattern(records, files, length):
    """A pattern of the first letters of recordings' names; None where it does not fit."""
    begins = {(path.parent, path.stem[:length]) for path in records}
    tails = [file.name[length:] for file in files if (file.parent, file.name[:length]) in begins]
    separator = _SEPARATOR.search(end) if tails and (end := _common_end(tails)) else None
    if separator is None:
        return None
    pattern = f"{{record:.{length}}}*{escaped(end[separator.start() :])}"
    return pattern if _fits(pattern, records, files) else None


def _common_end(texts):
    """The longest text with which all end."""
    shortest = min(texts, key=len)
    ends = (shortest[start:] for start in range(len(shortest) + 1))
    return next(end for end in ends if all(text.endswith(end) for text in texts))


def _fits(pattern, records, files):
    try:
        label = Label("x", "stages", file=pattern, classes=("a", "b"))
        taken = [annotation_file(path, label) for path in records]
    except DataError:
        return False
    taken = [file for file in taken if file is not None]
    return len(set(taken)) == len(taken) and 2 * len(set(taken) & set(files)) >= len(files)
