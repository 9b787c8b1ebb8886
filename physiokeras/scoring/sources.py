"""The records of a folder that is to be scored: recordings, or what `prepare` wrote."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.experiments.compatibility import laid_out, shared_modalities
from physiokeras.experiments.reports import is_simulated
from physiokeras.pipelines import Manifest
from physiokeras.pipelines.converting.names import without_missing_labels
from physiokeras.pipelines.converting.record_list import SUFFIXES, NoRecords, find_records, left_out
from physiokeras.pipelines.converting.sources import unchanged
from physiokeras.pipelines.converting.work import Work
from physiokeras.pipelines.definitions.parts import Split
from physiokeras.pipelines.people.people import without_missing_people
from physiokeras.pipelines.prepared.manifest import FILE
from physiokeras.pipelines.prepared.remote import local_file, local_folder, located
from physiokeras.pipelines.scores.score_files import escaped
from physiokeras.scoring.nights import night_or_reason, prepared_night_or_reason, shard_sources
from physiokeras.scoring.trained_model import narrowed

OTHERS = " To read them too, give --dataset OTHER.toml, a definition with another pattern."


@dataclass(frozen=True)
class Source:
    """Records to score.

    Args:
        names: Names of this run's part, in order.
        refused: Name to why a record cannot be read, known from names alone.
        key: Function of a name to all that its windows depend on besides its files.
        unchanged: Function of a name and the facts of an earlier scoring: whether its files are still the same.
        call: Function of a name to the function that reads it, in any process, and its arguments; it gives a `Night`,
            or why it cannot be read.
        manifest: Function of a name to a `Manifest` of that record alone; to None for recordings.
        note: Note for figures, such as "simulated", or None.
        left_out: Lines on recordings of the folder that are not among the records.
    """

    names: list
    refused: dict
    key: Callable
    unchanged: Callable
    call: Callable
    manifest: Callable
    note: str | None
    left_out: list = field(default_factory=list)


def open_source(folder, model, out, definition=None, shard_index=0, num_shards=1):
    """The records of a folder.

    Args:
        folder: A folder of recordings, one recording, a folder that `prepare` wrote, or the URL of one of these.
        model: `TrainedModel`.
        out: Folder of the scores.
        definition: `Definition` of the recordings; None: the model's.
        shard_index: Which part of the records is this run's.
        num_shards: How many parts there are.

    Returns: `Source`.

    Raises:
        DataError: No records, or data that the model cannot read.
        ValueError: A part that does not exist.
    """
    folder = located(folder)
    folder = folder.absolute() if isinstance(folder, Path) else folder  # workers may have another working folder
    if isinstance(folder, Path) and not folder.exists():
        message = "there is no such file or folder; give a folder of recordings, a recording, or what `prepare` wrote."
        raise DataError(message, file=folder)
    if not isinstance(folder, Path) and folder.url.lower().endswith(SUFFIXES) and folder.is_file():
        folder = local_file(folder)
    part = shard_index, num_shards
    if isinstance(folder, Path) and folder.is_file():
        if folder.suffix.lower() not in SUFFIXES:
            raise DataError(f"is no recording: its name must end in one of {', '.join(SUFFIXES)}.", file=folder)
        alone = replace(definition or model.definition, records=escaped(folder.name))
        return replace(_recordings(folder.parent, model, out, alone, *part), left_out=[])
    if (folder / FILE).is_file():
        if definition is not None:
            raise DataError("is prepared by a definition of its own: omit --dataset.", file=folder)
        return _prepared(Manifest.read(folder), model, *part)
    try:
        return _recordings(local_folder(folder), model, out, definition or model.definition, *part)
    except DataError as error:
        if definition is not None or not isinstance(error, NoRecords):
            raise
        advice = "That is the definition of the model's data; name that of these recordings with --dataset OTHER.toml."
        raise DataError(f"{error.message} {advice}", file=error.file) from error


def _prepared(manifest, model, shard_index, num_shards):
    if not 0 <= shard_index < num_shards:
        raise ValueError(f"`shard_index` must lie in [0, num_shards). Received: {shard_index} of {num_shards}.")
    manifest = laid_out(manifest, model.first_facts.get("definition"))
    shared_modalities(model.encoder, manifest, model.first_facts.get("definition"))
    records = {record.name: record for record in manifest.records[shard_index::num_shards]}

    def alone(name):  # what is sent to a worker does not grow with the number of records
        return replace(manifest, records=[records[name]], set_aside=[])

    return Source(
        list(records),
        {},
        lambda name: [records[name].sha256, manifest.data_hash],
        lambda name, facts: facts.get("sources") == shard_sources(records[name]),
        lambda name: (prepared_night_or_reason, (alone(name), name)),
        alone,
        "simulated" if is_simulated(manifest) else None,
    )


def _recordings(folder, model, out, definition, shard_index, num_shards):
    there = narrowed(definition, model.encoder, model.first_facts.get("definition"))
    there = replace(there, split=Split())  # it divides the people of a training, who need not be here
    there = without_missing_people(there, folder)
    there = without_missing_labels(there, find_records(folder, there))
    work = Work.of(folder, there, out, shard_index, num_shards, True)
    mine = work.headers[shard_index::num_shards]
    paths = {path.stem: path for path in mine if path not in work.refused}
    seconds = any(head.extractor.keep_time for head in model.heads.values())

    def call(name):
        path, used, person, _, strict, sums = work.arguments(paths[name])
        return night_or_reason, (path, used, person, strict, sums, seconds)

    return Source(
        list(paths),
        {path.stem: work.refused[path] for path in mine if path in work.refused},
        lambda name: [work.key(paths[name])],
        lambda name, facts: unchanged(facts, paths[name], work.definition),
        call,
        lambda name: None,
        "simulated" if definition.name == "simulated" else None,
        [line + OTHERS * line.startswith("Left out") for line in left_out(folder, work.headers, there)],
    )
