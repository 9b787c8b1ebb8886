"""From the cells of a comparison to scores: predictions pooled over folds, every entrant on the same windows."""

import itertools
from dataclasses import dataclass

import numpy as np

from physiokeras.comparison import predictions
from physiokeras.comparison.seed_scores import aggregate, reached, reached_of_people, reached_years
from physiokeras.errors import DataError
from physiokeras.evaluation.bootstrap import Draws
from physiokeras.evaluation.scores import main_scores

AGGREGATE = "aggregate"
OF_PEOPLE = " of people"


@dataclass(frozen=True)
class Pool:
    """Predictions of all entrants, in the same order of windows.

    Args:
        tasks: The `Task`s that every encoder answers.
        people: `(windows,)`.
        targets: Task name to `(windows,)`.
        answers: Row (an entrant's name, with ", SCALING" where features are not raw) to task name to `(seeds, windows,
            classes)`.
        subsets: Probe, `answers.KEPT` or `answers.REFIT`, to entrant's name to task name to subset to `(seeds, windows,
            classes)`.
    """

    tasks: list
    people: np.ndarray
    targets: dict
    answers: dict
    subsets: dict


def pool(cells, tasks):
    """Read the cells and put them together.

    Args:
        cells: list of `Cell`, all of them done.
        tasks: list of `Task`.

    Returns: `Pool`.

    Raises:
        DataError: Cells of other windows than the first entrant's, or no task that all encoders answer.
    """
    found = {}
    for cell in cells:
        seeds = found.setdefault(cell.entrant.name, {})
        seeds.setdefault(cell.seed, []).append(predictions.read(cell.folder, tasks))
    first = next(iter(found.values()))[0]
    keys = [fold.keys for fold in first]
    for cell in cells:
        if found[cell.entrant.name][cell.seed][cell.fold.number].keys != keys[cell.fold.number]:
            raise DataError("predicts other windows than the others; remove it and start again.", file=cell.folder)
    encoders = {cell.entrant.name for cell in cells if not cell.is_supervised} or set(found)
    every = set.intersection(*({task for task, _ in common(found[name], "columns")} for name in encoders))
    tasks = [task for task in tasks if task.name in every]
    if not any(task.classes for task in tasks):
        raise DataError("no task with classes has labels of two kinds in the training people of every fold.")
    rows, subsets = {}, {}
    for name, seeds in found.items():
        for task, scaling in common(seeds, "columns"):
            row = name if scaling == predictions.RAW else f"{name}, {scaling}"
            rows.setdefault(row, {})[task] = together(seeds, "columns", (task, scaling))
        for key in common(seeds, "subsets"):
            probe, task, subset = key
            of_subsets = subsets.setdefault(probe, {}).setdefault(name, {}).setdefault(task, {})
            of_subsets[subset] = together(seeds, "subsets", key)
    for entrant in {cell.entrant.name: cell.entrant for cell in cells}.values():
        for probe, (task, whole) in itertools.product(subsets, rows.get(entrant.name, {}).items()):
            if entrant.name in subsets[probe] or len(entrant.modalities) == 1:
                of_subsets = subsets[probe].setdefault(entrant.name, {}).setdefault(task, {})
                of_subsets[predictions.subset_name(entrant.modalities)] = whole
    targets = {task.name: np.concatenate([fold.targets[task.name] for fold in first]) for task in tasks}
    people = np.array([key[0] for fold in keys for key in fold])
    return Pool(tasks, people, targets, rows, subsets)


def common(seeds, what):
    """Keys of the answers that every seed and fold has, in order."""
    folds = [getattr(fold, what) for folds in seeds.values() for fold in folds]
    return [key for key in folds[0] if all(key in fold for fold in folds)]


def together(seeds, what, key):
    """Answers of all seeds and folds, `(seeds, windows, classes)`."""
    return np.stack([np.concatenate([getattr(fold, what)[key] for fold in folds]) for folds in seeds.values()])


def scores_of(pooled, draws, seed):
    """Scores of every row and task.

    Args:
        pooled: `Pool`.
        draws: Number of draws of people.
        seed: Their seed.

    Returns: dict of row to dict of task name to `Reached`; `AGGREGATE` is one of the tasks where a row answers all with
        classes, and "TASK of people" where a task has one answer a person.
    """
    drawn = Draws.of(pooled.people, draws, seed)
    found = {}
    for row, of_tasks in pooled.answers.items():
        own = found[row] = {}
        for task in (task for task in pooled.tasks if task.name in of_tasks):
            given = pooled.targets[task.name], of_tasks[task.name], pooled.people, drawn
            if not task.classes:
                own[task.name] = reached_years(given[0], given[1][..., 0], *given[2:])
                continue
            own[task.name] = reached(*given)
            if task.of_people:
                own[task.name + OF_PEOPLE] = reached_of_people(*given)
        names = [task.name for task in pooled.tasks if task.classes]
        if all(name in own for name in names):
            own[AGGREGATE] = aggregate([own[name] for name in names])
    return found


def best_unimodal(entrants, found):
    """Name of the unimodal entrant with the highest aggregate on the test people, which favours it; or None."""
    names = [entrant.name for entrant in entrants if entrant.is_unimodal and AGGREGATE in found.get(entrant.name, {})]
    return max(names, key=lambda name: found[name][AGGREGATE].mean("balanced_accuracy"), default=None)


def subset_scores(pooled):
    """Scores with only some modalities left.

    Returns: dict of probe to entrant to task to subset to score to `(seeds,)`; the whole of an entrant's modalities
        among them.
    """
    found = {}
    for probe, of_entrants in pooled.subsets.items():
        for name, of_tasks in of_entrants.items():
            for task in (task for task in pooled.tasks if task.classes and task.name in of_tasks):
                own = found.setdefault(probe, {}).setdefault(name, {}).setdefault(task.name, {})
                for subset, answer in of_tasks[task.name].items():
                    each = [main_scores(pooled.targets[task.name], seed) for seed in answer]
                    own[subset] = {
                        score: np.array([seed[score] for seed in each]) for score in ("balanced_accuracy", "auroc")
                    }
    return found
