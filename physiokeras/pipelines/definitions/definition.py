"""A data set in one TOML file: its channels, rates, filters, windows, labels and split."""

import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass, field
from typing import Self

from physiokeras import catalogue
from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.montage import check_montage, plain_rules
from physiokeras.pipelines.definitions.parts import LABEL_KINDS, SPLITS, Channel, Label, Modality, Split, check
from physiokeras.pipelines.definitions.tables import build, plain

__all__ = ["LABEL_KINDS", "SPLITS", "Channel", "Definition", "Label", "Modality", "Split"]


@dataclass(frozen=True)
class Definition:
    """The definition of a data set: records, channels, processing, labels and splits.

    Args:
        name: Its name.
        modalities: Modality by name, in the order of the tokens.
        window: Length of one example in seconds.
        patch: Length of one token in seconds; divides the window.
        description: One or two sentences.
        records: Pattern of the files that name a record (`.hea`, `.edf`, `.vhdr`, ...) below the source folder, or the
            name of a list (`RECORDS`).
        people: Table with `Record,Sex,Age` below the source folder, where there is one.
        person: Regular expression on the record's name whose first group is the person; None: every record is a person.
        labels: Label by name.
        split: How people are divided.
        same_person: Person by record name, for the records that `person` cannot tell.
        person_column: Column of `people` that names each record's person, instead of `person`.
        grid: Label of stages or spans on whose grid windows begin; None: windows begin where the record does.
        alias: Name of a channel, or of a part in `montage`, to other names or patterns under which headers carry it.
        montage: Name of a derived channel to its rule; see `physiokeras.pipelines.definitions.montage`.
    """

    name: str
    modalities: dict[str, Modality]
    window: float = 30.0
    patch: float = 1.0
    description: str = ""
    records: str = "**/*.hea"
    people: str | None = None
    person: str | None = None
    labels: dict[str, Label] = field(default_factory=dict)
    split: Split = field(default_factory=Split)
    same_person: dict[str, str] = field(default_factory=dict)
    person_column: str | None = None
    grid: str | None = None
    alias: dict[str, tuple[str, ...]] | None = None
    montage: dict[str, tuple[tuple[str, ...], ...]] | None = None

    def __post_init__(self):
        check(self.modalities, "[modalities]", "must define at least one modality", self.modalities)
        check(self.patch > 0, "patch", "must be above 0 s", self.patch)
        check(
            self.window > 0 and _whole(self.window / self.patch),
            "window",
            f"must be a whole number of patches of {self.patch:g} s",
            self.window,
        )
        for modality in self.modalities.values():
            for length, what in ((self.patch, "patch"), (self.window, "window")):
                rule = f"rate x {what} ({length:g} s) must be a whole number of samples"
                check(_whole(modality.rate * length), f"[modalities.{modality.name}] rate", rule, modality.rate)
        seen = {}
        for modality in self.modalities.values():
            for name in (name for channel in modality.channels for name in self.names_of(channel)):
                rule = f"a channel belongs to one modality; this one is in {seen.get(name)} already"
                check(name not in seen, f"[modalities.{modality.name}] channels", rule, name)
                seen[name] = modality.name
        for name in self.labels:
            rule = "a label and a modality must have different names, as one batch holds both"
            check(name not in self.modalities, f"[labels.{name}]", rule, name)
        if self.person is not None:
            check(_groups(self.person), "person", "must be a regular expression with one group", self.person)
        check(not self.person_column or self.people, "person_column", "is a column of `people`", self.people)
        check(not self.split.column or self.people, "[split] column", "is a column of `people`", self.people)
        check(not self.person_column or not self.person, "person_column", "takes the place of `person`", self.person)
        spans = [label.name for label in self.labels.values() if label.kind in ("stages", "spans")]
        rule = f"must name a label of stages or spans: {', '.join(spans) or 'there is none'}"
        check(self.grid is None or self.grid in spans, "grid", rule, self.grid)
        check_montage(self)

    @classmethod
    def read(cls, name_or_path: str | os.PathLike) -> "Definition":
        """The definition that ships as `name_or_path`, or the one in the user's own TOML file.

        Raises:
            DataError: The file breaks a rule; the message names file, key, rule, value and the way out.
            FileNotFoundError: No such definition; the message lists those that ship.
        """
        path = catalogue.find("pipelines", name_or_path)
        try:
            return cls.from_dict(tomllib.loads(path.read_bytes().decode("utf-8-sig")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"must be valid TOML in UTF-8: {error}.", file=path) from error
        except DataError as error:
            raise DataError(error.message, file=path, place=error.place) from error

    @classmethod
    def from_dict(cls, table: dict) -> Self:
        """The definition that `to_dict` gave, or that a TOML file holds."""
        check(isinstance(table, dict), "definition", "must be a table", table)
        table = dict(table)
        for name, kind in (("modalities", _modality), ("labels", _label)):
            entries = table.get(name, {})
            check(isinstance(entries, dict), f"[{name}]", "must be a table of tables", entries)
            table[name] = {key: kind(key, entry) for key, entry in entries.items()}
        if "split" in table:
            table["split"] = build(Split, _with_lists(table["split"]), "[split]")
        if isinstance(table.get("alias"), dict):
            table["alias"] = {name: _listed(names) for name, names in table["alias"].items()}
        if "montage" in table:
            table["montage"] = plain_rules(table["montage"])
        return build(cls, table, "definition")

    def to_dict(self) -> dict:
        """Plain dicts, lists and numbers, for JSON; `from_dict` reads it."""
        return plain(self)

    def digest(self) -> str:
        """SHA-256 of the definition's content, hexadecimal."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def tokens(self) -> int:
        """Tokens of one modality in one window."""
        return round(self.window / self.patch)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All channels, modality by modality: the order of `present`."""
        return tuple(channel for modality in self.modalities.values() for channel in modality.channels)

    def names_of(self, channel: Channel) -> tuple[str, ...]:
        """All names and patterns under which records may hold a `Channel`, the first to be looked for first."""
        return (*channel.names, *(self.alias or {}).get(channel.name, ()))

    @property
    def defaults(self) -> tuple[str, ...]:
        """Names of the modalities that are used where nothing else is asked for."""
        return tuple(name for name, modality in self.modalities.items() if modality.default)

    def person_of(self, record: str) -> str:
        """The person whom the record named `record` is of.

        Raises:
            DataError: The name does not match `person`.
        """
        if record in self.same_person:
            return self.same_person[record]
        if self.person is None:
            return record
        match = re.search(self.person, record)
        rule = "must match every record's name; give the record in `same_person` or widen the expression"
        person = match[1] if match else ""
        check(bool(person), "person", rule, record)
        return person

    def samples(self, modality: str) -> int:
        """Samples of one window of `modality` (a name) at its target rate."""
        return round(self.modalities[modality].rate * self.window)

    def windows(self, seconds: float) -> int:
        """Number of whole windows in a record of `seconds`; a rest at the end is not used."""
        return int(seconds / self.window + 1e-9)


def _modality(name, entry):
    key = f"[modalities.{name}]"
    channels = entry.get("channels", []) if isinstance(entry, dict) else []
    if isinstance(channels, list | tuple):
        tables = [{"name": channel} if isinstance(channel, str) else channel for channel in channels]
        entry = {**entry, "channels": [build(Channel, table, f"{key} channels") for table in tables]}
    return build(Modality, _named(name, entry, key), key)


def _listed(names):
    return [names] if isinstance(names, str) else names


def _label(name, entry):
    return build(Label, _named(name, entry, f"[labels.{name}]"), f"[labels.{name}]")


def _with_lists(split):
    """The table `[split]` with its lists of people under `people`, as `Split` has them."""
    if not isinstance(split, dict):
        return split
    split = {name: [value] if isinstance(value, str) and name in SPLITS else value for name, value in split.items()}
    lists = {name: split.pop(name) for name in SPLITS[1:] if isinstance(split.get(name), list | tuple)}
    drawn = () if "train" in lists else ("test", "validation")
    shares = {name: 0.0 for name in ("test", "validation") if lists and (name in lists or name not in drawn)}
    return {**shares, **split, **({"people": lists} if lists else {})}


def _named(name, entry, key):
    """`entry` with its name; `to_dict` writes the name inside too."""
    if not isinstance(entry, dict):
        return entry
    check(
        entry.get("name", name) == name,
        f"{key} name",
        "must equal the table's own name, or be left out",
        entry.get("name"),
    )
    return {**entry, "name": name}


def _whole(number):
    return number >= 1 - 1e-9 and abs(number - round(number)) < 1e-9


def _groups(pattern):
    try:
        return re.compile(pattern).groups == 1
    except re.error:
        return False
