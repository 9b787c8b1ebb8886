"""Work of a model on the records of a folder, one in memory at a time, over several runs and machines if need be."""

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from physiokeras.experiments.run_folder import to_json, versions
from physiokeras.files import part_locked, remove_temporaries, write_atomic
from physiokeras.pipelines.converting import pool
from physiokeras.scoring import one_record
from physiokeras.scoring.sources import Source
from physiokeras.scoring.trained_model import TrainedModel


@dataclass(frozen=True)
class FolderWork:
    """One run over one folder.

    Args:
        model: `TrainedModel`.
        records: `Source` of this run's part of the records.
        files: `one_record.RecordFiles`: what is written for a record, and where.
        version: Raised whenever the same recording and model would give other files.
        wanted: Function of the content of a record's JSON file to the kinds of files that must be there beside it.
        options: What `files.write` finds in `Order.options`.
    """

    model: TrainedModel
    records: Source
    files: one_record.RecordFiles
    version: Any
    wanted: Callable[[dict], Any]
    options: dict[str, Any]

    @functools.cached_property
    def digest(self) -> str:
        """The model's digest."""
        return self.model.digest

    def run(
        self,
        verb: str,
        workers: int = 1,
        engine: Callable | None = None,
        say: Callable[[str], object] = print,
        by: Iterable[str] = (),
    ) -> tuple[list[str], list[str], dict[str, str]]:
        """Work on the records that are missing, failed or changed.

        Args:
            verb: What is done with a record, such as "score".
            workers: Processes that read recordings, while the model runs in this one.
            engine: What reads and works instead, such as `physiokeras.pipelines.dask.engine` makes; or None.
            say: Function that is given each line of progress.
            by: Names of the tasks that the first line names.

        Returns: names of the records that this run has done, names of those that were done already, and dict of name
            to why a record is set aside.

        Raises:
            OSError: The folder takes no more files.
        """
        kept = [name for name in self.records.names if self._is_done(name)]
        done = set(kept)
        todo = [name for name in self.records.names if name not in done]
        set_aside = {name: self._set_aside(name, reason) for name, reason in self.records.refused.items()}
        for line in self.records.left_out:
            say(line)
        past = f"{verb.rstrip('e')}ed"
        tasks = f" by {', '.join(by)}" if by else ""
        say(f"{len(self.records.names)} records, {len(todo)} to {verb}{tasks}.")
        for count, (number, found) in enumerate(self._results(todo, workers, engine), 1):
            name = todo[number]
            if isinstance(found, str):
                set_aside[name] = self._set_aside(name, found)
                line = f"set aside: {found}"
            else:
                line = f"read in {found.reading:.1f} s, {past} in {found.working:.1f} s"
                line += f"; {found.note.strip()}" if found.note else ""
            say(f"[{count}/{len(todo)}] {name}: {line}")
        return [name for name in todo if name not in set_aside], kept, set_aside

    def facts(self) -> Iterator[dict]:
        """Contents of the JSON files of all records of the folder, those of other runs and models too, by name."""
        for path in sorted(self.files.folder.glob("*.json")):
            found = one_record.read_facts(path)
            if found:
                yield found

    def own_facts(self) -> list[dict]:
        """Those of `facts` that this model has written."""
        return [one for one in self.facts() if (one.get("model") or {}).get("digest") == self.digest]

    @functools.cached_property
    def _about(self):
        return [self.version, self.digest, versions().get("physiokeras")]

    def _key(self, name):
        """Hash of all that a record's files depend on besides the recording."""
        return hashlib.sha256(json.dumps([*self._about, *self.records.key(name)]).encode()).hexdigest()

    def _is_done(self, name):
        """Whether a record's files are there, of this model and of the recording as it is now."""
        facts = one_record.read_facts(self.files.path(name, "json"))
        if not facts or "set_aside" in facts or facts.get("key") != self._key(name):
            return False
        there = all(self.files.path(name, kind).is_file() for kind in self.wanted(facts))
        return there and self.records.unchanged(name, facts)

    def _order(self, name):
        reader, arguments = self.records.call(name)
        manifest, note = self.records.manifest(name), self.records.note
        return one_record.Order(name, self._key(name), reader, arguments, manifest, self.files, note, self.options)

    def _results(self, names, workers, engine):
        """Number of a name, and what `one_record.work` gives, as records are done."""
        orders = [self._order(name) for name in names]
        if engine is not None:
            given = (self.model.folder.absolute(), self.digest, keras.config.backend())
            yield from engine(one_record.load_and_work, [(*given, order) for order in orders])
            return
        for number, found in pool.run(one_record.read, [(order,) for order in orders], workers, ahead=True):
            yield number, one_record.work(self.model, self.digest, orders[number], found)

    def _set_aside(self, name, reason):
        """Note why a record's files are not there; a rerun tries it again."""
        facts = {"record": name, "set_aside": reason, "model": one_record.about(self.model, self.digest)}
        self.files.remove(name)
        write_atomic(self.files.path(name, "json"), to_json(facts))
        return reason


@contextlib.contextmanager
def held(out, folder, shard_index, num_shards):
    """Lock an output folder: different shards may be worked on concurrently, the same shard may not.

    Args:
        out: The output folder.
        folder: That of the records' files below it; both are made if missing.
        shard_index: Number of this part.
        num_shards: Number of parts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with part_locked(out, shard_index, num_shards):
        if num_shards == 1:
            remove_temporaries(folder)
        yield
