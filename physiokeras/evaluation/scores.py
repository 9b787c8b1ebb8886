"""Scores of predicted class probabilities, and of predicted numbers."""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from physiokeras.evaluation.features import mean_per_person

CALIBRATION_BINS = 15


def class_scores(labels: np.ndarray, probabilities: np.ndarray) -> dict:
    """All scores of a classification.

    Windows labelled -1 are left out. A class that no label names counts in no average, and its own F1 is NaN. With one
    class only in the labels, all but accuracy and calibration error are NaN: they would compare nothing.

    Args:
        labels: `(windows,)` integers, class indices; -1 where unscored.
        probabilities: `(windows, classes)`, rows that sum to 1.

    Returns: dict of
        `windows`: how many are scored;
        `accuracy`;
        `balanced_accuracy`: mean over classes of the share found (recall);
        `macro_f1`: mean over classes of F1;
        `kappa`: Cohen's;
        `auroc`, `auprc`: areas under the curves, each class against the rest, mean over classes; of class 1 alone where
        there are two classes; the second is average precision, without interpolation;
        `ece`: expected calibration error over 15 equal bins of the winning probability (Guo et al. 2017,
        arXiv 1706.04599);
        `f1`: list, per class;
        `confusion`: nested list, `[true][predicted]`, counts.

    Raises:
        ValueError: Shapes or values that are not as above, or no scored window.
    """
    labels, probabilities = scored(labels, probabilities)
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    areas = [
        _areas(labels == index, probabilities[:, index]) for index in ranked_classes(labels, probabilities.shape[1])
    ]
    auroc, auprc = np.mean(areas, axis=0) if areas else (np.nan, np.nan)
    return {
        "windows": len(labels),
        **{name: float(value) for name, value in agreement(confusion).items()},
        "auroc": float(auroc),
        "auprc": float(auprc),
        "ece": float(calibration_error(calibration_sums(labels, probabilities))),
        "f1": f1(confusion).tolist(),
        "confusion": confusion.tolist(),
    }


def with_chance(title: str, score: str, classes: int) -> str:
    """A score's title, followed by what guessing gives where that does not depend on the data.

    Args:
        title: Such as "AUROC".
        score: A name of `class_scores`.
        classes: Number of classes of the task.

    Returns: such as "AUROC (chance 0.5)".
    """
    chance = {"balanced_accuracy": 1 / classes, "auroc": 0.5, "kappa": 0.0}.get(score)
    return title if chance is None else f"{title} (chance {chance:.2g})"


def main_scores(labels, probabilities):
    """Of `class_scores` balanced accuracy, AUROC and F1 per class, in a tenth of the time: for very many models.

    Args:
        labels: As in `class_scores`.
        probabilities: As in `class_scores`.

    Returns: dict of `balanced_accuracy`, `auroc` and `f1`.
    """
    labels, probabilities = scored(labels, probabilities)
    classes = probabilities.shape[1]
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), classes)
    areas = [_rank_area(labels == index, probabilities[:, index]) for index in ranked_classes(labels, classes)]
    return {
        "balanced_accuracy": float(agreement(confusion)["balanced_accuracy"]),
        "auroc": float(np.mean(areas)) if areas else np.nan,
        "f1": f1(confusion).tolist(),
    }


def scores_by_group(labels, probabilities, groups):
    """`main_scores` of each group of windows, such as by sex or age group.

    Args:
        labels: `(windows,)`.
        probabilities: `(windows, classes)`.
        groups: `(windows,)` strings; windows of the group "" are left out.

    Returns: dict of group to `main_scores`, or to None where the group has no scored window.
    """
    labels, probabilities, groups = np.asarray(labels), np.asarray(probabilities), np.asarray(groups)
    found = {}
    for group in sorted(set(groups.tolist()) - {""}):
        rows = groups == group
        found[group] = main_scores(labels[rows], probabilities[rows]) if (labels[rows] >= 0).any() else None
    return found


