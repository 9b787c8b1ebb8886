"""Where models lie: a run's folder, a shipped preset, a repository of the hub, or a folder on a remote file system.

All have one layout, whether the run pretrained, probed, fine-tuned or learned from labels alone.

`RUN/model/` holds the model. `RUN/probes/*.npz`, linear layers on its features, and `RUN/subset_maps.npz` lie beside it
unless the model has a linear layer itself. A supervised cell of a comparison has `RUN/model_TASK/` for each task.
"""

import os
import re
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.experiments import hub, places
from physiokeras.pipelines.prepared.remote import is_remote, local_folder

FACTS = "metadata.json"
"""The file that a folder has if it holds a model."""


_WANTED = re.compile(
    r"(model\w*/)?(config\.json|metadata\.json|weights\.safetensors)|run\.json|probes/[^/]+\.npz|subset_maps\.npz"
)
"""Files of a remote run that are copied; checkpoints, figures and data stay there."""

PRESETS = Path(__file__).parents[1] / "presets"
"""Folder of the models that the package ships, each of the layout of a run."""


def preset_names():
    """Sorted names of the shipped models."""
    return sorted(path.parents[1].name for path in PRESETS.glob("*/model/metadata.json"))


def located(name: str | os.PathLike) -> Path:
    """The local folder of a model that a user names.

    Args:
        name: Folder of a run or of a model or its URL, name of a preset, or "hf://user/name@revision".

    Returns: `Path` that exists.

    Raises:
        DataError: None of these; the message lists the presets. Or a download that is refused.
    """
    path, text = Path(name), str(name)
    if text.startswith(hub.PREFIX):
        return hub.download(text)
    if is_remote(text):
        folder = local_folder(text, lambda name: bool(_WANTED.fullmatch(name)))
        files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        hub.check_names({path.relative_to(folder).as_posix(): path.stat().st_size for path in files}, text)
        return folder
    if path.exists():
        return path
    if text in preset_names():
        return PRESETS / text
    presets = f"Presets: {', '.join(preset_names())}" if preset_names() else "This version ships no presets"
    message = (
        f"no such folder, and no preset of that name. {presets}; or give the folder of a run, such as "
        "runs/pretrain-1, or a model of the hub, hf://USER/NAME."
    )
    raise DataError(message, file=text)


def model_folders(path):
    """The folders of a run's models.

    Args:
        path: A run's folder, or a model's, or another name that `located` takes.

    Returns: list of `Path`, at least one.

    Raises:
        DataError: No model there; the message says what the folder is instead, as far as that can be told.
    """
    path = located(path)
    # A repository of the hub has a file of this name for Keras, too.
    if (path / "model" / FACTS).is_file():
        return [path / "model"]
    if (path / FACTS).is_file():
        return [path]
    found = sorted(folder.parent for folder in path.glob(f"model_*/{FACTS}"))
    if found:
        return found
    if (path / "run.json").is_file():
        raise DataError(places.without_model(path), file=path)
    raise DataError("no model: give the folder of a run, or its model/ or a folder that `save` wrote.", file=path)


def model_folder(path):
    """The folder of a run's model, the first of several; see `model_folders`."""
    return model_folders(path)[0]


def run_of(path):
    """The folder that holds a run's probes and subset maps, from the run's folder or its model's."""
    folder = model_folder(path)
    return folder.parent if folder.name.startswith("model") else folder
