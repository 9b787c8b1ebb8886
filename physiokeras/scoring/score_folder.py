"""Scores a folder of recordings, one in memory at a time, over several runs if need be."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from physiokeras.errors import DataError
from physiokeras.experiments.run_folder import to_json, versions
from physiokeras.files import locked, remove_temporaries, write_atomic
from physiokeras.pipelines import Definition
from physiokeras.pipelines.converting import pool
from physiokeras.scoring import one_record, page, record_files
from physiokeras.scoring.sources import Source, open_source
from physiokeras.scoring.trained_model import TrainedModel

FORMAT = 3
"""Raised whenever the same recording and model would give other files; records of another format are scored again."""


@dataclass(frozen=True)
class Outcome:
    """Result of a run of `score_folder`.

    Args:
        scored: Names of the records that it scored.
        kept: Names of those that were scored already.
        set_aside: Name to why a record could not be scored.
        page: Path of the page.
        doubts: Name of each record that is in doubt to the reasons, the weightiest first.
    """

    scored: list[str]
    kept: list[str]
    set_aside: dict[str, str]
    page: Path
    doubts: dict[str, list[str]] = field(default_factory=dict)


def score_folder(
    model: TrainedModel,
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    definition: Definition | None = None,
    workers: int = 1,
    shard_index: int = 0,
    num_shards: int = 1,
    figures: bool = True,
    features: bool = False,
    engine: Callable | None = None,
    progress: Callable[[str], object] | None = print,
) -> Outcome:
    """Score the records of a folder; a rerun scores only what is missing, failed or changed.

    Each record gets a CSV file, EDF+ annotations, a figure and a JSON file below `out/records`, the last of which says
    that the others are whole. A record that cannot be read is set aside with its reason, the others are scored. Last
    of all `statistics.csv` and `index.html` are made from all JSON files of this model, those of other runs included.

    Args:
        model: `TrainedModel` with tasks.
        source: Folder of recordings, one recording, or a folder that `prepare` wrote.
        out: Folder of the scores; made if missing.
        definition: `Definition` of the recordings; None: the model's.
        workers: Processes that read recordings, while the model runs in this one; fewer than 4 records are read by this
            one with 1.
        shard_index: Which part of the records this run scores, where several machines share the work.
        num_shards: Into how many parts the records are divided.
        figures: Whether to draw hypnograms.
        features: Whether to write the features of each record's windows, too.
        engine: What reads and scores the records instead of this process, such as
            `physiokeras.pipelines.dask.engine` makes; see `physiokeras.pipelines.convert`. Each of its workers loads
            the model from its folder.
        progress: Function that is given each line of progress, or None.

    Returns: `Outcome`.

    Raises:
        DataError: No records, no tasks, data that the model cannot read, or another process scores into the folder.
        OSError: The folder takes no more files; what is scored stays, and a rerun goes on from there.
    """
    model.head()
    if features and all(head.extractor.keep_time for head in model.heads.values()):
        problem = "has no task of windows, whose features could be written; score without features."
        raise DataError(problem, file=model.folder)
    out, say = Path(out), progress or (lambda line: None)
    records = open_source(source, model, out, definition, shard_index, num_shards)
    (out / record_files.FOLDER).mkdir(parents=True, exist_ok=True)
    with _hold(out, shard_index, num_shards):
        job = _Job(model, records, out, figures, model.digest, features)
        kept = [name for name in records.names if job.is_done(name)]
        todo = [name for name in records.names if name not in set(kept)]
        set_aside = {name: job.set_aside(name, reason) for name, reason in records.refused.items()}
        say(f"{len(records.names)} records, {len(todo)} to score by {', '.join(model.heads)}.")
        for count, (number, found) in enumerate(job.scored(todo, workers, engine), 1):
            name = todo[number]
            if isinstance(found, str):
                set_aside[name] = job.set_aside(name, found)
                line = f"set aside: {found}"
            else:
                line = "read in {:.1f} s, scored in {:.1f} s".format(*found)
            say(f"[{count}/{len(todo)}] {name}: {line}")
        with locked(out / ".lock-page", wait=True):
            facts = record_files.read_all(out)
            path = page.write(out, model, job.digest, list(facts.values()))
    scored = [name for name in todo if name not in set_aside]
    doubts = {name: facts[name]["doubts"] for name in records.names if facts.get(name, {}).get("doubts")}
    return Outcome(scored, kept, set_aside, path, doubts)


@dataclass(frozen=True)
class _Job:
    """One run over one folder."""

    model: TrainedModel
    records: Source
    out: Path
    figures: bool
    digest: str
    features: bool

    def key(self, name: str) -> str:
        """Hash of all that a record's scores depend on besides its files."""
        about = [FORMAT, self.digest, versions().get("physiokeras")]
        return hashlib.sha256(json.dumps([*about, *self.records.key(name)]).encode()).hexdigest()

    def is_done(self, name: str) -> bool:
        """Whether a record is scored by this model from these files."""
        facts = record_files.read_facts(record_files.path_of(self.out, name, "json"))
        if not facts or "set_aside" in facts or facts.get("key") != self.key(name):
            return False
        kinds = record_files.kinds_of(facts, figure=self.figures, features=self.features)
        there = all(record_files.path_of(self.out, name, kind).is_file() for kind in kinds)
        return there and self.records.unchanged(name, facts)

    def order(self, name: str) -> one_record.Order:
        """`Order` of a record."""
        reader, arguments = self.records.call(name)
        what = {"manifest": self.records.manifest(name), "out": self.out.absolute(), "note": self.records.note}
        what |= {"figure": self.figures, "features": self.features}
        return one_record.Order(name, self.key(name), reader, arguments, **what)

    def scored(self, names: list[str], workers: int, engine: Callable | None = None) -> Iterator[tuple[int, Any]]:
        """Score records; yields the number of a name and what `one_record.score` gives, as they are done."""
        orders = [self.order(name) for name in names]
        if engine is not None:
            given = (self.model.folder.absolute(), self.digest, keras.config.backend())
            yield from engine(one_record.load_and_score, [(*given, order) for order in orders])
            return
        for number, found in pool.run(one_record.read, [(order,) for order in orders], workers, ahead=True):
            yield number, one_record.score(self.model, self.digest, orders[number], found)

    def set_aside(self, name: str, reason: str) -> str:
        """Note why a record is not scored; a rerun tries it again."""
        facts = {"record": name, "set_aside": reason, "model": one_record.about(self.model, self.digest)}
        record_files.remove(self.out, name)
        write_atomic(record_files.path_of(self.out, name, "json"), to_json(facts))
        return reason


@contextlib.contextmanager
def _hold(out, shard_index, num_shards):
    """Lock the folder: different shards may be scored concurrently, the same shard may not."""
    with contextlib.ExitStack() as held:
        held.enter_context(locked(out / ".lock", shared=num_shards > 1))
        held.enter_context(locked(out / f".lock-{shard_index}-of-{num_shards}"))
        if num_shards == 1:
            remove_temporaries(out / record_files.FOLDER)
        yield
