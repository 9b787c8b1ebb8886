"""What `analyze` looks at: models of runs, and the windows that they are shown."""

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from physiokeras.comparison.cells import FACTS
from physiokeras.errors import DataError
from physiokeras.evaluation.tasks import tasks_of
from physiokeras.experiments import cohort
from physiokeras.experiments.build import untrained
from physiokeras.experiments.training_settings import CohortSettings
from physiokeras.models import encoder_of, load
from physiokeras.models.saving import metadata
from physiokeras.pipelines import Manifest


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
        return encoder_of(self.model)

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
    folder = Path(folder).resolve()
    if _is_cell(folder):
        folder = folder.parents[1]  # a cell's data are its comparison's
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


def _is_cell(folder):
    """Whether a folder is that of a cell of a comparison."""
    return (Path(folder) / FACTS).exists()


def held_out(folder, manifest, against=()):
    """Names of the records of the people that a cell of a comparison held out; None for any other run.

    Args:
        folder: The run's folder.
        manifest: `Manifest`.
        against: Folders of other runs, which must have held out the same people.

    Raises:
        DataError: A cell of other data, or runs that held out other people.
    """
    people = _test_people(folder, manifest)
    for other in against:
        if _test_people(other, manifest) != people:
            raise DataError(f"held out other people than {folder}: it knows some of those.", file=other)
    return manifest.records_of(people) if _is_cell(folder) else None


def _test_people(folder, manifest):
    """Sorted names of the people that a run held out."""
    folder = Path(folder)
    if not _is_cell(folder):
        return sorted({record.person for record in manifest.select("test")} if "test" in manifest.splits else ())
    if metadata(folder / "model").get("data_hash") != manifest.data_hash:
        raise DataError(f"was trained on other data than {manifest.folder}. Give its own by --data.", file=folder)
    return sorted(json.loads((folder / FACTS).read_bytes())["people"]["test"])


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
    names = [folder.resolve().name for folder in folders]
    # A cell's name ends in a hash.
    names = [name.rpartition("-")[0] if _is_cell(folder) else name for name, folder in zip(names, folders, strict=True)]
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
