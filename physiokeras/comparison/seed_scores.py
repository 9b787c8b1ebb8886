"""Scores of one strategy on one task: of each seed, and their mean over seeds in each draw of people."""

from typing import NamedTuple

import numpy as np

from physiokeras.evaluation.bootstrap import drawn_scores
from physiokeras.evaluation.features import mean_per_person
from physiokeras.evaluation.scores import class_scores


class SeedScores(NamedTuple):
    """Scores of one model, trained with several seeds.

    Args:
        seeds: Score name to `(seeds,)`.
        draws: Score name to `(draws,)`: mean over seeds in each draw of people. Draws of two models that share the same
            `Draws` are paired.
    """

    seeds: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]


def of_windows(targets, probabilities, people, draws, classes=()):
    """Scores of a classification of windows.

    Args:
        targets: `(windows,)` class numbers, -1 where unlabelled.
        probabilities: `(seeds, windows, classes)`.
        people: `(windows,)`.
        draws: `Draws` of people.
        classes: Names of the classes whose F1 is added to `seeds`, as "f1 NAME".

    Returns: `SeedScores` of all of `class_scores` that are single numbers.
    """
    each = [class_scores(targets, own) for own in probabilities]
    drawn = [drawn_scores(targets, own, people, draws) for own in probabilities]
    seeds = {name: np.array([seed[name] for seed in each]) for name in drawn[0]}
    seeds |= {f"f1 {name}": np.array([seed["f1"][number] for seed in each]) for number, name in enumerate(classes)}
    return SeedScores(seeds, {name: np.mean([seed[name] for seed in drawn], axis=0) for name in drawn[0]})


def of_people(targets, probabilities, people, draws):
    """As `of_windows`, with one row for each person: the mean over the person's windows."""
    targets, people = np.asarray(targets), np.asarray(people)
    kept = targets >= 0
    target, names = mean_per_person(targets[kept], people[kept])
    means = np.stack([mean_per_person(own[kept], people[kept])[0] for own in probabilities])
    return of_windows(target.round().astype(np.int64), means, names, draws)


def of_numbers(targets, predicted, people, draws):
    """Mean absolute error, "mae", of each person's mean over windows, such as in years.

    Args:
        targets: `(windows,)`, NaN where unknown.
        predicted: `(seeds, windows)`.
        people: `(windows,)`.
        draws: `Draws` of people.

    Returns: `SeedScores`.
    """
    kept = ~np.isnan(targets)
    target, names = mean_per_person(targets[kept], people[kept])
    errors = np.stack([np.abs(mean_per_person(own[kept], people[kept])[0] - target) for own in predicted])
    counts = draws.counts[:, draws.index(names)]
    with np.errstate(invalid="ignore"):
        drawn = counts @ errors.mean(axis=0) / counts.sum(axis=1)
    return SeedScores({"mae": errors.mean(axis=1)}, {"mae": drawn})


def aggregate(of_tasks, score="balanced_accuracy"):
    """The mean over tasks of a score, as `SeedScores` of that score; our aggregate, since the paper's is not known."""
    return SeedScores(
        {score: np.mean([found.seeds[score] for found in of_tasks], axis=0)},
        {score: np.mean([found.draws[score] for found in of_tasks], axis=0)},
    )
