from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from physiokeras.evaluation import gradient_probe
from physiokeras.evaluation.features import Features
from physiokeras.evaluation.gradient_probe import RATE_GRID, descend
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.tasks import Task

OVER = Task("over", "over", "classes", ("no", "yes"))


def cohort(first, windows=600):
    """Windows with a rare class that the features tell in part."""
    draw = np.random.default_rng(first)
    values = draw.normal(size=(windows, 6)).astype(np.float32) @ draw.normal(size=(6, 6)).astype(np.float32)
    over = (values[:, 0] / values[:, 0].std() + draw.normal(size=windows) > 1.5).astype(np.int64)
    return Features(values * 5 + 100, {"over": over}, np.arange(first, first + windows))


TRAIN, VALIDATION = cohort(0), cohort(1000)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_gradient_descent_ends_where_scikit_learn_does_without_a_penalty(class_weight):
    targets = TRAIN.labels["over"]
    probe = Probe.fit(OVER, TRAIN, strengths=[0.1], classifier="gradient", class_weight=class_weight)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=np.inf, class_weight=class_weight, max_iter=2000))
    model.fit(TRAIN.values.astype(np.float64), targets)
    weights = compute_sample_weight(class_weight, targets)
    reached, least = (log_loss(targets, p.predict_proba(TRAIN.values), sample_weight=weights) for p in (probe, model))
    assert reached == pytest.approx(least, rel=1e-3)
    np.testing.assert_allclose(
        probe.predict_proba(VALIDATION.values), model.predict_proba(VALIDATION.values), atol=0.01
    )


def test_learning_rates_that_share_a_training_end_where_each_ends_alone(monkeypatch):
    monkeypatch.setattr(gradient_probe, "STEPS", 100)
    rows, targets = TRAIN.values / 5 - 20, TRAIN.labels["over"] + 1  # nothing is of class 0
    together = dict(descend(rows, targets, [1e-3, 0.03], "balanced", 3))
    for rate in together:
        ((_, (weights, bias)),) = descend(rows, targets, [rate], "balanced", 3)
        np.testing.assert_allclose(together[rate][0], weights, atol=2e-3)
        assert bias[0] == together[rate][1][0] == -np.inf
    assert np.abs(together[1e-3][0]).max() < np.abs(together[0.03][0]).max()


@pytest.mark.once
def test_learning_rate_is_chosen_by_the_validation_people(monkeypatch):
    monkeypatch.setattr(gradient_probe, "STEPS", 100)
    probe = Probe.fit(OVER, TRAIN, VALIDATION, classifier="gradient")
    assert probe.tried.keys() == set(RATE_GRID)
    assert probe.strength == min(probe.tried, key=probe.tried.get)
    # Labels that the features do not tell ask for a slow one.
    noisy = replace(VALIDATION, labels={"over": np.random.default_rng(1).integers(0, 2, len(VALIDATION.people))})
    assert Probe.fit(OVER, TRAIN, noisy, classifier="gradient").strength < probe.strength
