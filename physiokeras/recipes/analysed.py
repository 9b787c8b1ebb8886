"""What `analyze` looks at: models of runs, and the windows that they are shown."""

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from physiokeras.analysis.batches import BATCH
from physiokeras.analysis.tasks import tasks_of
from physiokeras.errors import DataError
from physiokeras.models import Encoder, load
from physiokeras.pipelines import Manifest, stream
from physiokeras.recipes import cohort
from physiokeras.recipes.cells import FACTS
from physiokeras.recipes.experiment import CohortSettings, untrained
from physiokeras.recipes.folds import records_of


@dataclass(frozen=True)
class Subject:
    """A model that is analysed.

    Args:
        name: Its name in tables and figures.
        model: What its folder holds.
    """

    name: str
    model: object

    @property
    def encoder(self):
        """The model's encoder."""
        return self.model if isinstance(self.model, Encoder) else self.model.encoder

    @property
    def reconstructs(self):
        """Whether it can put modalities where they are missing."""
        return hasattr(self.model, "reconstruct") and len(self.encoder.modalities) > 1


def manifest_of(folder, data=None, workers=2):
    """The prepared data of a run: its own, or the cohort that was simulated for it.

    Args:
        folder: The run's folder.
        data: Prepared data to use instead.
        workers: Processes that simulate, where the cohort is gone.

    Returns: `Manifest`.
    """
    if data is not None:
        return Manifest.read(data)
    names = {item.name for item in fields(CohortSettings)}
    known = {name: value for name, value in settings_of(folder).items() if name in names}
    return cohort.prepared(CohortSettings(**{**known, "out": str(folder), "workers": workers}))


def settings_of(folder):
    """A run's settings as a dict.

    Raises:
        DataError: No run there.
    """
    path = Path(folder) / "settings.toml"
    if not path.is_file():
        raise DataError("missing; give the folder of a finished run.", file=path)
    return tomllib.loads(path.read_text(encoding="utf-8"))


def held_out(folder, manifest):
    """Names of the records of the people that a cell of a comparison held out; None for any other run.

    Args:
        folder: The run's folder.
        manifest: `Manifest`.
    """
    try:
        people = json.loads((Path(folder) / FACTS).read_bytes())["people"]["test"]
    except FileNotFoundError:
        return None
    return records_of(manifest, people)


def label_of(manifest):
    """The `Task` that asks for the first label with one class a window, such as the sleep stage; or None."""
    return next((task for task in tasks_of(manifest.labels).values() if not task.of_people), None)


def subjects_of(run, against):
    """The models to look at: the run's first, then those it is compared with, by default its encoder untrained.

    Args:
        run: Folder of the run.
        against: Folders of others.

    Returns: list of `Subject`.

    Raises:
        DataError: A folder without a model, or with one that reads other windows.
    """
    folders = [Path(run), *map(Path, against)]
    # A cell's name ends in a hash.
    names = [
        folder.resolve().name.rpartition("-")[0] if (folder / FACTS).exists() else folder.resolve().name
        for folder in folders
    ]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    subjects = [Subject(name, load(folder / "model")) for name, folder in zip(names, folders, strict=True)]
    first = subjects[0].encoder
    if not against:
        return [*subjects, Subject("untrained", untrained(first, settings_of(run).get("seed", 0)))]
    for folder, subject in zip(folders, subjects, strict=True):
        if (subject.encoder.modalities, subject.encoder.time) != (first.modalities, first.time):
            raise DataError(
                f"its model reads {list(subject.encoder.modalities)} in {subject.encoder.time} tokens, that of {run} "
                f"reads {list(first.modalities)} in {first.time}. Compare runs on the same data and modalities.",
                file=folder,
            )
    return subjects


def batches(manifest, modalities, limit, *, labels=(), records=None, size=BATCH):
    """Windows spread evenly over the test people (or those of the named records), in full batches but for the last.

    Args:
        manifest: `Manifest`.
        modalities: Names.
        limit: Most windows.
        labels: Names of labels to give besides.
        records: Names of records, instead of those of the test people; without test people, all.
        size: Windows of a batch.

    Yields: inputs, people `(windows,)`, and dict of labels.
    """
    split = "test" if records is None and "test" in manifest.splits else None
    count = sum(record["windows"] for record in manifest.select(split, records))
    keep = np.zeros(count, bool)
    keep[np.linspace(0, count - 1, min(count, limit)).astype(int)] = True
    people = np.array([record["person"] for record in manifest.records])
    chosen = {"labels": [*labels, "record"], "modalities": list(modalities), "records": records}
    waiting, place = None, 0
    for inputs, label in stream(manifest.folder, split, batch_size=4 * size, **chosen).as_numpy_iterator():
        table = {**{("input", k): v for k, v in inputs.items()}, **{("label", k): v for k, v in label.items()}}
        rows = keep[place : place + len(inputs["present"])]
        place += len(rows)
        table = {key: values[rows] for key, values in table.items()}
        waiting = table if waiting is None else {k: np.concatenate([v, table[k]]) for k, v in waiting.items()}
        while len(waiting["label", "record"]) >= size:
            yield _parts({key: values[:size] for key, values in waiting.items()}, people)
            waiting = {key: values[size:] for key, values in waiting.items()}
    if len(waiting["label", "record"]):
        yield _parts(waiting, people)


def arrays(manifest, modalities, limit, **options):
    """The windows of `batches`, together: inputs, people, labels."""
    parts = list(batches(manifest, modalities, limit, **options))
    inputs, people, labels = zip(*parts, strict=True)
    return _joined(inputs), np.concatenate(people), _joined(labels)


def _parts(table, people):
    inputs = {name: values for (kind, name), values in table.items() if kind == "input"}
    labels = {name: values for (kind, name), values in table.items() if kind == "label"}
    return inputs, people[labels["record"]], labels


def _joined(tables):
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
