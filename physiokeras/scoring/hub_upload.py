"""Uploads a trained model to the Hugging Face Hub."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import keras

from physiokeras.errors import DataError
from physiokeras.experiments import hub
from physiokeras.experiments.saved_models import located, model_folders, run_of
from physiokeras.scoring.model_card import card_text
from physiokeras.scoring.trained_model import TrainedModel, load

_RUN = ("scores", "versions", "backend", "recipe", "data_hash")
"""What of `run.json` is published; the rest is of the machine."""


def push(
    run: str | os.PathLike, to: str, *, license: str | None = None, private: bool = False, message: str | None = None
) -> str:
    """Upload a trained model to the Hugging Face Hub, from where `physiokeras.load(to)` reads it.

    The repository gets weights as safetensors, configuration, probes, the data's definition without names of people,
    scores, a model card, SHA-256 of all files, and a copy that `keras.saving.load_model(to)` reads after
    `import physiokeras.models`. A `README.md` in the run's folder becomes the card's text. Models that an earlier push
    left there are removed.

    Args:
        run: Folder of a run or of a model, or a preset's name.
        to: "hf://user/name"; the repository is created if missing.
        license: The licence of the weights, such as "apache-2.0"; None: that of the model's `metadata.json`.
        private: Whether a new repository is private.
        message: Message of the commit.

    Returns: address with the commit, "hf://user/name@commit".

    Raises:
        DataError: No such model, no licence, or huggingface_hub is not installed.
        ValueError: `to` is no address, or names a revision.
        OSError: The hub refuses the upload.
    """
    repo, _ = hub.parsed(to)
    if "@" in to:
        raise ValueError(f"A model is pushed to the branch main: omit the revision. Received: {to}.")
    package = hub.package()
    model = load(run)
    license = license or model.card["license"]
    if not license:
        raise DataError("the model names no licence; give one with `license` (--license).", file=run)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(model, folder, run)
        own = run_of(located(run)) / "README.md"
        body = own.read_text(encoding="utf-8") if own.is_file() else None
        (folder / "README.md").write_text(card_text(model, to, license, body), encoding="utf-8")
        hub.write_listing(folder)
        hub.check(folder, to)
        api = package.HfApi(library_name="physiokeras")
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            delete_patterns=[f"*{kind}" for kind in hub.LARGEST],
            commit_message=message or "Push a model with physiokeras",
        )
    return f"{hub.PREFIX}{repo}@{done.oid}"


def _write(model: TrainedModel, folder: Path, run) -> None:
    """The files of a repository besides card and listing."""
    keras.saving.save_model(model.model, folder, zipped=False)
    for source in model_folders(run):
        target = folder / (source.name if source.name.startswith("model") else "model")
        target.mkdir()
        for name in ("config.json", "weights.safetensors"):
            shutil.copyfile(source / name, target / name)
        facts = {**model.facts[source.name], "definition": _without_people(model.facts[source.name]["definition"])}
        (target / "metadata.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    for path in [*model.folder.glob("probes/*.npz"), *model.folder.glob("subset_maps.npz")]:
        target = folder / path.relative_to(model.folder)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    known = model.folder / "run.json"
    facts = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    kept = {name: facts[name] for name in _RUN if name in facts}
    (folder / "run.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _without_people(definition):
    """A definition without names of records and people: reading other recordings does not need them."""
    split = {name: value for name, value in definition.get("split", {}).items() if name not in ("pretrain", "people")}
    kept = {name: value for name, value in definition.items() if name != "same_person"}
    return {**kept, **({"split": split} if split else {})}
