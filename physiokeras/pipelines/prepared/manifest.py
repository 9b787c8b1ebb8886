"""The manifest of a prepared folder: its records, splits and statistics, written when all records are converted."""

import json
import math
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from physiokeras.constants import INT16_SCALE
from physiokeras.errors import DataError
from physiokeras.files import write_atomic
from physiokeras.pipelines.prepared import cache
from physiokeras.pipelines.prepared.remote import Remote, located
from physiokeras.wording import counted

SCHEMA = 1
"""Version of the manifest, the sidecars and the examples; another one is refused, and shards are converted again."""

FILE = "manifest.json"
TRAINING = ("pretrain", "train")


@dataclass(frozen=True)
class Record:
    """A converted record. `record["person"]` reads the same as `record.person`.

    Args:
        name: Its name, which is also its shard's.
        person: Whose record it is.
        split: The person's split.
        windows: Number of windows.
        seconds: Length of the recording.
        start: Seconds of the recording before the first window.
        sex: "f", "m" or None.
        age: In years, or None.
        bytes: Size of the shard.
        sha256: Hash of the shard.
        present: Modality -> windows in which any of its channels is usable.
        labels: Label -> class number, as text, -1 where unlabelled -> windows.
        channels: One dict for each channel of the definition: `channel`, `modality`, quality and `notes`.
        notes: Sentences about the whole record.
        index: Position in the manifest, which is the number `record` of the stream.
    """

    name: str
    person: str
    split: str
    windows: int
    seconds: float
    sex: str | None
    age: float | None
    bytes: int
    sha256: str
    present: dict
    labels: dict
    channels: list
    notes: list
    start: float = 0.0
    index: int = 0

    def __getitem__(self, name):
        """A field by its name."""
        return vars(self)[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A field by its name, or `default` where there is none."""
        return vars(self).get(name, default)


@dataclass(frozen=True, repr=False)
class Manifest:
    """A prepared folder's contents.

    Args:
        folder: Where it lies: a `Path`, or a `Remote` such as s3://bucket/folder.
        definition: The whole definition, as `Definition.to_dict` gives it.
        modalities: Modality -> dict of `rate`, `samples` (of a window), `channels` (names) and `default`.
        tokens: Tokens of one modality in one window.
        variances: Modality -> variance of the scaled present samples in the windows of "pretrain" and "train".
        labels: Label -> dict of `kind` and `classes`.
        records: A `Record` for each converted record.
        set_aside: One dict of `record` and `reason` for each record that could not be converted.
        data_hash: SHA-256 over definition, splits and shards.
        versions: Package -> version that wrote the folder.
        schema: Version of the layout.
        problems: Sentences on what the whole data set lacks, such as a modality that no record has.
    """

    folder: Path | Remote
    definition: dict
    modalities: dict
    tokens: int
    variances: dict
    labels: dict
    records: list[Record]
    set_aside: list
    data_hash: str
    versions: dict
    schema: int = SCHEMA
    problems: list = field(default_factory=list)

    def __repr__(self):
        """Size, splits, modalities and labels, in a few lines."""
        sizes = (f"{name} {count}" for name, count in self.splits.items())
        lines = [
            f"Manifest of {self.folder}",
            f"{counted(len(self.records), 'record')} of {counted(len({r.person for r in self.records}), 'person')}; "
            f"windows: {', '.join(sizes) or 'none'}; {len(self.set_aside)} set aside",
            f"modalities: {', '.join(self.modalities)}; labels: {', '.join(self.labels) or 'none'}",
            *self.problems,
        ]
        return "\n  ".join(lines)

    @classmethod
    def read(cls, folder: Any) -> Self:
        """Read `folder/manifest.json`; the folder may be a URL.

        Raises:
            DataError: None there, damaged, of another version, or a person in two splits.
        """
        folder = located(folder)
        path = folder / FILE
        try:
            table = json.loads(path.read_bytes())
        except FileNotFoundError:
            if isinstance(folder, Path) and not folder.exists():
                raise DataError("there is no such folder.", file=folder) from None
            raise DataError("no manifest.json; prepare the folder with `physiokeras prepare`.", file=folder) from None
        except ValueError as error:
            raise DataError(f"not valid JSON ({error}); prepare the folder again.", file=path) from error
        if not isinstance(table, dict) or table.get("schema") != SCHEMA:
            found = table.get("schema") if isinstance(table, dict) else None
            raise DataError(
                f"has schema version {found!r}, this version reads {SCHEMA}; prepare the folder again.", file=path
            )
        try:
            table["records"] = [Record(**record, index=index) for index, record in enumerate(table["records"])]
            manifest = cls(folder=folder, **table)
            check_people(manifest.records, path)
        except (TypeError, KeyError) as error:
            message = f"does not hold what a manifest must ({error!r}); prepare the folder again."
            raise DataError(message, file=path) from error
        return manifest

    @classmethod
    def joined(cls, folders: Sequence) -> "Manifest":
        """The manifest of several prepared folders, whose windows are those of one big folder.

        Modalities, channels and labels go by name. What a folder lacks is absent: zeros and false in `present`; class
        labels are -1 and numbers NaN. Records and people are called "FOLDER/NAME"; people of two folders are different
        people, and splits are each folder's own.

        Args:
            folders: Folders, URLs or `Manifest`s; of one folder the manifest is its own.

        Raises:
            DataError: Windows, a modality or a label differ, a folder or a recording is there twice, or a folder
                cannot be read.
        """
        from physiokeras.pipelines.prepared.joined import join

        if isinstance(folders, str) or not folders:
            raise ValueError(f"`folders` must be a list of at least one folder. Received: {folders!r}.")
        parts = [cls.of(folder) for folder in folders]
        twice = {part.data_hash for part in parts if sum(other.data_hash == part.data_hash for other in parts) > 1}
        if twice:
            named = " and ".join(str(part.folder) for part in parts if part.data_hash in twice)
            raise DataError("the same data are given twice. Give each folder once.", file=named)
        return join(parts) if len(parts) > 1 else parts[0]

    @classmethod
    def of(cls, data: Any) -> "Manifest":
        """The manifest of a folder or its URL, of a list of folders (see `joined`), or `data` if it is a manifest."""
        if isinstance(data, Manifest):
            return data
        return cls.joined(data) if isinstance(data, list | tuple) else cls.read(data)

    def write(self) -> None:
        """Write `manifest.json` into the folder, whole or not at all."""
        table = asdict(self)
        del table["folder"]
        for record in table["records"]:
            del record["index"]  # its position says it
        write_atomic(self.folder / FILE, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())

    def select(self, split: str | Sequence[str] | None = None, records: Sequence[str] | None = None) -> list[Record]:
        """Records of the named splits, or those named.

        Args:
            split: A split's name, or a list of them; None together with `records` None: all.
            records: Record names, instead of `split`.

        Returns: list of `Record`, in the manifest's order.

        Raises:
            DataError: An unknown name, or nothing selected.
        """
        if split is not None and records is not None:
            raise ValueError(f"Give `split` or `records`, not both. Received: split={split!r}, records={records!r}.")
        if records is not None:
            chosen, what = set(records), "name"
        else:
            splits = self.splits if split is None else split
            chosen, what = {splits} if isinstance(splits, str) else set(splits), "split"
        unknown = sorted(chosen - {record[what] for record in self.records})
        if unknown or not chosen:
            raise DataError(
                f"no record has the {what} {', '.join(unknown) or '(none given)'}. {self._contents()}", file=self.folder
            )
        return [record for record in self.records if record[what] in chosen]

    @property
    def splits(self) -> dict[str, int]:
        """Split -> number of windows, for the splits that hold any record."""
        counts: dict[str, int] = {}
        for record in self.records:
            counts[record.split] = counts.get(record.split, 0) + record.windows
        return counts

    @property
    def defaults(self) -> tuple[str, ...]:
        """Names of the modalities that are used where nothing else is asked for."""
        return tuple(name for name, modality in self.modalities.items() if modality["default"])

    def records_of(self, people: Collection[str]) -> list[str]:
        """Names of the records of people, in the manifest's order."""
        return [record.name for record in self.records if record.person in people]

    def value_counts(self, record: Record, label: str) -> dict[float, int]:
        """Value of a label (a class number, a number, an age) -> windows of a record with it, unlabelled ones left out.

        Args:
            record: A record's entry.
            label: The label's name.
        """
        kind, counts = self.labels[label]["kind"], record.labels.get(label, {})
        if kind == "number":
            return {counts["value"]: counts["labelled"]} if "value" in counts else {}
        if kind != "age":
            return {int(value): windows for value, windows in counts.items() if int(value) >= 0}
        age = record.age
        return {} if age is None or math.isnan(age) else {float(age): record.windows}

    def with_variances_of(self, records: Sequence[str]) -> Self:
        """The manifest with the modalities' variances over the named records, instead of over its training splits."""
        sidecars = [self.sidecar(name) for name in records]
        return replace(self, variances=variances(self.modalities, sidecars, dict.fromkeys(records, "train")))

    def sidecar(self, name: str) -> dict:
        """What a conversion noted of a record beside its shard, a dict.

        Raises:
            DataError: The file is missing or damaged.
        """
        path = self.folder / "records" / f"{name}.json"
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"cannot be read ({error}); prepare the folder again.", file=path) from error

    def modalities_of(self, record: Record) -> tuple[str, ...]:
        """Names of the modalities that a `Record`'s folder has: here all."""
        return tuple(self.modalities)

    def by_folder(self, records: list[Record]) -> list[tuple["Manifest", list[Record]]]:
        """`(manifest, its records)` for each folder with any of these records: here this one."""
        return [(self, records)]

    def shard(self, name: str) -> Path | Remote:
        """Path of a record's shard."""
        return self.folder / "records" / f"{name}.tfrecord"

    def opened_shard(self, record: Record) -> Path | Remote:
        """Where a record's shard is read: a local `Path`, a copy of a remote shard; or a URL for TensorFlow.

        Raises:
            DataError: A remote shard that is not what the manifest says.
        """
        path = self.shard(record.name)
        if isinstance(path, Remote) and path.is_copied:
            return cache.shard(path, record.bytes, record.sha256)
        return path

    def _contents(self):
        splits = ", ".join(f"{name} ({counted(windows, 'window')})" for name, windows in self.splits.items())
        return f"The folder has {counted(len(self.records), 'record')}; splits: {splits or 'none'}."


