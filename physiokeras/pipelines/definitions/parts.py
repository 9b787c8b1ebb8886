"""The parts of a data set's definition: channels, modalities, labels, split; each checks its own rules."""

import re
from dataclasses import dataclass, field

from physiokeras.constants import STORED_RANGE
from physiokeras.errors import DataError

LABEL_KINDS = ("stages", "arousal", "age", "spans", "beats", "class", "number", "events")
"""What a label can be made of; `physiokeras.pipelines.labels.window_labels` gives the rule of each."""

TABLE_KINDS = ("class", "number")
"""Those that come from a column of a table, by record or by person."""

NUMBER_KINDS = ("age", "number")
"""Those that are numbers, NaN where unknown; the others are classes."""
RESERVED = frozenset(("present", "kept", "left", "record", "window", "windows", "seconds", "start", "person",
                      "split", "missing", "features", "signals", "labels", "arousal_second"))  # fmt: skip
"""Names of ours that stand beside those of modalities and labels: in batches, in tables, in files."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NAMING = "a name is of letters, digits, _ and -, begins with a letter, and is none of " + ", ".join(sorted(RESERVED))

SPLITS = ("pretrain", "train", "validation", "test")
"""Every split's name; "pretrain" holds the unlabelled people, where a definition names them."""


@dataclass(frozen=True)
class Channel:
    """One channel of a modality.

    Args:
        name: The name that the record's header gives, or the name of ours if `alias` lists the header's.
        alias: Other names under which headers carry it; the first that matches is taken. One with `*` (any characters)
            or `?` (any one) is a pattern, which ignores case and may match one channel of a record.
        required: A record without this channel is set aside; otherwise the channel is marked absent.
    """

    name: str
    alias: tuple[str, ...] = ()
    required: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All names to look for, the own one first."""
        return (self.name, *self.alias)


@dataclass(frozen=True)
class Modality:
    """Channels that are filtered, resampled and scaled alike and share one token per patch.

    Args:
        name: Its name in `[modalities.NAME]`.
        rate: Target rate in Hz; `rate * patch` and `rate * window` must be whole numbers of samples.
        channels: Its channels, in order.
        unit: Physical unit to convert to; None takes the record's values as they are.
        bandpass: Two edges in Hz, zero-phase over the whole signal; None for no filter.
        notch: Mains frequency in Hz to remove; None for no notch.
        scale: "robust", (x - median) / IQR per record and channel, or "physical", (x - offset) / factor.
        offset: In `unit`; for "physical".
        factor: In `unit`; for "physical".
        clip: Scaled values are cut to [-clip, clip]; at most the stored range, 20.
        lowest: What the format's lowest digital value stands for: "missing", "value", or "auto": missing, unless it
            is the channel's baseline, as for the Challenge's SaO2, where it is 0 %.
        default: Whether streams and models take it where nothing else is asked for.
    """

    name: str
    rate: float
    channels: tuple[Channel, ...]
    unit: str | None = None
    bandpass: tuple[float, ...] | None = None
    notch: float | None = None
    scale: str = "robust"
    offset: float = 0.0
    factor: float = 1.0
    clip: float = STORED_RANGE
    lowest: str = "auto"
    default: bool = True

    def __post_init__(self):
        key = f"[modalities.{self.name}]"
        check(_NAME.fullmatch(self.name) and self.name not in RESERVED, key, _NAMING, self.name)
        check(self.rate > 0, f"{key} rate", "must be above 0 Hz", self.rate)
        check(self.channels, f"{key} channels", "must name at least one channel", self.channels)
        check(self.scale in ("robust", "physical"), f"{key} scale", 'must be "robust" or "physical"', self.scale)
        check(self.factor > 0, f"{key} factor", "must be above 0", self.factor)
        rule = f"must lie in (0, {STORED_RANGE:g}], the stored range"
        check(0 < self.clip <= STORED_RANGE, f"{key} clip", rule, self.clip)
        rule = 'must be "auto", "missing" or "value"'
        check(self.lowest in ("auto", "missing", "value"), f"{key} lowest", rule, self.lowest)
        if self.bandpass is not None:
            rule = f"must be [low, high] with 0 < low < high < rate / 2 = {self.rate / 2:g} Hz"
            valid = len(self.bandpass) == 2 and 0 < self.bandpass[0] < self.bandpass[1] < self.rate / 2
            check(valid, f"{key} bandpass", rule, list(self.bandpass))
        if self.notch is not None:
            rule = f"must lie in (0, rate / 2 = {self.rate / 2:g}) Hz; above it resampling removes the mains already"
            check(0 < self.notch < self.rate / 2, f"{key} notch", rule, self.notch)


@dataclass(frozen=True)
class Label:
    """One label per window.

    Args:
        name: Its name in `[labels.NAME]`.
        kind: One of `LABEL_KINDS`.
        annotator: Extension of the annotation file: "arousal" for `NAME.arousal`. Recordings in memory bring their
            scores; where there are no others, neither `annotator` nor `file` is needed.
        file: Instead of `annotator`, a pattern of the annotation file's path relative to the record's folder, in which
            "{record}" stands for the record's name, "{record:.6}" for its first six letters and "{folder}" for its
            folder's name: "../../annotations/{folder}/{record}-nsrr.xml".
        prefix: What the texts of stages or spans begin with; others are events, without effect here.
        classes: Class names in the order of their numbers.
        mapping: Annotated string to class; strings that equal a class need no entry, nor do the names of stages in
            `physiokeras.pipelines.scores.stage_names` ("stages").
        unscored: Annotated strings that stand for no class. Here and in `mapping`, one with `*` (any characters) is a
            pattern: "2*" for "2 HA".
        share: Least share of the window that one class must cover ("stages", "spans").
        vector: Suffix of the Challenge's file with one target per sample ("arousal"); used where the file exists.
        first_sample: Number that the annotator gives to a record's first sample: 0, or 1 in the Challenge's files.
        positive: Least seconds of target arousal in a positive window ("arousal"), 1 by default; of events in one
            ("events"), by default any.
        scored: Least scored seconds in a negative window ("arousal").
        normal: Symbols of normal beats ("beats").
        abnormal: Symbols of beats that make a window positive ("beats").
        table: File below the source folder with a row a record or a person ("class", "number"). A "class" without
            `classes` takes those found there, sorted. Recordings in memory bring their labels and need none.
        column: Its column with the label; default: the label's name. For scores in a table, that of the description.
        by: Whether a row is of a "record" (the default) or of a "person".
        key: Its column with the names of records or people; default: `by`.
        ignore: Patterns of marks that are none of the label's, such as events among stages ("stages", "spans").
        events: Patterns of the marks that make a window positive, in whatever case ("events").
        epoch: Seconds of a scoring epoch, for lists of one stage an epoch; default: what the file says, else 30.
        times: What score files mean by times such as 23:15:30: "clock", or "elapsed" since the recording's start. With
            "elapsed", a start of the file's own need not be that of the recording.
    """

    name: str
    kind: str
    annotator: str | None = None
    file: str | None = None
    prefix: str = ""
    classes: tuple[str, ...] = ()
    mapping: dict[str, str] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    share: float = 1.0
    vector: str | None = None
    first_sample: int = 0
    positive: float | None = None
    scored: float = 15.0
    normal: tuple[str, ...] = ()
    abnormal: tuple[str, ...] = ()
    table: str | None = None
    column: str | None = None
    by: str | None = None
    key: str | None = None
    ignore: tuple[str, ...] | None = None
    events: tuple[str, ...] | None = None
    epoch: float | None = None
    times: str | None = None

    def __post_init__(self):
        key = f"[labels.{self.name}]"
        if self.positive is None:
            object.__setattr__(self, "positive", 0.0 if self.kind == "events" else 1.0)
        check(_NAME.fullmatch(self.name) and self.name not in RESERVED, key, _NAMING, self.name)
        check(self.kind in LABEL_KINDS, f"{key} kind", f"must be one of {', '.join(LABEL_KINDS)}", self.kind)
        if self.kind in TABLE_KINDS:
            self._check_table(key)
        both = self.annotator and self.file
        check(not both or not self.is_annotated, f"{key} annotator", "is for labels without `file`", self.annotator)
        check(self.table is None or self.kind in TABLE_KINDS, f"{key} table", f"is for {TABLE_KINDS}", self.table)
        check(re.fullmatch(r"[\w-]*", self.annotator or ""), f"{key} annotator", "must be letters", self.annotator)
        rule = "must be a pattern relative to the record's folder, in which only {record} and {folder} stand in braces"
        check(self.file is None or _pattern(self.file), f"{key} file", rule, self.file)
        check("/" not in (self.vector or ""), f"{key} vector", "must be a suffix without /", self.vector)
        check(0.5 < self.share <= 1, f"{key} share", "must lie in (0.5, 1]", self.share)
        check(self.first_sample in (0, 1), f"{key} first_sample", "must be 0 or 1", self.first_sample)
        valid = self.scored > 0 and (self.positive > 0 or (self.kind == "events" and self.positive == 0))
        check(valid, key, "positive and scored must be above 0", self.positive)
        check(self.epoch is None or self.epoch > 0, f"{key} epoch", "must be above 0 s", self.epoch)
        check(self.times in (None, "clock", "elapsed"), f"{key} times", 'must be "clock" or "elapsed"', self.times)
        rule = "must list patterns of the marks that make a window positive"
        check(bool(self.events) == (self.kind == "events"), f"{key} events", f"{rule}, for kind events", self.events)
        if self.kind in ("stages", "spans"):
            check(len(self.classes) > 1, f"{key} classes", "must name at least two classes", list(self.classes))
            rule = '"none" stands for windows without a class, and each name for one class'
            valid = "none" not in self.classes and len(set(self.classes)) == len(self.classes)
            check(valid, f"{key} classes", rule, list(self.classes))
            strange = sorted(set(self.mapping.values()) - set(self.classes))
            check(not strange, f"{key} mapping", f"must map to the classes {', '.join(self.classes)}", strange)
            both = sorted(set(self.unscored) & {*self.mapping, *self.classes})
            check(not both, f"{key} unscored", "must not list what stands for a class too", both)
            other = sorted(text for text, name in self.mapping.items() if text in self.classes and text != name)
            check(not other, f"{key} mapping", "must not map a class to another one", other)
            texts = {text: self.mapping.get(self.prefix + text, name) for text, name in self.mapping.items()}
            twice = sorted(text for text, name in texts.items() if name != self.mapping[text])
            check(not twice, f"{key} mapping", "must map a text to one class, with the prefix and without", twice)
        if self.kind == "beats":
            valid = self.normal and self.abnormal and not set(self.normal) & set(self.abnormal)
            check(valid, key, "normal and abnormal must both list symbols and share none", (self.normal, self.abnormal))

    @property
    def is_annotated(self) -> bool:
        """Whether it is made of a record's annotations, and not of a table."""
        return self.kind not in (*TABLE_KINDS, "age")

    def _check_table(self, key):
        """`column` gets its default here, so that messages can name it."""
        check(not self.annotator and not self.file, key, "takes `table` instead of `annotator` and `file`", self.file)
        check(self.by in (None, "record", "person"), f"{key} by", 'must be "record" or "person"', self.by)
        object.__setattr__(self, "column", self.column or self.name)
        object.__setattr__(self, "by", self.by or "record")
        if self.kind == "number":
            check(not self.classes and not self.mapping, f"{key} classes", "a number has none", self.classes)
        check(len(self.classes) != 1, f"{key} classes", "must name at least two classes, or none", self.classes)
        strange = sorted(set(self.mapping.values()) - set(self.classes)) if self.classes else []
        check(not strange, f"{key} mapping", f"must map to the classes {', '.join(self.classes)}", strange)


