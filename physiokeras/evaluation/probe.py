"""Linear probes: one linear layer on the features of a frozen encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold

from physiokeras.evaluation.features import Features, mean_per_person, some_people
from physiokeras.evaluation.tasks import Task

C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
ALPHA_GRID = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


@dataclass(frozen=True)
class Probe:
    """A fitted linear layer on standardised features.

    Args:
        task: What it predicts.
        mean: `(width,)`, subtracted from the features.
        scale: `(width,)`, by which they are divided then.
        weights: `(width, classes)`; `(width, 1)` for a task in years.
        bias: `(classes,)` or `(1,)`; minus infinity for a class that the training windows lack.
        strength: What was chosen: C of the logistic regression (less is smoother), learning rate of gradient descent,
            or alpha of the ridge regression (more is smoother).
        encoder: Digest of the encoder that made the features; a probe fits no other.
        tried: Strength to loss on the validation people, or to the mean loss on the people held out in turn.
        context: Neighbouring windows on either side that are part of the features.
        context_mode: How they are part, as in `neighbours`.

    Example:
    >>> probe = Probe.fit(task, train, validation)  # features of a frozen encoder
    >>> probe.predict_proba(test.values)  # (windows, classes)
    """

    task: Task
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    strength: float
    encoder: str = ""
    tried: dict[float, float] = field(default_factory=dict)
    context: int = 0
    context_mode: str = "concatenate"

    def __post_init__(self):
        width, outputs = len(self.mean), len(self.task.classes) or 1
        shapes = [self.mean.shape, self.scale.shape, self.weights.shape, self.bias.shape]
        if shapes != [(width,), (width,), (width, outputs), (outputs,)]:
            raise ValueError(f"A probe of {outputs} outputs on {width} features has other shapes. Received: {shapes}.")

    @classmethod
    def fit(
        cls,
        task: Task,
        train: Features,
        validation: Features | None = None,
        *,
        strengths: Sequence[float] | None = None,
        classifier: Literal["logistic", "gradient"] = "logistic",
        class_weight: Literal["balanced"] | None = "balanced",
        label_share: float = 1.0,
        folds: int = 0,
        seed: int = 0,
        encoder: str = "",
    ) -> "Probe":
        """Fit on the training people; choose the strength by the loss on the validation people.

        With `folds`, the strength is cross-validated over the people of both sets, and the probe is fitted on both.

        Classes: multinomial logistic regression on windows. Years: ridge regression on each person's mean features,
        which weighs people alike; a person's prediction is the mean over the windows either way.

        Args:
            task: A `Task`.
            train: `Features`.
            validation: `Features` of other people, or None: the first strength is taken, or the only one given.
            strengths: Strengths to try; default: `C_GRID`, `RATE_GRID` or `ALPHA_GRID`, and 1, 0.01 or 1 without
                validation people.
            classifier: How classes are fitted: "logistic" by scikit-learn with a penalty on the weights; "gradient" by
                gradient descent without one, see `physiokeras.evaluation.gradient_probe`.
            class_weight: "balanced" (classes weigh alike, in the choice of the strength too; it suits balanced accuracy
                and distorts calibration) or None (windows weigh alike).
            label_share: Share of the labelled people to fit on that is used, as `some_people` draws it.
            folds: Groups of people that are held out in turn to choose the strength, by scikit-learn's `GroupKFold`;
                as many as there are people where these are fewer. 0: the loss on the validation people decides.
            seed: Seed of that draw and of the batches of gradient descent.
            encoder: Digest of the encoder that made the features.

        Returns: `Probe`.

        Raises:
            ValueError: No window with a label, one class only, a person in both sets, or no people to choose by.
        """
        if class_weight not in ("balanced", None):
            raise ValueError(f"`class_weight` must be 'balanced' or None. Received: {class_weight!r}.")
        path, grid, default = _method(task, classifier)
        strengths = sorted(strengths or (grid if validation or folds else default))
        if len(strengths) > 1 and validation is None and not folds:
            raise ValueError(f"Choosing among strengths needs validation people. Received: strengths={strengths}.")
        (rows, targets, people), other = _rows(task, train, validation, label_share, folds, seed)
        facts = {"encoder": encoder, "context": train.context, "context_mode": train.context_mode}

        def fitted(rows, targets, strengths):
            mean, scale = _standard(rows)
            found = path((rows - mean) / scale, targets, strengths, class_weight, len(task.classes), seed)
            return [cls(task, mean, scale, *weights, strength, **facts) for strength, weights in found]

        if folds:
            tried = _cross_validated(fitted, rows, targets, people, strengths, folds, class_weight)
            (probe,) = fitted(rows, targets, [min(tried, key=tried.get)] if tried else default)
            return replace(probe, tried=tried)
        probes = fitted(rows, targets, strengths)
        if other is None:
            return probes[0]
        tried = {probe.strength: _loss(probe, other[0], other[1], class_weight) for probe in probes}
        return replace(min(probes, key=lambda probe: tried[probe.strength]), tried=tried)

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Class probabilities `(windows, classes)` of features `(windows, width)`.

        Raises:
            ValueError: Another width, a task in years, or features that are not finite.
        """
        if not self.task.classes:
            raise ValueError("A task in years has no probabilities; use `predict`.")
        logits = self._outputs(features)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        return logits / logits.sum(axis=1, keepdims=True)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The most probable class's number, or years, `(windows,)`, of features `(windows, width)`."""
        outputs = self._outputs(features)
        return outputs.argmax(axis=1) if self.task.classes else outputs[:, 0]

    def _outputs(self, features):
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"Features must be (windows, {len(self.mean)}). Received: {features.shape}.")
        if not np.isfinite(features).all():
            raise ValueError("Features must be finite.")
        return ((features - self.mean) / self.scale @ self.weights).astype(np.float64) + self.bias


