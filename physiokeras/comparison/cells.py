"""One cell of a comparison: an entrant with one seed in one fold, from training to predictions of its test people."""

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from physiokeras.comparison import predictions
from physiokeras.comparison.strategies import TIME, Entrant
from physiokeras.errors import DataError
from physiokeras.evaluation.features import some_people
from physiokeras.evaluation.folds import Fold
from physiokeras.experiments import compiled_models, devices, supervised, training
from physiokeras.experiments.build import build_encoder, build_model, compile_model
from physiokeras.experiments.run_folder import to_json
from physiokeras.experiments.settings import INVOCATION, CommonSettings, to_toml
from physiokeras.experiments.training_settings import ProbeSettings, TrainingSettings, probe_options
from physiokeras.files import write_atomic
from physiokeras.models import load, save
from physiokeras.seeds import derive

FACTS = "cell.json"
"""Written last: a cell that has it is done, as far as it was asked for."""

UNUSED = {*INVOCATION, "out", "checkpoint_every", "tensorboard"}
"""Settings of a training on which its result does not depend."""

SUPERVISED = (
    *("pooling", "age_threshold", "class_weight", "label_share"),
    *("supervised_steps", "supervised_interval", "patience"),
)
"""Further settings on which supervised networks depend."""


@dataclass(frozen=True)
class Cell:
    """An entrant with one seed in one fold.

    Args:
        entrant: Whose settings have the seed of this repetition.
        seed: The repetition's number, from 0.
        fold: `Fold`.
        folder: The cell's own, whose name ends in a hash of all that its training depends on.
    """

    entrant: Entrant
    seed: int
    fold: Fold
    folder: Path

    @property
    def settings(self):
        """The entrant's."""
        return self.entrant.settings

    @property
    def is_supervised(self):
        """Whether there is a network for each task instead of probes on one encoder."""
        return self.settings.objective == "supervised" and self.entrant.name != TIME


def plan(settings, manifest, entrants, folds, folder):
    """The cells of a run in the order in which they are computed: those of one compiled program follow one another.

    Returns: list of `Cell`.
    """
    cells = []
    for entrant in entrants:
        for fold in folds:
            for seed in range(settings.seeds):
                own = replace(entrant.settings, seed=derive(settings.seed, "repetition", seed))
                name = f"{entrant.name}-seed-{seed}-fold-{fold.number}-{cause(entrant, own, fold, manifest)}"
                cells.append(Cell(replace(entrant, settings=own), seed, fold, folder / "cells" / name))
    return cells


def cause(entrant, settings, fold, manifest):
    """Eight letters that change with whatever a cell's training depends on.

    Settings at their default are left out, so that those of a later version do not rename the cells of an earlier one.
    """
    names = {} if entrant.name == TIME else {item.name for item in fields(TrainingSettings)} - UNUSED
    names = {*names, *(SUPERVISED if settings.objective == "supervised" else ())}
    used = {
        item.name: getattr(settings, item.name)
        for item in fields(settings)
        if item.name in names and (item.name in ("backend", "seed") or getattr(settings, item.name) != item.default)
    }
    facts = [used, entrant.modalities, asdict(fold), manifest.data_hash]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


def is_done(cell, tasks):
    """Whether the cell's folder has all that is asked for."""
    try:
        return json.loads((cell.folder / FACTS).read_bytes())["asked"] == asked(cell, tasks)
    except FileNotFoundError:
        return False


def asked(cell, tasks):
    """On what a cell's predictions depend besides its models; settings of probes at their default are left out."""
    s = cell.settings
    common = {item.name for item in fields(CommonSettings)}
    own = [item for item in fields(ProbeSettings) if item.name not in common]
    probe = {item.name: getattr(s, item.name) for item in own if getattr(s, item.name) != item.default}
    answered = {"scalings": list(s.scalings), "subsets": s.subsets, "refit": s.subsets and s.refit}
    return {"tasks": [task.name for task in tasks], **answered, **probe}


