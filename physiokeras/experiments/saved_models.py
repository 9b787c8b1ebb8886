"""Where the models of a run lie: one layout for runs that pretrain, probe, fine-tune or learn from labels alone.

`RUN/model/` holds the model. `RUN/probes/*.npz`, linear layers on its features, and `RUN/subset_maps.npz` lie beside it
unless the model has a linear layer itself. A supervised cell of a comparison has `RUN/model_TASK/` for each task.
"""

from pathlib import Path

from physiokeras.errors import DataError

FACTS = "metadata.json"
"""The file that a folder has if it holds a model."""


def model_folders(path):
    """The folders of a run's models.

    Args:
        path: A run's folder, or a model's.

    Returns: list of `Path`, at least one.

    Raises:
        DataError: No model there; the message says what the folder is instead, as far as that can be told.
    """
    path = Path(path)
    if (path / FACTS).is_file():
        return [path]
    if (path / "model" / FACTS).is_file():
        return [path / "model"]
    found = sorted(folder.parent for folder in path.glob(f"model_*/{FACTS}"))
    if found:
        return found
    if not path.is_dir():
        raise DataError("no such folder; give the folder of a run.", file=path)
    if (path / "run.json").is_file():
        raise DataError("its run has no model: it has not ended yet, or compares several. See its cells/.", file=path)
    raise DataError("no model: give the folder of a run, or its model/ or a folder that `save` wrote.", file=path)


def model_folder(path):
    """The folder of a run's model, the first of several; see `model_folders`."""
    return model_folders(path)[0]


def run_of(path):
    """The folder that holds a run's probes and subset maps, from the run's folder or its model's."""
    folder = model_folder(path)
    return folder.parent if folder.name.startswith("model") else folder