def _rows(task, train, validation, label_share, folds, seed):
    """Features, targets and people to fit on, and features and targets of those who choose the strength, or None."""
    rows, targets, people = labelled(task, train, "training")
    other = None
    if validation is not None:
        shared = sorted(set(train.people.tolist()) & set(validation.people.tolist()))
        if shared:
            raise ValueError(f"A person must not be in training and validation both. Received: {shared[:5]}.")
        other = labelled(task, validation, "validation")
    if folds and other is not None:
        pairs = zip((rows, targets, people), other, strict=True)
        rows, targets, people = (np.concatenate(pair) for pair in pairs)
        other = None
    if label_share != 1:
        kept = np.isin(people, some_people(people, targets if task.classes else None, label_share, seed))
        rows, targets, people = rows[kept], targets[kept], people[kept]
    return (rows, targets, people), other and other[:2]


def _cross_validated(fitted, rows, targets, people, strengths, folds, class_weight):
    """Strength to mean loss on the people held out in turn; empty where no fold leaves two different targets."""
    losses = []
    folds = min(folds, len(np.unique(people)))
    if folds < 2:
        return {}
    for train, test in GroupKFold(folds).split(rows, groups=people):
        if len(np.unique(targets[train])) > 1:
            probes = fitted(rows[train], targets[train], strengths)
            losses.append([_loss(probe, rows[test], targets[test], class_weight) for probe in probes])
    return dict(zip(strengths, np.mean(losses, axis=0).tolist(), strict=True)) if losses else {}


def labelled(task, features, what):
    """Rows that a task can use: labelled windows, or labelled people for a task in years.

    Args:
        task: A `Task`.
        features: `Features`.
        what: "training", "validation" or "test", for messages; "training" needs two different targets.

    Returns: features `(rows, width)`, targets `(rows,)`, people `(rows,)`.

    Raises:
        ValueError: No such label, none labelled, or in training one target only.
    """
    if task.label not in features.labels:
        known = ", ".join(features.labels) or "none"
        raise ValueError(f"Task {task.name!r} needs the label {task.label!r}. Labels of the {what} windows: {known}.")
    targets = task.targets(features.labels[task.label])
    kept = targets >= 0 if task.classes else ~np.isnan(targets)
    if not kept.any():
        raise ValueError(f"Task {task.name!r}: none of the {len(targets)} {what} windows is labelled.")
    rows, targets, people = features.values[kept], targets[kept], features.people[kept]
    if not task.classes:
        targets, _ = mean_per_person(targets, people)
        rows, people = mean_per_person(rows, people)
    if what == "training" and len(np.unique(targets)) < 2:
        only = task.classes[targets[0]] if task.classes else f"{targets[0]:g}"
        raise ValueError(
            f"Task {task.name!r}: all {len(targets)} training labels are {only}; a probe needs two different ones."
        )
    return rows, targets, people


def _standard(rows):
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = rows.std(axis=0, dtype=np.float64).astype(np.float32)
    # Dividing a constant feature by its rounding error would amplify noise.
    return mean, np.where(scale > 1e-6 * np.maximum(np.abs(mean), 1e-6), scale, 1).astype(np.float32)


def _method(task, classifier):
    """How a task is fitted: function, strengths to choose among, and the strength where none is chosen."""
    if not task.classes:
        return _ridge, ALPHA_GRID, (1.0,)
    if classifier == "logistic":
        return _logistic, C_GRID, (1.0,)
    if classifier != "gradient":
        raise ValueError(f"`classifier` must be 'logistic' or 'gradient'. Received: {classifier!r}.")
    from physiokeras.evaluation.gradient_probe import RATE_GRID, descend  # which imports Keras

    return descend, RATE_GRID, (0.01,)


def _logistic(rows, targets, strengths, class_weight, classes, _seed):
    """Yields strength and (weights, bias), each fit starting from the last, smoother one."""
    model = LogisticRegression(max_iter=2000, class_weight=class_weight, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength).fit(rows, targets)
        weights = np.zeros((rows.shape[1], classes), np.float32)
        bias = np.full(classes, -np.inf, np.float32)
        two = len(model.classes_) == 2
        # scikit-learn keeps one row for two classes: the second's lead over the first.
        weights[:, model.classes_[1:] if two else model.classes_] = model.coef_.T
        bias[model.classes_] = [0, model.intercept_[0]] if two else model.intercept_
        yield strength, (weights, bias)


def _ridge(rows, targets, strengths, *_):
    for strength in strengths:
        model = Ridge(alpha=strength).fit(rows.astype(np.float64), targets)
        yield strength, (model.coef_[:, None].astype(np.float32), np.array([model.intercept_], np.float32))


def _loss(probe, rows, targets, class_weight):
    """The loss of a fitted layer on other people: cross-entropy, or mean absolute error in years."""
    if not probe.task.classes:
        return float(np.abs(probe.predict(rows) - targets).mean())
    right = probe.predict_proba(rows)[np.arange(len(targets)), targets]
    surprise = -np.log(np.maximum(right, 1e-12))
    if class_weight is None:
        return float(surprise.mean())
    return float(np.mean([surprise[targets == index].mean() for index in np.unique(targets)]))
