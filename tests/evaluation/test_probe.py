from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from physiokeras.evaluation.evaluate import probe_task
from physiokeras.evaluation.features import Features, mean_per_person, neighbours, some_people
from physiokeras.evaluation.probe import C_GRID, Probe
from physiokeras.evaluation.tasks import Task

pytestmark = pytest.mark.once

STAGE = Task("stage", "stage", "classes", ("W", "N1", "N2"))
AGE = Task("age", "age", "threshold", ("up to 55", "over 55"), 55.0)
YEARS = Task("age_years", "age", "years")


def cohort(first, people=12, windows=30, width=8, seed=0):
    """Windows whose features carry a stage of their own and the age of their person."""
    generator = np.random.default_rng([seed, first])
    person = np.repeat(np.arange(first, first + people), windows)
    stage = generator.integers(0, 3, len(person)).astype(np.int32)
    age = generator.uniform(20, 90, people)[person - first].astype(np.float32)
    values = generator.normal(size=(len(person), width)).astype(np.float32)
    values[:, :3] += 3 * np.eye(3)[stage]
    values[:, 3] += (age - 55) / 10
    values = values * 5 + 100
    stage[::9] = -1
    return Features(values, {"stage": stage, "age": age}, np.array([f"p{number:03d}" for number in person]))


TRAIN, VALIDATION, TEST = cohort(0, people=30), cohort(100), cohort(200)


@pytest.mark.parametrize("task", [STAGE, AGE])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_probabilities_equal_those_of_scikit_learn(task, class_weight):
    probe = Probe.fit(task, TRAIN, strengths=[0.1], class_weight=class_weight)
    targets = task.targets(TRAIN.labels[task.label])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight=class_weight, max_iter=2000))
    model.fit(TRAIN.values[targets >= 0].astype(np.float64), targets[targets >= 0])
    np.testing.assert_allclose(probe.predict_proba(TEST.values), model.predict_proba(TEST.values), atol=2e-3)
    np.testing.assert_array_equal(probe.predict(TEST.values), probe.predict_proba(TEST.values).argmax(axis=1))


def test_neighbours_are_those_in_time_of_the_same_record():
    draw = np.random.default_rng(0)
    records, windows = np.repeat([7, 3, 5], [4, 1, 3]), np.array([0, 1, 2, 3, 0, 0, 1, 2])
    order = draw.permutation(8)
    records, windows = records[order], windows[order]
    values = np.stack([records, windows], axis=1).astype(np.float32)
    found = neighbours(values, records, windows, 2).reshape(8, 5, 2)
    for record, window, row in zip(records, windows, found, strict=True):
        last = windows[records == record].max()
        expected = [(record, min(max(window + shift, 0), last)) for shift in range(-2, 3)]
        np.testing.assert_array_equal(row, expected)


def test_mean_context_is_the_mean_of_the_neighbours():
    draw = np.random.default_rng(0)
    values, records = draw.normal(size=(9, 3)).astype(np.float32), np.repeat([1, 0], [4, 5])
    numbers = np.concatenate([np.arange(4), np.arange(5)])
    features = Features(values, {"record": records, "window": numbers}, records)
    found = features.with_context(2, "mean")
    assert (found.context, found.context_mode) == (2, "mean")
    for i, (record, number) in enumerate(zip(records, numbers, strict=True)):
        own = values[records == record]
        rows = [own[min(max(number + shift, 0), len(own) - 1)] for shift in (-2, -1, 0, 1, 2)]
        np.testing.assert_allclose(found.values[i], np.mean(rows, axis=0), atol=1e-6)
    with pytest.raises(ValueError, match=r"must be 'concatenate' or 'mean'\. Received: 'median'"):
        features.with_context(1, "median")


def test_context_tells_what_only_the_neighbours_know():
    numbers = np.arange(len(TRAIN.people))
    labels = {"stage": np.where(np.roll(TRAIN.labels["stage"], 1) < 0, -1, np.roll(TRAIN.labels["stage"], 1))}
    labels |= {"record": np.unique(TRAIN.people, return_inverse=True)[1], "window": numbers % 30}
    shifted = replace(TRAIN, labels=labels)  # the stage of the window before
    with_context = shifted.with_context(1)
    assert with_context.values.shape == (900, 24)
    alone, wide = (Probe.fit(STAGE, features, strengths=[1.0]) for features in (shifted, with_context))
    assert (alone.context, wide.context) == (0, 1)
    known = labels["stage"] >= 0
    right = [
        np.mean(probe.predict(features.values)[known] == labels["stage"][known])
        for probe, features in ((alone, shifted), (wide, with_context))
    ]
    assert right[0] < 0.5 < 0.9 < right[1]
    with pytest.raises(ValueError, match='needs features without it and the labels "record" and "window"'):
        with_context.with_context(1)


