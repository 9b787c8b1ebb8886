"""Scores a folder of recordings, one in memory at a time, over several runs if need be."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import locked
from physiokeras.pipelines import Definition
from physiokeras.scoring import page, record_files
from physiokeras.scoring.folder_work import FolderWork, held
from physiokeras.scoring.sources import open_source
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
    files, options = record_files.of_scores(out), {"figure": figures, "features": features}
    wanted = functools.partial(record_files.kinds_of, **options)
    with held(out, files.folder, shard_index, num_shards):
        work = FolderWork(model, records, files, FORMAT, wanted, options)
        scored, kept, set_aside = work.run("score", workers, engine, say, by=model.heads)
        with locked(out / ".lock-page", wait=True):
            facts = {found["record"]: found for found in work.facts()}
            path = page.write(out, model, work.digest, list(facts.values()))
    doubts = {name: facts[name]["doubts"] for name in records.names if facts.get(name, {}).get("doubts")}
    return Outcome(scored, kept, set_aside, path, doubts)
