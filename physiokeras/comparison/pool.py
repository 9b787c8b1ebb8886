"""Predictions of all cells of a comparison, pooled over folds, every strategy on the same windows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from physiokeras.comparison import predictions
from physiokeras.errors import DataError
from physiokeras.evaluation.tasks import Task

ALL = "all"
"""The subset of all modalities; also the fold of predictions pooled over folds."""


class Key(NamedTuple):
    """Whose predictions: of a strategy, with a scaling of its features, for a task.

    Where only some modalities are left, `subset` is their name and `probe` is `predictions.KEPT`,
    `predictions.MAPPED` or `predictions.REFIT`; otherwise they are `ALL` and "".
    """

    strategy: str
    scaling: str
    task: str
    probe: str = ""
    subset: str = ALL


@dataclass(frozen=True)
class Pool:
    """Predictions of all strategies for the same windows.

    Args:
        tasks: The `Task`s that every strategy with probes predicts.
        people: `(windows,)`.
        targets: Task name to `(windows,)`.
        predictions: `Key` to `(seeds, windows, classes)`; strategy by strategy, scaling by scaling.
    """

    tasks: list[Task]
    people: np.ndarray
    targets: dict[str, np.ndarray]
    predictions: dict[Key, np.ndarray]

    def of_row(self, strategy: str, scaling: str) -> dict[str, np.ndarray]:
        """Task name to the predictions of a strategy with one scaling of its features and all modalities."""
        row = (strategy, scaling, "")
        return {k.task: own for k, own in self.predictions.items() if (k.strategy, k.scaling, k.probe) == row}


def pool(cells, tasks):
    """Read the cells' predictions and concatenate them over folds.

    Args:
        cells: list of `Cell`, all of them done.
        tasks: list of `Task`.

    Returns: `Pool`.

    Raises:
        DataError: Cells whose windows differ from those of the first strategy, or no task that all probes predict.
    """
    found = {}
    for cell in cells:
        seeds = found.setdefault(cell.strategy.name, {})
        seeds.setdefault(cell.seed, []).append(predictions.read(cell.folder, tasks))
    first = next(iter(found.values()))[0]
    keys = [fold.keys for fold in first]
    for cell in cells:
        if found[cell.strategy.name][cell.seed][cell.fold.number].keys != keys[cell.fold.number]:
            raise DataError("predicts other windows than the other cells; remove it, run again.", file=cell.folder)
    tasks = common_tasks(cells, found, tasks)
    pooled = {}
    for strategy in {cell.strategy.name: cell.strategy for cell in cells}.values():
        pooled |= of_strategy(strategy, found[strategy.name], [task.name for task in tasks])
    for strategy in {cell.strategy.name: cell.strategy for cell in cells}.values():
        pooled |= whole_as_subset(strategy, pooled)
    targets = {task.name: np.concatenate([fold.targets[task.name] for fold in first]) for task in tasks}
    return Pool(tasks, np.array([key[0] for fold in keys for key in fold]), targets, pooled)


def common_tasks(cells, found, tasks):
    """The tasks that all strategies with probes predict, in every seed and fold."""
    probing = {cell.strategy.name for cell in cells if not cell.is_supervised} or set(found)
    every = set.intersection(*({task for task, _ in common_keys(found[name], "columns")} for name in probing))
    tasks = [task for task in tasks if task.name in every]
    if not any(task.classes for task in tasks):
        raise DataError("no task with classes has labels of two kinds in the training people of every fold.")
    return tasks


def of_strategy(strategy, seeds, tasks):
    """`Key` to the pooled predictions of a strategy.

    Args:
        strategy: `Strategy`.
        seeds: Seed to list of `Predictions`, one for each fold.
        tasks: Names of tasks.
    """
    columns = [(scaling, task) for task, scaling in common_keys(seeds, "columns") if task in tasks]
    found = {
        Key(strategy.name, scaling, task): stacked(seeds, "columns", (task, scaling))
        for scaling in dict.fromkeys(scaling for scaling, _ in columns)
        for task in [task for other, task in columns if other == scaling]
    }
    for probe, task, subset in common_keys(seeds, "subsets"):
        if task in tasks:
            key = Key(strategy.name, predictions.RAW, task, probe, subset)
            found[key] = stacked(seeds, "subsets", (probe, task, subset))
    return found


def whole_as_subset(strategy, pooled):
    """Raw predictions with all of a strategy's modalities, as those of a subset beside its other subsets.

    Strategies of one modality have no other subset; their predictions stand beside those of the others.
    """
    probes = dict.fromkeys(key.probe for key in pooled if key.probe)
    own = {key.probe for key in pooled if key.strategy == strategy.name}
    name = predictions.subset_name(strategy.modalities)
    return {
        key._replace(probe=probe, subset=name): values
        for key, values in pooled.items()
        for probe in probes
        if key.strategy == strategy.name and key.scaling == predictions.RAW and not key.probe
        if probe in own or len(strategy.modalities) == 1
    }


def common_keys(seeds, what):
    """Keys of the predictions that every seed and fold has, in order."""
    folds = [getattr(fold, what) for folds in seeds.values() for fold in folds]
    return [key for key in folds[0] if all(key in fold for fold in folds)]


def stacked(seeds, what, key):
    """Predictions of all seeds and folds, `(seeds, windows, classes)`."""
    return np.stack([np.concatenate([getattr(fold, what)[key] for fold in folds]) for folds in seeds.values()])