def identity_of(sources):
    """Identity of a recording, independent of names: 16 digits of the SHA-256 of its largest file.

    Args:
        sources: File name to dict of `size` and `sha256`, as a conversion notes them.

    Returns: 16 hexadecimal digits; None without files, as of a recording in memory.
    """
    if not sources or not all("size" in facts for facts in sources.values()):
        return None
    return max(sources.values(), key=lambda facts: facts["size"])["sha256"][:16]


def check_people(records, file):
    """Refuse a person in two splits: what a model learned of one would be tested on itself."""
    splits = {}
    for record in records:
        other = splits.setdefault(record.person, record)
        if other.split != record.split:
            raise DataError(
                f"person {record.person} is in two splits: record {other.name} in {other.split}, "
                f"record {record.name} in {record.split}.",
                file=file,
            )


def variances(modalities, sidecars, splits):
    """Variance of each modality's scaled present samples in the training windows; of all where none trains.

    A modality that no record has gets 1.0, so that nothing divides by zero.
    """
    training = [s for s in sidecars if splits[s["record"]] in TRAINING] or sidecars
    result = {}
    for name in modalities:
        count, total, squares = (sum(s["sums"].get(name, (0, 0, 0))[i] for s in training) for i in range(3))
        mean = total / count if count else 0.0
        variance = (squares / count - mean**2) * INT16_SCALE**2 if count else 0.0
        result[name] = variance if variance > 0 else 1.0
    return result


Data = str | os.PathLike | Manifest | Sequence[str | os.PathLike | Manifest]
"""Prepared data, as streams take them: a folder, its URL, or a manifest; or a list of these."""
