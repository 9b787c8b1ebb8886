"""The records of a data set that a run converts, and whether each is converted already."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from physiokeras.pipelines.converting.checksums import by_folder, check_file, contradiction, read_checksums
from physiokeras.pipelines.converting.conversion import conversion_key, read_sidecar
from physiokeras.pipelines.converting.names import check_names, unmatched
from physiokeras.pipelines.converting.record_list import find_records
from physiokeras.pipelines.converting.recordings import about_people, check_recordings, recordings_of
from physiokeras.pipelines.converting.sources import from_record, unchanged
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.people.label_tables import read_tables, tables_of
from physiokeras.pipelines.scores.score_files import annotation_file


@dataclass(frozen=True)
class Work:
    """The records that one run converts, with people and checksums.

    Attributes:
        source: The data set's folder; None where recordings are in memory.
        definition: `Definition`.
        out: The prepared folder.
        strict: Whether what contradicts a checksum is set aside.
        headers: Paths of all records, or `Recording`s.
        mine: Those of this run's part.
        people: Record name -> `Person`.
        refused: Record's path -> why its name, or that of its annotations, keeps it out.
        persons: Record name -> person, of the others.
        sums: Folder below `source` -> file name -> SHA-256.
        notes: What was found in the tables besides: messages.
    """

    source: Any
    definition: Definition
    out: Path
    strict: bool
    headers: list
    mine: list
    people: dict
    refused: dict
    persons: dict
    sums: dict
    notes: list

    @classmethod
    def of(
        cls, source: Any, definition: Any, out: str | os.PathLike, shard_index: int, num_shards: int, strict: bool
    ) -> Self:
        """Find records, people and checksums; arguments as of `physiokeras.pipelines.converting.driver.convert`."""
        if not 0 <= shard_index < num_shards:
            raise ValueError(f"`shard_index` must lie in [0, num_shards). Received: {shard_index} of {num_shards}.")
        if not isinstance(definition, Definition):
            definition = Definition.read(definition)
        recordings = recordings_of(source)
        if recordings is not None:
            definition, people = about_people(recordings, definition)
            persons, mine = check_recordings(recordings, definition), recordings[shard_index::num_shards]
            return cls(None, definition, Path(out), strict, recordings, mine, people, {}, persons, {}, [])
        source = Path(source)
        headers, sums = find_records(source, definition), read_checksums(source)
        tables = {definition.people, definition.split.file, *tables_of(definition).values()} - {None}
        for table in sorted(tables) if strict else ():
            check_file(source / table, source, sums)
        notes: list[str] = []
        definition, people = read_tables(source, definition, [path.stem for path in headers], notes)
        refused, persons = check_names(source, headers, definition, people)
        notes += unmatched(headers, definition)
        mine = [path for path in headers[shard_index::num_shards] if path not in refused]
        sums = by_folder(sums)
        return cls(source, definition, Path(out), strict, headers, mine, people, refused, persons, sums, notes)

    def arguments(self, path: Path) -> tuple:
        """Arguments of `convert_one` for a record."""
        person = {name: self.people[name] for name in (path.stem,) if name in self.people}
        return path, self.definition, person, self.out, self.strict, self._sums_beside(path)

    def key(self, path: Path) -> str:
        """Hash of all that shapes a record's shard besides its files."""
        return conversion_key(path.stem, self.definition, self.people)

    def sidecar(self, path: Path) -> dict | None:
        """A record's sidecar; None where there is none, or one that another definition or version wrote.

        A record that is refused by its name has none on disk, so that nothing is redone once the name is corrected.
        """
        if path in self.refused:
            return {"record": path.stem, "set_aside": self.refused[path]}
        found = read_sidecar(self.out, path.stem)
        return found if found and found.get("key") == self.key(path) else None

    def done(self, path: Path) -> bool:
        """Whether a record's shard is there, whole, and made from these files by this definition and code."""
        sidecar = self.sidecar(path)
        if not sidecar or "set_aside" in sidecar:
            return False
        sums = self._sums_beside(path) if self.strict else {}
        if any(contradiction(name, facts["sha256"], sums) for name, facts in sidecar["sources"].items()):
            return False
        shard = self.out / "records" / f"{path.stem}.tfrecord"
        whole = shard.is_file() and shard.stat().st_size == sidecar["bytes"]
        return whole and unchanged(sidecar, path, self.definition)

    def missing(self) -> list[str]:
        """Files that the data set's sums name and that are not there, sorted."""
        names = [Path(folder, name) for folder, files in self.sums.items() for name in files]
        return sorted(name.as_posix() for name in names if not (self.source / name).exists())

    def _sums_beside(self, path):
        """SHA-256 that the files of a record must have, by their paths relative to its folder."""
        if self.source is None:
            return {}
        sums = dict(self._sums_in(path.parent))
        for label in self.definition.labels.values():
            file = annotation_file(path, label) if "/" in (label.file or "") else None
            known = self._sums_in(file.parent) if file else {}
            sums |= {from_record(file, path): known[file.name]} if file and file.name in known else {}
        return sums

    def _sums_in(self, folder):
        inside = Path(os.path.relpath(folder, self.source)).as_posix()
        return self.sums.get(inside, {})
