"""Scores a folder of recordings, one in memory at a time, over several runs if need be."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.experiments.run_folder import to_json, versions
from physiokeras.files import locked, remove_temporaries, write_atomic
from physiokeras.pipelines import Definition
from physiokeras.scoring import page, record_files
from physiokeras.scoring.facts import facts_of
from physiokeras.scoring.inputs import inputs_of, slices
from physiokeras.scoring.nights import Night
from physiokeras.scoring.prediction import Prediction
from physiokeras.scoring.sources import Source, open_source
from physiokeras.scoring.trained_model import TrainedModel

FORMAT = 1
"""Raised whenever the same recording and model would give other files; records of another format are scored again."""


@dataclass(frozen=True)
class Outcome:
    """Result of a run of `score_folder`.

    Args:
        scored: Names of the records that it scored.
        kept: Names of those that were scored already.
        set_aside: Name to why a record could not be scored.
        page: Path of the page.
    """

    scored: list[str]
    kept: list[str]
    set_aside: dict[str, str]
    page: Path


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
    progress: Callable[[str], object] | None = print,
) -> Outcome:
    """Score the records of a folder; a rerun scores only what is missing, failed or changed.

    Each record gets a CSV file, EDF+ annotations, a figure and a JSON file below `out/records`, the last of which says
    that the others are whole. A record that cannot be read is set aside with its reason, the others are scored. Last
    of all `statistics.csv` and `index.html` are made from all JSON files of this model, those of other runs included.

    Args:
        model: `TrainedModel` with tasks.
        source: Folder of recordings, or one that `prepare` wrote.
        out: Folder of the scores; made if missing.
        definition: `Definition` of the recordings; None: the model's.
        workers: Processes that read recordings; the model runs in this one.
        shard_index: Which part of the records this run scores, where several machines share the work.
        num_shards: Into how many parts the records are divided.
        figures: Whether to draw hypnograms.
        progress: Function that is given each line of progress, or None.

    Returns: `Outcome`.

    Raises:
        DataError: No records, no tasks, data that the model cannot read, or another process scores into the folder.
        OSError: The folder takes no more files; what is scored stays, and a rerun goes on from there.
    """
    model.head()
    out, say = Path(out), progress or (lambda line: None)
    records = open_source(source, model, out, definition, shard_index, num_shards)
    (out / record_files.FOLDER).mkdir(parents=True, exist_ok=True)
    with _hold(out, shard_index, num_shards):
        job = _Job(model, records, out, figures, model.digest)
        kept = [name for name in records.names if job.is_done(name)]
        todo = [name for name in records.names if name not in set(kept)]
        set_aside = {name: job.set_aside(name, reason) for name, reason in records.refused.items()}
        say(f"{len(records.names)} records, {len(todo)} to score by {', '.join(model.heads)}.")
        for count, (name, night) in enumerate(records.read(todo, workers), 1):
            began = time.monotonic()
            reason = night if isinstance(night, str) else job.score(night)
            line = f"{time.monotonic() - began:.1f} s"
            if reason:
                set_aside[name] = job.set_aside(name, reason)
                line = f"set aside: {reason}"
            say(f"[{count}/{len(todo)}] {name}: {line}")
        with locked(out / ".lock-page", wait=True):
            path = page.write(out, model, job.digest)
    scored = [name for name in todo if name not in set_aside]
    return Outcome(scored, kept, set_aside, path)


@dataclass(frozen=True)
class _Job:
    """One run over one folder."""

    model: TrainedModel
    records: Source
    out: Path
    figures: bool
    digest: str

    def key(self, name):
        """Hash of all that a record's scores depend on besides its files."""
        about = [FORMAT, self.digest, versions().get("physiokeras")]
        return hashlib.sha256(json.dumps([*about, *self.records.key(name)]).encode()).hexdigest()

    def is_done(self, name):
        """Whether a record is scored by this model from these files."""
        facts = record_files.read_facts(record_files.path_of(self.out, name, "json"))
        if not facts or "set_aside" in facts or facts.get("key") != self.key(name):
            return False
        kinds = ["csv", "edf", *(["png"] if self.figures and facts.get("staged") else [])]
        there = all(record_files.path_of(self.out, name, kind).is_file() for kind in kinds)
        return there and self.records.unchanged(name, facts)

    def score(self, night):
        """Score a record and write its files; returns a reason where that is impossible."""
        try:
            predictions, note = predict_all(self.model, night)
            facts = facts_of(self.model, night, predictions, seen=self.records.seen(night), note=note)
            facts["staged"] = any("statistics" in one for one in facts["tasks"].values())
            facts |= {"key": self.key(night.name), "model": self._about_model(), "sources": night.sources}
            record_files.write(self.out, night, predictions, facts, figure=self.figures, note=self.records.note)
        except (DataError, ValueError) as error:
            return str(error)
        return ""

    def set_aside(self, name, reason):
        """Note why a record is not scored; a rerun tries it again."""
        facts = {"record": name, "set_aside": reason, "model": self._about_model()}
        write_atomic(record_files.path_of(self.out, name, "json"), to_json(facts))
        return reason

    def _about_model(self):
        return {
            "folder": str(self.model.folder),
            "digest": self.digest,
            "data_hash": self.model.first_facts.get("data_hash"),
        }


def predict_all(model: TrainedModel, night: Night) -> tuple[dict[str, Prediction], str]:
    """Predictions of all tasks for a recording; features are computed once for each encoder.

    Args:
        model: `TrainedModel`.
        night: `Night`.

    Returns: dict of task name to `Prediction`, and a note on windows that lack modalities.
    """
    features, notes, predictions = {}, [], {}
    for name, head in model.heads.items():
        key = id(head.extractor)
        if key not in features:
            batches = slices(inputs_of(night, head.extractor.encoder))
            features[key], note = model.features_of(head.extractor, batches)
            notes += [note] if note and note not in notes else []
        predictions[name] = model.prediction(
            head, features[key], window=night.window, start=night.start, clock=night.clock
        )
    return predictions, "".join(notes)


@contextlib.contextmanager
def _hold(out, shard_index, num_shards):
    """Lock the folder: different shards may be scored concurrently, the same shard may not."""
    with contextlib.ExitStack() as held:
        held.enter_context(locked(out / ".lock", shared=num_shards > 1))
        held.enter_context(locked(out / f".lock-{shard_index}-of-{num_shards}"))
        if num_shards == 1:
            remove_temporaries(out / record_files.FOLDER)
        yield
