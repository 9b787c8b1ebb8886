import numpy as np
import pytest

from physiokeras.evaluation.bootstrap import bootstrap_over_people, score_intervals
from physiokeras.evaluation.scores import class_scores

pytestmark = pytest.mark.once


def test_interval_of_a_mean_equals_the_closed_form():
    generator = np.random.default_rng(0)
    means = generator.normal(size=400)
    people = np.repeat(np.arange(400), 10)
    interval = bootstrap_over_people(np.mean, (means[people],), people, draws=4000)
    half = 1.96 * means.std() / np.sqrt(400)
    assert interval.value == pytest.approx(means.mean())
    assert (interval.low, interval.high) == pytest.approx((means.mean() - half, means.mean() + half), abs=0.1 * half)


def test_windows_of_one_person_are_drawn_together():
    # All windows of a person are alike: the interval must not shrink with their number.
    values = np.random.default_rng(0).normal(size=30)
    widths = []
    for windows in (1, 50):
        people = np.repeat(np.arange(30), windows)
        interval = bootstrap_over_people(np.mean, (values[people],), people)
        widths.append(interval.high - interval.low)
    assert widths[0] == pytest.approx(widths[1])


def test_same_seed_same_draws():
    labels, people = np.arange(20.0), np.arange(20)
    first, again, other = (bootstrap_over_people(np.mean, (labels,), people, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("classes", [2, 3])
def test_fast_intervals_equal_those_of_redrawn_windows(draw, classes):
    labels, probabilities = draw(classes=classes)
    labels[::7] = -1
    people = np.arange(500) % 15
    fast = score_intervals(labels, probabilities, people, draws=20)
    kept = labels >= 0
    for name, interval in fast.items():
        slow = bootstrap_over_people(
            lambda labels, probabilities, name=name: class_scores(labels, probabilities)[name],
            (labels[kept], probabilities[kept]),
            people[kept],
            draws=20,
        )
        for end in ("value", "low", "high"):
            assert getattr(interval, end) == pytest.approx(getattr(slow, end)), (name, end)


@pytest.mark.parametrize("rare", [False, True])
def test_ranking_in_steps_hardly_moves_the_areas(draw, monkeypatch, rare):
    labels, probabilities = draw(windows=20_000, classes=3)
    if rare:
        kept = (labels != 1) | (np.arange(20_000) % 50 == 0)
        labels, probabilities = labels[kept], probabilities[kept]
    people = np.arange(len(labels)) % 30
    stepped = score_intervals(labels, probabilities, people, draws=50)
    monkeypatch.setattr("physiokeras.evaluation.bootstrap.RANK_BINS", 10**6)
    exact = score_intervals(labels, probabilities, people, draws=50)
    for name in ("auroc", "auprc"):
        assert stepped[name].low == pytest.approx(exact[name].low, abs=5e-4)
        assert stepped[name].high == pytest.approx(exact[name].high, abs=5e-4)


def test_draws_without_the_rare_class_are_counted_as_undefined():
    labels = np.array([1] + [0] * 9)  # one person alone has the positive class
    probabilities = np.stack([1 - labels * 0.8 - 0.1, labels * 0.8 + 0.1], axis=1)
    interval = score_intervals(labels, probabilities, np.arange(10), draws=2000)["auroc"]
    assert (interval.low, interval.high) == (1, 1)
    assert interval.undefined == pytest.approx((1 - 1 / 10) ** 10, abs=0.03)


@pytest.mark.parametrize(
    ("people", "message"), [(np.zeros(5), "at least two. Received: 1"), (np.arange(4), "equally long")]
)
def test_too_few_people_or_other_lengths_are_errors(people, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_over_people(np.mean, (np.arange(5.0),), people)
