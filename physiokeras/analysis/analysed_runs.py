"""Models, prepared data and held-out people of the runs that `analyze` reads."""

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from physiokeras.comparison.cells import FACTS
from physiokeras.errors import DataError
from physiokeras.evaluation.tasks import tasks_of
from physiokeras.experiments import cohort
from physiokeras.experiments.build import untrained
from physiokeras.experiments.saved_models import model_folder
from physiokeras.experiments.training_settings import CohortSettings
from physiokeras.models import Encoder, encoder_of, load
from physiokeras.models.saving import metadata
from physiokeras.pipelines import Manifest


@dataclass(frozen=True)
class AnalysedModel:
    """A model to analyse.

    Args:
        name: Name of its run in tables and figures.
        model: The loaded model: an `Encoder`, or a model that contains one.
    """

    name: str
    model: object

    @property
    def encoder(self) -> Encoder:
        """The model's encoder."""
        return encoder_of(self.model)

    @property
    def reconstructs(self) -> bool:
        """Whether the model reconstructs modalities from other modalities."""
        return hasattr(self.model, "reconstruct") and len(self.encoder.modalities) > 1


def manifest_of(folder, data=None, workers=2):
    """The prepared data of a run; a simulated cohort that is missing is simulated again.

    Args:
        folder: The run's folder.
        data: Prepared folder to use instead of the run's.
        workers: Processes that simulate a missing cohort.

    Returns: `Manifest`.
    """
    if data is not None:
        return Manifest.read(data)
    folder = Path(folder).resolve()
    if _is_cell(folder):
        folder = folder.parents[1]  # the settings of a comparison's data are those of its run folder
    names = {item.name for item in fields(CohortSettings)}
    known = {name: value for name, value in settings_of(folder).items() if name in names}
    return cohort.prepared(CohortSettings(**{**known, "out": str(folder), "workers": workers}))


def settings_of(folder):
    """Settings of a run, as a dict.

    Raises:
        DataError: The folder has no `settings.toml`.
    """
    path = Path(folder) / "settings.toml"
    if not path.is_file():
        raise DataError("the file is missing; give the folder of a finished run.", file=path)
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _is_cell(folder):
    """Whether a folder belongs to a cell of a comparison."""
    return (Path(folder) / FACTS).exists()


def held_out(folder, manifest, against=()):
    """Names of the records of a comparison cell's test people; None for a run that is not a cell.

    Args:
        folder: The run's folder.
        manifest: `Manifest`.
        against: Folders of other runs, which must have the same test people.

    Raises:
        DataError: The cell was trained on other data, or the runs have different test people.
    """
    people = _test_people(folder, manifest)
    for other in against:
        if _test_people(other, manifest) != people:
            raise DataError(f"has other test people than {folder}, so it was trained on some of them.", file=other)
    return manifest.records_of(people) if _is_cell(folder) else None


def _test_people(folder, manifest):
    """Sorted names of a run's test people."""
    folder = Path(folder)
    if not _is_cell(folder):
        return sorted({record.person for record in manifest.select("test")} if "test" in manifest.splits else ())
    if metadata(model_folder(folder)).get("data_hash") != manifest.data_hash:
        raise DataError(
            f"was trained on other data than {manifest.folder}. Give its own data with --data.", file=folder
        )
    return sorted(json.loads((folder / FACTS).read_bytes())["people"]["test"])


def label_of(manifest):
    """The `Task` of the first label with a class for each window, such as the sleep stage; None if there is none."""
    return next((task for task in tasks_of(manifest.labels).values() if not task.of_people), None)


def analysed_models(run, against):
    """The run's model, then the models that it is compared with; by default the same encoder, untrained.

    Args:
        run: Folder of the run.
        against: Folders of the other runs.

    Returns: list of `AnalysedModel`.

    Raises:
        DataError: A folder has no model, or its model reads other modalities or another number of tokens.
    """
    folders = [Path(run), *map(Path, against)]
    names = [folder.resolve().name for folder in folders]
    # A cell's name ends in a hash.
    names = [name.rpartition("-")[0] if _is_cell(folder) else name for name, folder in zip(names, folders, strict=True)]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    models = [AnalysedModel(name, load(model_folder(folder))) for name, folder in zip(names, folders, strict=True)]
    first = models[0].encoder
    if not against:
        return [*models, AnalysedModel("untrained", untrained(first, settings_of(run).get("seed", 0)))]
    for folder, analysed in zip(folders, models, strict=True):
        if (analysed.encoder.modalities, analysed.encoder.time) != (first.modalities, first.time):
            raise DataError(
                f"its model reads {list(analysed.encoder.modalities)} in {analysed.encoder.time} tokens, that of {run} "
                f"reads {list(first.modalities)} in {first.time}. Compare runs on the same data and modalities.",
                file=folder,
            )
    return models
