"""What several models reach on the same people, over seeds, and how far they are apart."""

from dataclasses import dataclass

import numpy as np

from physiokeras.evaluation.bootstrap import drawn_scores, interval
from physiokeras.evaluation.features import mean_per_person
from physiokeras.evaluation.scores import scores


@dataclass(frozen=True)
class Reached:
    """Scores of one model, trained with several seeds.

    Args:
        seeds: Score name to `(seeds,)`.
        drawn: Score name to `(draws,)`: mean over seeds in each draw of people; those that two models share are paired.
    """

    seeds: dict
    drawn: dict

    def mean(self, score):
        """Mean over seeds."""
        return float(np.mean(self.seeds[score]))

    def deviation(self, score):
        """Standard deviation over seeds; NaN with one seed."""
        values = self.seeds[score]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def interval(self, score):
        """`Interval` of the mean over people."""
        return interval(self.mean(score), self.drawn[score])

    def less(self, other, score):
        """`Interval` over people of the difference to another model, the same people drawn on both sides."""
        return interval(self.mean(score) - other.mean(score), self.drawn[score] - other.drawn[score])


def reached(targets, probabilities, people, draws):
    """What a model reaches on a classification of windows.

    Args:
        targets: `(windows,)` class numbers, -1 where unlabelled.
        probabilities: `(seeds, windows, classes)`.
        people: `(windows,)`.
        draws: `Draws` of people.

    Returns: `Reached`, of all of `scores` that are single numbers.
    """
    each = [scores(targets, own) for own in probabilities]
    drawn = [drawn_scores(targets, own, people, draws) for own in probabilities]
    return Reached(
        {name: np.array([seed[name] for seed in each]) for name in drawn[0]},
        {name: np.mean([seed[name] for seed in drawn], axis=0) for name in drawn[0]},
    )


def reached_of_people(targets, probabilities, people, draws):
    """As `reached`, a row for each person: the mean over the person's windows."""
    targets, people = np.asarray(targets), np.asarray(people)
    kept = targets >= 0
    target, names = mean_per_person(targets[kept], people[kept])
    means = np.stack([mean_per_person(own[kept], people[kept])[0] for own in probabilities])
    return reached(target.round().astype(np.int64), means, names, draws)


def reached_years(targets, years, people, draws):
    """What a model reaches on an age: mean absolute error of each person's mean over windows, "mae", in years.

    Args:
        targets: `(windows,)`, NaN where unknown.
        years: `(seeds, windows)`.
        people: `(windows,)`.
        draws: `Draws` of people.
    """
    kept = ~np.isnan(targets)
    target, names = mean_per_person(targets[kept], people[kept])
    errors = np.stack([np.abs(mean_per_person(own[kept], people[kept])[0] - target) for own in years])
    counts = draws.counts[:, draws.index(names)]
    with np.errstate(invalid="ignore"):
        drawn = counts @ errors.mean(axis=0) / counts.sum(axis=1)
    return Reached({"mae": errors.mean(axis=1)}, {"mae": drawn})


def aggregate(of_tasks, score="balanced_accuracy"):
    """The mean over tasks of a score, as `Reached` of that score; our aggregate, since the paper's is not known."""
    return Reached(
        {score: np.mean([found.seeds[score] for found in of_tasks], axis=0)},
        {score: np.mean([found.drawn[score] for found in of_tasks], axis=0)},
    )
