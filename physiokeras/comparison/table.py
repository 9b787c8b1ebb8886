"""Scores of a comparison in one long table, and their draws of people."""

import functools
import itertools
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from physiokeras.comparison import seed_scores
from physiokeras.comparison.cells import FACTS
from physiokeras.comparison.pool import ALL
from physiokeras.comparison.predictions import RAW
from physiokeras.evaluation.bootstrap import Draws, Interval, drawn_agreement, interval
from physiokeras.evaluation.scores import main_scores

AGGREGATE = "aggregate"
OF_PEOPLE = " of people"
COLUMNS = ["strategy", "seed", "fold", "task", "scaling", "probe", "subset", "score", "value"]
KEY = ["strategy", "scaling", "task", "score"]
SUBSET_KEY = ["probe", "strategy", "task", "subset", "score"]
SUBSET_SCORES = ("balanced_accuracy", "auroc")
DRAWN = "balanced_accuracy"
"""The score of `SUBSET_SCORES` that is drawn too: areas of all subsets would take minutes."""


@dataclass(frozen=True)
class ScoreTable:
    """All scores of a comparison.

    Args:
        values: A row for each number, in `COLUMNS`. `fold` is a number, or `ALL` for predictions pooled over folds.
            `task` is a task's name, that name + `OF_PEOPLE` where each person is one row, or `AGGREGATE`. `subset` is
            `ALL`, or names the modalities left, by the probe that `probe` names.
        draws: Pooled scores of all modalities, averaged over seeds, in each draw of people: a row for each `KEY`, a
            column for each draw. Two rows are paired: a column is the same people in both.
        subset_draws: The same with some modalities left, a row for each `SUBSET_KEY`, its score `DRAWN`; or None.
    """

    values: pd.DataFrame
    draws: pd.DataFrame
    subset_draws: pd.DataFrame | None = None

    @functools.cached_property
    def pooled(self) -> pd.DataFrame:
        """Scores of all modalities pooled over folds: a row for each `KEY`, a column for each seed."""
        chosen = self.values[(self.values["fold"] == ALL) & (self.values["subset"] == ALL)]
        return wide(chosen, KEY)

    @functools.cached_property
    def subsets(self) -> pd.DataFrame:
        """Scores with some modalities left: a row for each `SUBSET_KEY`, a column for each seed."""
        return wide(self.values[self.values["probe"] != ""], SUBSET_KEY)

    def interval(self, strategy: str, scaling: str, task: str, score: str) -> Interval:
        """`Interval` over people of the mean over seeds."""
        key = strategy, scaling, task, score
        return interval(self.mean(*key), self.draws.loc[key].to_numpy())

    def difference(self, first: tuple, second: tuple) -> Interval | None:
        """`Interval` over people of the first score less the second, the same people drawn on both sides.

        Args:
            first: A `KEY`, as a tuple.
            second: Another one.

        Returns: `Interval`; None where there is no such score.
        """
        if first not in self.draws.index or second not in self.draws.index:
            return None
        value = self.mean(*first) - self.mean(*second)
        return interval(value, self.draws.loc[first].to_numpy() - self.draws.loc[second].to_numpy())

    def over_subsets(
        self, probe: str, strategy: str, other: str | None, tasks: list[str], subsets: list[str]
    ) -> Interval | None:
        """`Interval` over people of the mean over tasks and subsets of `DRAWN`, or of its difference to another one's.

        Args:
            probe: Which probe.
            strategy: Its name.
            other: Strategy to subtract, the same people drawn on both sides; None: none.
            tasks: Names of the tasks.
            subsets: Names of the subsets.

        Returns: `Interval`; None where a strategy lacks one of the subsets.
        """
        places = list(itertools.product(tasks, subsets))
        keys = [[(probe, name, *place, DRAWN) for place in places] for name in (strategy, other) if name]
        if self.subset_draws is None or not all(key in self.subset_draws.index for own in keys for key in own):
            return None
        value, *less = (float(np.mean(self.subsets.loc[own].to_numpy())) for own in keys)
        draws, *less_draws = (self.subset_draws.loc[own].to_numpy().mean(axis=0) for own in keys)
        return interval(value - sum(less), draws - sum(less_draws))

    def mean(self, *key: str) -> float:
        """Mean over seeds."""
        return float(np.mean(self.pooled.loc[key].to_numpy()))