@dataclass(frozen=True)
class Split:
    """How people are divided; see `physiokeras.pipelines.people.split.assign_splits`.

    Args:
        test: Share of the labelled people; in a TOML file also a list of names or patterns (`fnmatch`) of people.
        validation: The same.
        seed: Seed of the draw.
        pretrain: Patterns (`fnmatch`) of the names of unlabelled records.
        people: Split -> patterns of its people, which is where lists go. Those whom no list names are drawn by the
            shares; where "train" has a list, nobody is drawn.
        column: Column of the table `people` that names each record's split; nobody is drawn.
        file: Published split below the source folder, a table or JSON; nobody is drawn. See
            `physiokeras.pipelines.people.published_splits`.
    """

    test: float = 0.22
    validation: float = 0.10
    seed: int = 0
    pretrain: tuple[str, ...] = ()
    people: dict[str, tuple[str, ...]] | None = None
    column: str | None = None
    file: str | None = None

    def __post_init__(self):
        given = [name for name in ("people", "column", "file") if getattr(self, name)]
        check(len(given) < 2, "[split]", "lists of people, `column` and `file` exclude each other", given)
        for name, patterns in (self.people or {}).items():
            key = f"[split] {name}"
            check(name in SPLITS[1:], key, f"people are listed for {', '.join(SPLITS[1:])}", name)
            check(patterns and all(patterns), key, "must name people", patterns)
            twice = sorted({pattern for pattern in patterns if patterns.count(pattern) > 1})
            check(not twice, key, "must name each person once", twice)
            rule = "the others are drawn by a share, but nobody is where train has a list"
            shares = [self.test, self.validation] if name == "train" else [getattr(self, name)]
            check(not any(shares), key, rule if name == "train" else "is a list or a share, not both", shares)
        for name in ("test", "validation"):
            check(0 <= getattr(self, name) < 1, f"[split] {name}", "must lie in [0, 1)", getattr(self, name))
        both = self.test + self.validation
        check(both < 1, "[split]", "test + validation must be below 1, or nobody is left to train on", both)


def _pattern(text):
    """Whether `text` is a relative path, in which "{record}", "{record:.6}" and "{folder}" may stand.

    ".." stands at its begin alone, and its last part alone is a pattern.
    """
    plain = re.sub(r"\{record(:\.\d+)?\}|\{folder\}", "x", text)
    *folders, name = re.sub(r"^(\.\./)+", "", plain).split("/")
    strange = set("".join(folders)) & set("*?[") or set(plain) & set("\\{}\0")
    return not strange and not {"", ".", ".."} & {*folders, name}


def check(holds, key, rule, value):
    """Raise a DataError at `key` unless the rule `holds`."""
    if not holds:
        raise DataError(f"{rule}. Received: {value!r}.", place=key)