def test_share_of_people_has_every_class_and_grows_by_adding():
    people = np.repeat(np.arange(200), 3)
    targets = np.where(people < 4, 1, 0)  # a rare class, of two people in a hundred
    before = set()
    for share, count in ((0.001, 2), (0.01, 2), (0.1, 20), (1.0, 200)):
        chosen = set(some_people(people, targets, share, seed=5).tolist())
        assert len(chosen) == count
        assert {targets[people == person][0] for person in chosen} == {0, 1}
        assert before <= chosen
        before = chosen
    assert before == set(range(200))
    assert set(some_people(people, targets, 0.1, seed=6)) != set(some_people(people, targets, 0.1, seed=5))
    assert len(some_people(people, None, 0.001)) == 2
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]. Received: 0"):
        some_people(people, targets, 0)


def test_probe_of_a_share_is_that_of_its_people():
    probe = Probe.fit(STAGE, TRAIN, strengths=[1.0], label_share=0.1, seed=3)
    scored = TRAIN.labels["stage"] >= 0
    kept = np.isin(TRAIN.people, some_people(TRAIN.people[scored], TRAIN.labels["stage"][scored], 0.1, 3))
    few = Features(TRAIN.values[kept], {"stage": TRAIN.labels["stage"][kept]}, TRAIN.people[kept])
    assert len(np.unique(few.people)) == 3
    np.testing.assert_array_equal(probe.weights, Probe.fit(STAGE, few, strengths=[1.0]).weights)


def test_years_equal_those_of_ridge_on_mean_features():
    probe = Probe.fit(YEARS, TRAIN, strengths=[10.0])
    rows, people = mean_per_person(TRAIN.values, TRAIN.people)
    ages = [TRAIN.labels["age"][TRAIN.people == person][0] for person in people]
    model = make_pipeline(StandardScaler(), Ridge(alpha=10.0)).fit(rows, ages)
    np.testing.assert_allclose(probe.predict(TEST.values), model.predict(TEST.values), rtol=1e-3)


def test_strength_is_chosen_by_the_validation_people():
    probe = Probe.fit(STAGE, TRAIN, VALIDATION)
    assert probe.strength == min(probe.tried, key=probe.tried.get)
    assert len(probe.tried) == 6
    # Labels that the features do not tell ask for the smoothest fit.
    noise = np.random.default_rng(1).integers(0, 3, len(VALIDATION.people))
    noisy = replace(VALIDATION, labels={"stage": noise})
    assert Probe.fit(STAGE, TRAIN, noisy).strength == 1e-4


def test_folds_choose_the_strength_as_grid_search_over_people_does():
    noisy = np.random.default_rng(1)
    few = [cohort(first, people=10, seed=4).of_people([f"p{first + i:03d}" for i in range(7)]) for first in (0, 50)]
    few = [replace(one, values=(one.values + noisy.normal(0, 30, one.values.shape)).astype(np.float32)) for one in few]
    probe = Probe.fit(STAGE, *few, folds=5, class_weight=None)
    values, stage, people = (np.concatenate([get(one) for one in few]) for get in (
        lambda one: one.values, lambda one: one.labels["stage"], lambda one: one.people))  # fmt: skip
    known = stage >= 0
    values, stage, people = values[known].astype(np.float64), stage[known], people[known]
    grid = {"logisticregression__C": list(C_GRID)}
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    found = GridSearchCV(model, grid, scoring="neg_log_loss", cv=GroupKFold(5)).fit(values, stage, groups=people)
    expected = -found.cv_results_["mean_test_score"]
    assert list(probe.tried) == list(C_GRID)
    np.testing.assert_allclose(list(probe.tried.values()), expected, rtol=1e-3)
    assert probe.strength == found.best_params_["logisticregression__C"]
    # Fitted on the people of both sets.
    np.testing.assert_allclose(probe.predict_proba(TEST.values), found.predict_proba(TEST.values), atol=2e-3)


def test_folds_share_out_the_people_of_both_sets_and_no_person_is_on_both_sides():
    few = TRAIN.of_people(["p000", "p001", "p002"])
    assert len(Probe.fit(STAGE, few, folds=5).tried) == 6  # three people, three folds
    one = TRAIN.of_people(["p000"])
    alone = Probe.fit(STAGE, one, folds=5)
    assert (alone.tried, alone.strength) == ({}, 1.0)
    years = Probe.fit(YEARS, TRAIN, VALIDATION, folds=3)
    assert years.strength == min(years.tried, key=years.tried.get)
    shared = Probe.fit(STAGE, TRAIN, VALIDATION, folds=3, label_share=0.1, seed=2)
    people = np.concatenate([TRAIN.people, VALIDATION.people])
    stage = np.concatenate([TRAIN.labels["stage"], VALIDATION.labels["stage"]])
    chosen = some_people(people[stage >= 0], stage[stage >= 0], 0.1, 2)
    parts = [features.of_people(chosen) for features in (TRAIN, VALIDATION)]
    np.testing.assert_array_equal(shared.weights, Probe.fit(STAGE, *parts, folds=3).weights)


