"""One cell of a comparison: a strategy with one seed in one fold, from training to predictions for test subjects."""

import contextlib
import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from physiokeras.comparison import predictions
from physiokeras.comparison.strategies import Strategy
from physiokeras.errors import DataError
from physiokeras.evaluation.features import some_people
from physiokeras.evaluation.folds import Fold
from physiokeras.experiments import cohort, progress, supervised, training, training_set
from physiokeras.experiments.run_folder import LOCK, to_json
from physiokeras.experiments.settings import CommonSettings, of_role, to_toml
from physiokeras.experiments.training_settings import ProbeSettings, SubsetSettings, probe_options
from physiokeras.files import locked, write_atomic
from physiokeras.models import encoder_of, load, save
from physiokeras.seeds import derive

FACTS = "cell.json"
"""Written last: a cell with this file is done, for what it was asked for."""

FORMER_DEFAULTS = {"supervised_steps": 300, "supervised_interval": 30}
"""Defaults by which the cells of earlier versions are named."""


@dataclass(frozen=True)
class Cell:
    """A strategy with one seed in one fold.

    Args:
        strategy: `Strategy`; its settings have the seed of this repetition.
        seed: The repetition's number, from 0.
        fold: `Fold`.
        folder: The cell's own folder; its name ends in the `cache_key`.
    """

    strategy: Strategy
    seed: int
    fold: Fold
    folder: Path

    @property
    def settings(self) -> Any:
        """The strategy's, with the seed of this repetition."""
        return self.strategy.settings

    @property
    def title(self) -> str:
        """The cell in words."""
        return f"{self.strategy.name}, seed {self.seed}, fold {self.fold.number}"

    @property
    def is_supervised(self) -> bool:
        """Whether it has one network for each task instead of probes on shared features."""
        return self.settings.objective == "supervised" and self.strategy.has_encoder


def plan(settings, manifest, strategies, folds, folder):
    """The cells of a run in the order in which they are computed: those that share a compiled program are adjacent.

    Returns: list of `Cell`.
    """
    cells = []
    for strategy in strategies:
        for fold in folds:
            for seed in range(settings.seeds):
                own = replace(strategy.settings, seed=derive(settings.seed, "repetition", seed))
                name = f"{strategy.name}-seed-{seed}-fold-{fold.number}-{cache_key(strategy, own, fold, manifest)}"
                cells.append(Cell(replace(strategy, settings=own), seed, fold, folder / "cells" / name))
    return cells


def check(strategies, folds, manifest):
    """Refuse what any cell would refuse later, before the first is computed.

    Args:
        strategies: list of `Strategy`.
        folds: list of `Fold`.
        manifest: `Manifest`.

    Raises:
        DataError: As for `cohort.check`, or supervised training without validation people.
    """
    for strategy in (one for one in strategies if one.has_encoder):
        for fold in folds:
            supervised = strategy.settings.objective == "supervised"
            learners = fold.train if supervised else fold.pretrain
            people = {"records": learners, "validation": fold.apart(learners)}
            names = {name: manifest.records_of(chosen) for name, chosen in people.items()}
            cohort.check(strategy.settings, manifest, **names)
            if supervised and not fold.validation:
                message = (
                    "supervised training ends by the loss on validation people, and there are none: hold out --folds."
                )
                raise DataError(message, file=manifest.folder)


def cache_key(strategy, settings, fold, manifest):
    """Hash, of eight letters, of all that a cell's training depends on.

    Settings at their default are left out, so that a setting added later does not rename existing cells.
    """
    roles = [] if not strategy.has_encoder else ["run", "training"]
    roles += ["supervised", "readout"] if settings.objective == "supervised" else []
    names, always = of_role(settings, *roles), of_role(settings, "run")
    used = {
        item.name: getattr(settings, item.name)
        for item in fields(settings)
        if item.name in names and (item.name in always or getattr(settings, item.name) != _default(item))
    }
    facts = [used, strategy.modalities, asdict(fold), manifest.data_hash]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


def _default(item):
    return FORMER_DEFAULTS.get(item.name, item.default)


def is_done(cell, tasks):
    """Whether the cell's folder has all that is asked for."""
    try:
        return json.loads((cell.folder / FACTS).read_bytes())["asked"] == asked(cell, tasks)
    except FileNotFoundError:
        return False


def asked(cell, tasks):
    """Settings and tasks, besides its models, on which a cell's predictions depend.

    Settings of probes and subset maps at their default are left out: cells of earlier versions, which have no mapped
    predictions, stay valid, and tables lack the row.
    """
    s = cell.settings
    common = {item.name for item in fields(CommonSettings)}
    own = [item for item in (*fields(ProbeSettings), *fields(SubsetSettings)) if item.name not in common]
    probe = {item.name: getattr(s, item.name) for item in own if getattr(s, item.name) != item.default}
    predicted = {"scalings": list(s.scalings), "subsets": s.subsets, "refit": s.subsets and s.refit}
    return {"tasks": [task.name for task in tasks], **predicted, **probe}