def score_table(pooled, cells, draws, seed):
    """Score every strategy, scaling and task of a comparison.

    Args:
        pooled: `Pool`.
        cells: list of `Cell`, whose own scores are in the table too.
        draws: Number of draws of people.
        seed: Their seed.

    Returns: `ScoreTable`.
    """
    drawn = Draws.of(pooled.people, draws, seed)
    rows, kept = list(cell_rows(cells)), {}
    for strategy, scaling in dict.fromkeys((key.strategy, key.scaling) for key in pooled.predictions):
        own = pooled.of_row(strategy, scaling)
        for task, found in scores_of_row(pooled, own, drawn).items():
            for score, values in found.seeds.items():
                rows += seed_rows(values, (strategy, task, scaling, "", ALL, score))
            kept |= {(strategy, scaling, task, score): values for score, values in found.draws.items()}
    rows += subset_rows(pooled)
    values = pd.DataFrame(rows, columns=COLUMNS)
    return ScoreTable(values, in_rows(kept, KEY), in_rows(subset_draws(pooled, drawn), SUBSET_KEY))


def in_rows(draws, names):
    """Data frame of a dict of key to `(draws,)`, whose index has these names; None of an empty one."""
    if not draws:
        return None
    return pd.DataFrame(np.stack(list(draws.values())), pd.MultiIndex.from_tuples(draws, names=names))


def cell_rows(cells):
    """Yields table rows of each cell's own scores that are single numbers."""
    for cell in cells:
        for key, scores in facts(cell)["scores"].items():
            task, _, scaling = key.partition(", ")
            for score, value in scores.items():
                if not isinstance(value, list):
                    value = np.nan if value is None else value
                    yield cell.strategy.name, cell.seed, cell.fold.number, task, scaling, "", ALL, score, value


def scores_of_row(pooled, own, draws):
    """Scores of one strategy with one scaling.

    Args:
        pooled: `Pool`.
        own: Task name to predictions `(seeds, windows, classes)`.
        draws: `Draws`.

    Returns: dict of task name to `SeedScores`; with the `AGGREGATE`, where all tasks with classes are predicted.
    """
    found = {}
    for task in (task for task in pooled.tasks if task.name in own):
        targets, values, people = pooled.targets[task.name], own[task.name], pooled.people
        if not task.classes:
            found[task.name] = seed_scores.of_numbers(targets, values[..., 0], people, draws)
            continue
        found[task.name] = seed_scores.of_windows(targets, values, people, draws, task.classes)
        if task.of_people:
            found[task.name + OF_PEOPLE] = seed_scores.of_people(targets, values, people, draws)
    names = [task.name for task in pooled.tasks if task.classes]
    if all(name in found for name in names):
        found[AGGREGATE] = seed_scores.aggregate([found[name] for name in names])
    return found


def subset_rows(pooled):
    """Yields table rows of the scores with only some modalities left."""
    classes = {task.name for task in pooled.tasks if task.classes}
    for key, predicted in pooled.predictions.items():
        if key.probe and key.task in classes:
            each = [main_scores(pooled.targets[key.task], seed) for seed in predicted]
            for score in SUBSET_SCORES:
                row = key.strategy, key.task, key.scaling, key.probe, key.subset, score
                yield from seed_rows([seed[score] for seed in each], row)


def subset_draws(pooled, draws):
    """Dict of `SUBSET_KEY` to `(draws,)`: the mean over seeds of `DRAWN` in each draw of people."""
    classes = {task.name for task in pooled.tasks if task.classes}
    return {
        (key.probe, key.strategy, key.task, key.subset, DRAWN): np.mean(
            [drawn_agreement(pooled.targets[key.task], seed, pooled.people, draws)[DRAWN] for seed in predicted], axis=0
        )
        for key, predicted in pooled.predictions.items()
        if key.probe and key.task in classes
    }


def seed_rows(values, row):
    """Yields a table row for each seed."""
    strategy, *rest = row
    for seed, value in enumerate(values):
        yield strategy, seed, ALL, *rest, value


def wide(values, index):
    """Table rows with a column for each seed; each part of the index keeps the order in which it first appears."""
    found = values.pivot(index=index, columns="seed", values="value")
    places = {name: {part: place for place, part in enumerate(values[name].unique())} for name in index}
    order = [[places[name][part] for name, part in zip(index, key, strict=True)] for key in found.index]
    return found.iloc[sorted(range(len(order)), key=order.__getitem__)]


def facts(cell):
    """Content of a finished cell's `cell.json`."""
    return json.loads((cell.folder / FACTS).read_bytes())


def label(strategy, scaling):
    """A row's name in tables: the strategy's, and the scaling of features that are not raw."""
    return strategy if scaling == RAW else f"{strategy}, {scaling}"


def interval_text(found, digits=3):
    """A difference with its interval, "-" where there is none."""
    if found is None or np.isnan(found.value):
        return "-"
    return f"{found.value:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def best_unimodal(strategies, table):
    """Name of the unimodal strategy with the highest aggregate on the test people, which favours it; or None."""
    keys = [(strategy.name, RAW, AGGREGATE, "balanced_accuracy") for strategy in strategies if strategy.is_unimodal]
    return max((key for key in keys if key in table.draws.index), key=lambda key: table.mean(*key), default=(None,))[0]