def compute(cell, manifest, tasks, advice=""):
    """Train, probe and predict the test people, and keep it all in the cell's folder; what is there is not repeated.

    The folder gets `settings.toml`, `metrics.csv`, `model/` (`model_TASK/` for supervised networks), `predictions.csv`,
    `subsets.npz` and `cell.json`.

    Args:
        cell: `Cell`.
        manifest: `Manifest`.
        tasks: list of `Task`.
        advice: How to go on after an interruption, a sentence.
    """
    cell.folder.mkdir(parents=True, exist_ok=True)
    write_atomic(cell.folder / "settings.toml", to_toml(cell.settings))
    began = time.monotonic()
    with devices.sharing(cell.settings.devices):
        models, left_out = trained(cell, manifest, tasks, advice)
    trained_at = time.monotonic()
    found = predictions.of(cell, models, manifest, tasks)
    predictions.write(cell.folder, found, tasks)
    facts = {
        "strategy": cell.entrant.name,
        "seed": cell.seed,
        "fold": cell.fold.number,
        "asked": asked(cell, tasks),
        "scores": predictions.scores_of(found, tasks),
        "strengths": found.strengths,
        "left_out": {**left_out, **found.left_out},
        "parameters": found.parameters,
        "people": asdict(cell.fold),
        "seconds": {"train": round(trained_at - began, 1), **found.seconds},
    }
    write_atomic(cell.folder / FACTS, to_json(facts))
    for checkpoints in cell.folder.glob("*checkpoints"):
        shutil.rmtree(checkpoints)  # many cells would fill the disk


def trained(cell, manifest, tasks, advice):
    """The trained models of a cell, read where they are there already.

    Returns: dict of task name, or "" for one that serves all tasks, to model; and dict of task name to why it has none.
    """
    if cell.entrant.name == TIME:
        return {"": None}, {}
    if not cell.is_supervised:
        return {"": kept(cell.folder / "model", lambda: pretrained(cell, manifest, advice), cell, manifest)}, {}
    models = {}
    for task in (task for task in tasks if task.classes):
        models[task.name] = kept(
            cell.folder / f"model_{task.name}", lambda t=task: from_scratch(cell, manifest, t, advice), cell, manifest
        )
    left_out = {name: "the training windows are of one class." for name, model in models.items() if model is None}
    return {name: model for name, model in models.items() if model is not None}, left_out


def kept(folder, make, cell, manifest):
    """The model in a folder, or one that is made now and kept there."""
    if (folder / "metadata.json").exists():
        return load(folder)
    model = make()
    if model is not None:
        facts = {"data_hash": manifest.data_hash, "pooling": cell.settings.pooling}
        save(model, folder, definition=manifest.definition, **facts)
    return model


def pretrained(cell, manifest, advice):
    """The cell's pretrained model; the encoder alone where it is to stay untrained."""
    if cell.settings.objective == "untrained":
        encoder = build_encoder(cell.settings, manifest)
        training.adapt(encoder, manifest, cell.settings, records=manifest.records_of(cell.fold.pretrain))
        return encoder
    records = manifest.records_of(cell.fold.pretrain)
    manifest = manifest.with_variances_of(records)
    model = build_model(cell.settings, manifest)
    training.adapt(model, manifest, cell.settings, records=records)
    compile_model(model, cell.settings)
    with compiled_models.compiled_before(model, cell.settings, manifest.variances) as twin:
        training.fit(twin, manifest, cell.settings, cell.folder, records=records, advice=advice, verbose=0)
    return model


def from_scratch(cell, manifest, task, advice):
    """The cell's supervised network for a task; None where the training windows are of one class."""
    if not cell.fold.validation:
        message = "supervised training ends by the loss on validation people, and there are none: hold out --folds."
        raise DataError(message, file=manifest.folder)
    people = {"records": learners(cell, manifest, task), "validation": cell.fold.validation}
    records = {name: manifest.records_of(chosen) for name, chosen in people.items()}
    return supervised.train(task, manifest, cell.settings, cell.folder, advice=advice, **records)


def learners(cell, manifest, task):
    """The training people whose labels a network learns from: the share of them that probes are fitted on too."""
    pairs = [
        (record.person, task.targets([value])[0])
        for record in manifest.records
        if record.person in cell.fold.train
        for value in manifest.value_counts(record, task.label)
    ]
    if cell.settings.label_share == 1 or not pairs:
        return cell.fold.train
    people, targets = (np.array(column) for column in zip(*pairs, strict=True))
    seed = probe_options(cell.settings)["seed"]
    return some_people(people, targets, cell.settings.label_share, seed).tolist()