def number_scores(values: np.ndarray, predicted: np.ndarray) -> dict:
    """Scores of predicted numbers, such as ages.

    Args:
        values: `(rows,)`; NaN where unknown, which is left out.
        predicted: `(rows,)`.

    Returns: dict of `rows` (how many are known), `mae`, `rmse`, `r2` (share of variance explained) and `pearson`; the
    last two are NaN where the values do not vary.

    Raises:
        ValueError: Shapes that differ, no known value, or a prediction that is not finite.
    """
    values, predicted = np.asarray(values, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if values.ndim != 1 or values.shape != predicted.shape:
        raise ValueError(f"`values` and `predicted` must be (rows,). Received: {values.shape} and {predicted.shape}.")
    known = ~np.isnan(values)
    values, predicted = values[known], predicted[known]
    if not len(values):
        raise ValueError("No value is known: all are NaN.")
    if not np.isfinite(predicted).all():
        raise ValueError("`predicted` must be finite.")
    error = predicted - values
    spread = values.std() * predicted.std()
    r2 = 1 - (error**2).mean() / values.var() if values.var() else np.nan
    pearson = np.mean((values - values.mean()) * (predicted - predicted.mean())) / spread if spread else np.nan
    return {
        "rows": len(values),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": float(r2),
        "pearson": float(pearson),
    }


def error_of_median(targets, people):
    """Mean absolute error over people of the one number that suits them best, their median.

    Args:
        targets: `(windows,)` numbers, of which a person's is the mean; NaN where unknown.
        people: `(windows,)` names.
    """
    known = ~np.isnan(targets)
    own, _ = mean_per_person(targets[known], people[known])
    return float(np.abs(own - np.median(own)).mean())


def scored(labels, probabilities):
    """Labels and probabilities of the scored windows, checked; see `class_scores` for arguments and errors."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            "`labels` must be (windows,) and `probabilities` (windows, classes) with two classes or more. "
            f"Received: {labels.shape} and {probabilities.shape}."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"`labels` must be integers. Received: {labels.dtype}.")
    classes = probabilities.shape[1]
    if len(labels) and not -1 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"`labels` must lie in -1 .. {classes - 1} for {classes} classes. "
            f"Received: {labels.min()} .. {labels.max()}."
        )
    labels, probabilities = labels[labels >= 0], probabilities[labels >= 0]
    if not len(labels):
        raise ValueError("No window is scored: every label is -1.")
    # Written so that NaN fails too.
    if not ((probabilities >= 0).all() and (np.abs(probabilities.sum(axis=1) - 1) < 1e-3).all()):
        raise ValueError("`probabilities` must lie in [0, 1] and sum to 1 in every row.")
    return labels, probabilities


def confusion_matrix(labels, predicted, classes):
    """Counts `(classes, classes)`, true by predicted."""
    counts = np.bincount(np.asarray(labels) * classes + np.asarray(predicted), minlength=classes**2)
    return counts.reshape(classes, classes)


def agreement(confusion):
    """Scores that follow from confusion matrices alone.

    Args:
        confusion: `(..., classes, classes)`, true by predicted.

    Returns: dict of accuracy, balanced_accuracy, macro_f1 and kappa, each `(...)`; see `class_scores`.
    """
    confusion = np.asarray(confusion, dtype=np.float64)
    total = confusion.sum(axis=(-2, -1))
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    several = (true > 0).sum(axis=-1) > 1
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = right.sum(axis=-1) / total
        chance = (true * predicted).sum(axis=-1) / total**2
        kappa = (accuracy - chance) / (1 - chance)
        recall = _mean_over_present(right / true, true)
    return {
        "accuracy": accuracy,
        "balanced_accuracy": np.where(several, recall, np.nan),
        "macro_f1": np.where(several, _mean_over_present(f1(confusion), true), np.nan),
        "kappa": np.where(several, kappa, np.nan),
    }


def f1(confusion):
    """F1 per class, `(..., classes)`; NaN for classes that no label names."""
    confusion = np.asarray(confusion, dtype=np.float64)
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    with np.errstate(invalid="ignore"):
        value = 2 * np.diagonal(confusion, axis1=-2, axis2=-1) / (true + predicted)
    return np.where(true > 0, value, np.nan)


def ranked_classes(labels, classes):
    """The classes over which areas under curves are averaged: class 1 of two, else those that occur."""
    present = np.unique(labels)
    if len(present) < 2:
        return []
    return [1] if classes == 2 else present.tolist()


def calibration_sums(labels, probabilities):
    """Per bin of the winning probability, `(bins, 3)`: windows, sum of that probability, windows predicted right."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # Bins are open below and closed above, as in the source.
    index = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    columns = [np.bincount(index, weights, CALIBRATION_BINS) for weights in (None, confidence, right)]
    return np.stack(columns, axis=-1).astype(np.float64)


def calibration_error(sums):
    """Expected calibration error `(...)` of sums `(..., bins, 3)` as `calibration_sums` gives them."""
    return np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1) / sums[..., 0].sum(axis=-1)


def _areas(positive, score):
    return roc_auc_score(positive, score), average_precision_score(positive, score)


def _rank_area(positive, score):
    """AUROC by the sum of ranks (Mann and Whitney 1947)."""
    hits, misses = positive.sum(), (~positive).sum()
    return (rankdata(score)[positive].sum() - hits * (hits + 1) / 2) / (hits * misses)


def _mean_over_present(values, true):
    present = true > 0
    return np.where(present, values, 0).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
