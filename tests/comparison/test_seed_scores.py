import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from physiokeras.comparison.pool import Key, Pool
from physiokeras.comparison.seed_scores import aggregate, of_numbers, of_people, of_windows
from physiokeras.comparison.table import score_table
from physiokeras.evaluation.bootstrap import Draws
from physiokeras.evaluation.tasks import Task
from physiokeras.figures import strategy_scores

DRAW = np.random.default_rng(0)
PEOPLE = np.repeat(["a", "b", "c", "d", "e"], 12)
TARGETS = np.where(np.arange(60) % 7 == 6, -1, DRAW.integers(0, 2, 60))
DRAWS = Draws.of(PEOPLE, 40, seed=1)


def predictions(skill, seeds=3):
    """Probabilities `(seeds, windows, 2)` that follow the targets more or less."""
    positive = 1 / (1 + np.exp(-skill * (2 * TARGETS - 1) - DRAW.normal(size=(seeds, 60))))
    return np.stack([1 - positive, positive], axis=-1)


def slowly(score, probabilities):
    """Mean over seeds of a score in each draw, windows repeated as often as their person is drawn."""
    values = []
    for count in DRAWS.counts:
        rows = np.repeat(np.arange(60), count[np.searchsorted(DRAWS.people, PEOPLE)])
        rows = rows[TARGETS[rows] >= 0]
        values.append(np.mean([score(TARGETS[rows], own[rows]) for own in probabilities]))
    return np.array(values)


def balanced(targets, probabilities):
    return balanced_accuracy_score(targets, probabilities.argmax(axis=1))


def area(targets, probabilities):
    return roc_auc_score(targets, probabilities[:, 1])


def f1_of_first(targets, probabilities):
    return f1_score(targets, probabilities.argmax(axis=1), average=None)[0]


@pytest.mark.parametrize(("name", "score"), [("balanced_accuracy", balanced), ("auroc", area)])
def test_difference_draws_the_same_people_on_both_sides_and_averages_seeds(name, score):
    good, poor = predictions(1.0), predictions(0.2)
    keys = [Key(strategy, "raw", "stress") for strategy in ("good", "poor")]
    task = Task("stress", "stress", classes=("rest", "stress"))
    pooled = Pool([task], PEOPLE, {"stress": TARGETS}, dict(zip(keys, (good, poor), strict=True)))
    table = score_table(pooled, [], 40, 1)
    first, second = (("good", "raw", "stress", name), ("poor", "raw", "stress", name))
    known = TARGETS >= 0
    each = [score(TARGETS[known], own[known]) for own in good]
    np.testing.assert_allclose(table.pooled.loc[first], each)
    assert table.mean(*first) == pytest.approx(np.mean(each))
    drawn = slowly(score, good) - slowly(score, poor)
    found = table.difference(first, second)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=1e-6)
    assert found.value == pytest.approx(np.mean(each) - np.mean([score(TARGETS[known], own[known]) for own in poor]))
    own = table.interval(*first)
    assert (own.low, own.high) == pytest.approx(tuple(np.quantile(slowly(score, good), [0.025, 0.975])), abs=1e-6)
    assert table.difference(first, ("other", "raw", "stress", name)) is None
    rest = table.pooled.loc["poor", "raw", "stress", "f1 rest"]
    np.testing.assert_allclose(rest, [f1_of_first(TARGETS[known], own[known]) for own in poor])


def test_person_is_a_row_of_its_mean_probabilities():
    own, targets = predictions(1.0), np.where(PEOPLE < "c", 0, 1)
    found = of_people(targets, own, PEOPLE, DRAWS)
    means = own.reshape(3, 5, 12, 2).mean(axis=2)
    expected = [balanced_accuracy_score([0, 0, 1, 1, 1], row.argmax(axis=1)) for row in means]
    np.testing.assert_allclose(found.seeds["balanced_accuracy"], expected)


def test_error_in_years_is_that_of_each_person_drawn():
    ages = np.repeat([30.0, np.nan, 50.0, 60.0, 70.0], 12)
    years = ages + DRAW.normal(size=(2, 60))
    found = of_numbers(ages, years, PEOPLE, DRAWS)
    errors = np.abs((years - ages).reshape(2, 5, 12).mean(axis=2))[:, [0, 2, 3, 4]]
    np.testing.assert_allclose(found.seeds["mae"], errors.mean(axis=1))
    counts = DRAWS.counts[:, [0, 2, 3, 4]]
    expected = [np.repeat(errors.mean(axis=0), count).mean() for count in counts]
    np.testing.assert_allclose(found.draws["mae"], expected)


def test_aggregate_is_the_mean_over_tasks_in_every_seed_and_draw():
    parts = [of_windows(TARGETS, predictions(skill), PEOPLE, DRAWS) for skill in (1.0, 0.2)]
    found = aggregate(parts)
    for kind in ("seeds", "draws"):
        expected = np.mean([getattr(part, kind)["balanced_accuracy"] for part in parts], axis=0)
        np.testing.assert_allclose(getattr(found, kind)["balanced_accuracy"], expected)


def test_points_stand_at_the_values_and_lines_span_the_intervals():
    values = {"mae": (0.6, 0.5, 0.7, [0.55, 0.65]), "input_dropout": (0.7, 0.6, 0.8, [0.7])}
    figure = strategy_scores.points(
        {"stage": values, "age": {"mae": values["mae"]}}, reference="input_dropout", marked=["mae"], note="simulated"
    )
    first, second = figure.axes
    assert [text.get_text() for text in first.get_yticklabels()] == ["mae", "input dropout"]
    lines = [line.get_xydata().tolist() for line in first.lines]
    assert [[0.5, 0], [0.7, 0]] in lines
    assert [[0.6, 1], [0.8, 1]] in lines
    assert len(second.lines) == 1
    assert "simulated" in figure.get_suptitle()


def test_subset_map_writes_each_score_in_its_place_and_leaves_gaps():
    values = {"unimodal": {"eeg": 0.5, "ecg": 0.4}, "mae": {"eeg": 0.6, "eeg+ecg": 0.7}}
    (panel,) = strategy_scores.subset_map(values, task="stage").axes
    rows = [text.get_text() for text in panel.get_yticklabels()]
    assert rows == ["eeg", "ecg", "eeg ecg"]
    found = {text.get_position(): text.get_text() for text in panel.texts}
    assert found == {(0, 0): "0.50", (0, 1): "0.40", (1, 0): "0.60", (1, 2): "0.70"}


@pytest.mark.filterwarnings("error")
def test_subset_map_without_a_score_is_empty():
    (panel,) = strategy_scores.subset_map({"mae": {"eeg": np.nan}}, task="age").axes
    assert not panel.texts


def test_reliability_is_the_share_right_of_each_bin():
    sums = np.zeros((15, 3))
    sums[9], sums[12], sums[14] = (100, 65, 50), (100, 83, 90), (0, 0, 0)
    (panel,) = strategy_scores.reliability({"mae": sums}, task="stage").axes
    np.testing.assert_allclose(panel.lines[1].get_xydata(), [[0.65, 0.5], [0.83, 0.9]])