@contextlib.contextmanager
def taken(cell):
    """A context in which no other process computes a cell.

    Yields: whether the cell is free; false where another process computes it. A process that dies leaves its cell free.
    """
    cell.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(cell.folder / LOCK))
            free = True
        except DataError:
            free = False
        yield free


def compute(cell, manifest, tasks, run, place):
    """Train, probe and predict the test subjects, and keep everything in the cell's folder; existing models are reused.

    The folder gets `settings.toml`, `metrics.csv`, `model/` (`model_TASK/` for supervised networks), `predictions.csv`,
    `subsets.npz` and `cell.json`.

    Args:
        cell: `Cell` that this process has taken.
        manifest: `Manifest`.
        tasks: list of `Task`.
        run: `Run` that the cell belongs to.
        place: Words before each line of progress, such as "Cell 3 of 12".
    """
    title, path = f"{place} ({cell.title})", cell.folder / "settings.toml"
    begun = path.exists()
    write_atomic(path, to_toml(cell.settings))
    began = time.monotonic()
    if cell.is_supervised:
        models = networks(cell, manifest, tasks, run, title)
        seconds = {"train": round(time.monotonic() - began, 1)}
        progress.say(f"{title}: predicts.")
        found = predictions.of_networks(cell, models, manifest, tasks)
    else:
        model = encoder(cell, manifest, run, title) if cell.strategy.has_encoder else None
        seconds = {"train": round(time.monotonic() - began, 1)}
        progress.say(f"{title}: probes.")
        found = predictions.of_probes(cell, cell.strategy.source(model, manifest), manifest, tasks)
    predictions.write(cell.folder, found, tasks)
    facts = {
        "strategy": cell.strategy.name,
        "seed": cell.seed,
        "fold": cell.fold.number,
        "asked": asked(cell, tasks),
        "scores": predictions.scores_of(found, tasks),
        "strengths": found.strengths,
        "left_out": found.left_out,
        "parameters": found.parameters,
        "people": asdict(cell.fold),
        "seconds": {**seconds, **found.seconds},
        "in_parts": begun,
    }
    write_atomic(cell.folder / FACTS, to_json(facts))
    for checkpoints in cell.folder.glob("*checkpoints"):
        shutil.rmtree(checkpoints)  # many cells would fill the disk


def encoder(cell, manifest, run, title):
    """The cell's encoder: read from `model/`, or trained and kept there."""
    folder = cell.folder / "model"
    if is_kept(folder):
        return encoder_of(load(folder))
    records = manifest.records_of(cell.fold.pretrain)
    # With folds, validation people pretrain too: then there is no validation loss.
    others = manifest.records_of(cell.fold.apart(cell.fold.pretrain))
    own = manifest.with_variances_of(records)
    if cell.settings.objective != "untrained":
        progress.say(f"{title}: trains.")
    people = {"records": records, "validation": others}
    model = training.pretrained(cell.settings, own, run, folder=cell.folder, **people, title=title)
    keep(model, folder, cell, manifest)
    return encoder_of(model)


def networks(cell, manifest, tasks, run, title):
    """The cell's supervised networks: read from `model_TASK/`, or trained and kept there.

    Returns: dict of the name of each task with classes to `LinearProbe`, or to None where its training windows are of
        one class.
    """
    found = {}
    for task in (task for task in tasks if task.classes):
        folder = cell.folder / f"model_{task.name}"
        if is_kept(folder):
            found[task.name] = load(folder)
            continue
        people = {"records": learners(cell, manifest, task), "validation": cell.fold.validation}
        records = {name: manifest.records_of(chosen) for name, chosen in people.items()}
        progress.say(f"{title}: trains on {task.name}.")
        own = {"folder": cell.folder, "title": f"{title}, {task.name}"}
        network = supervised.train(task, manifest, cell.settings, run, **own, **records)
        if network is not None:
            keep(network, folder, cell, manifest, task)
        found[task.name] = network
    return found


def is_kept(folder):
    """Whether a folder holds a finished model."""
    return (folder / "metadata.json").exists()


def keep(model, folder, cell, manifest, task=None):
    """Save a cell's model, a supervised one with its task."""
    facts = {"data_hash": manifest.data_hash, "pooling": cell.settings.pooling}
    splits = {name: manifest.records_of(getattr(cell.fold, name)) for name in training_set.SEEN}
    if task:
        del splits["pretrain"]  # supervised networks learn from labels alone
    facts["seen"] = training_set.seen(manifest, {name: records for name, records in splits.items() if records})
    facts |= {"tasks": [asdict(task)]} if task else {}
    save(model, folder, definition=manifest.definition, **facts)


def learners(cell, manifest, task):
    """The training people whose labels a network learns from, the same share of them that probes are fitted on."""
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