def test_test_people_change_nothing_in_the_probe():
    other = cohort(300, seed=9)
    first, second = (probe_task(STAGE, TRAIN, VALIDATION, test, draws=0).probe for test in (TEST, other))
    np.testing.assert_array_equal(first.weights, second.weights)


def test_class_absent_from_training_gets_no_probability():
    labels = np.where(TRAIN.labels["stage"] == 1, -1, TRAIN.labels["stage"])
    probe = Probe.fit(STAGE, replace(TRAIN, labels={"stage": labels}), strengths=[1.0])
    probabilities = probe.predict_proba(TEST.values)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_feature_that_never_varies_does_no_harm():
    values = np.concatenate([TRAIN.values, np.full((len(TRAIN.values), 1), 7.3, np.float32)], axis=1)
    probe = Probe.fit(STAGE, replace(TRAIN, values=values), strengths=[1.0])
    changed = np.concatenate([TEST.values, np.full((len(TEST.values), 1), 7.4, np.float32)], axis=1)
    assert np.isfinite(probe.predict_proba(changed)).all()


def test_task_is_scored_per_window_with_intervals():
    result = probe_task(STAGE, TRAIN, VALIDATION, TEST, draws=100)
    assert result.windows["balanced_accuracy"] > 0.8
    assert result.people is None
    interval = result.intervals["balanced_accuracy"]
    assert interval.low < interval.value == result.windows["balanced_accuracy"] < interval.high
    assert result.windows["windows"] == (TEST.labels["stage"] >= 0).sum()


def test_age_is_scored_per_window_and_per_person_by_mean_probability():
    result = probe_task(AGE, TRAIN, VALIDATION, TEST, draws=100)
    assert (result.windows["windows"], result.people["windows"]) == (360, 12)
    means, people = mean_per_person(result.predictions["probabilities"], TEST.people)
    over = [TEST.labels["age"][TEST.people == person][0] > 55 for person in people]
    assert result.people["accuracy"] == np.mean((means[:, 1] > 0.5) == over)
    assert result.people["accuracy"] > result.windows["accuracy"]
    assert set(result.people_intervals) == set(result.intervals)


def test_age_in_years_is_scored_per_window_and_per_person():
    result = probe_task(YEARS, TRAIN, VALIDATION, TEST)
    assert result.people["rows"] == 12
    assert result.people["mae"] < result.windows["mae"] < 20
    assert result.people["r2"] > 0.7


def relabelled(features, **labels):
    return replace(features, labels={name: np.full(len(features.people), value) for name, value in labels.items()})


@pytest.mark.parametrize(
    ("task", "train", "validation", "message"),
    [
        (STAGE, relabelled(TRAIN, stage=-1), None, "none of the 900 training windows is labelled"),
        (STAGE, relabelled(TRAIN, stage=2), None, "training labels are N2; a probe needs two"),
        (AGE, relabelled(TRAIN, age=70.0), None, "training labels are over 55; a probe needs two"),
        (YEARS, relabelled(TRAIN, age=np.nan), None, "none of the 900 training windows is labelled"),
        (STAGE, TRAIN, relabelled(VALIDATION, stage=-1), "none of the 360 validation windows is labelled"),
        (STAGE, TRAIN, TRAIN, r"in training and validation both. Received: \['p000'"),
        (STAGE, relabelled(TRAIN, age=70.0), None, "needs the label 'stage'. Labels of the training windows: age"),
        (STAGE, relabelled(TRAIN, stage=3), None, r"must lie in -1 .. 2 \(classes W, N1, N2\). Received: 3 .. 3"),
    ],
)
def test_what_cannot_be_fitted_is_an_error(task, train, validation, message):
    with pytest.raises(ValueError, match=message):
        Probe.fit(task, train, validation)


def test_test_person_seen_before_is_an_error():
    with pytest.raises(ValueError, match="must not be in training or validation"):
        probe_task(STAGE, TRAIN, VALIDATION, VALIDATION)


def test_features_of_another_width_or_not_finite_are_errors():
    probe = Probe.fit(STAGE, TRAIN)
    with pytest.raises(ValueError, match=r"must be \(windows, 8\). Received: \(2, 9\)"):
        probe.predict_proba(np.zeros((2, 9)))
    with pytest.raises(ValueError, match="finite"):
        probe.predict_proba(np.full((2, 8), np.nan))
    with pytest.raises(ValueError, match="1 of 2 windows with NaN"):
        Features(np.array([[1.0], [np.nan]]), {}, np.arange(2))
    with pytest.raises(ValueError, match=r"Received: \(2, 1\) and .*\(3,\)"):
        Features(np.zeros((2, 1)), {}, np.arange(3))
