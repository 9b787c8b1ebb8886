import numpy as np
import pytest
from sklearn import metrics

from physiokeras.evaluation.scores import (
    class_scores,
    error_of_median,
    main_scores,
    number_scores,
    scores_by_group,
    with_chance,
)

pytestmark = pytest.mark.once


def test_scores_equal_those_of_scikit_learn(draw):
    labels, probabilities = draw()
    predicted = probabilities.argmax(axis=1)
    ours = class_scores(labels, probabilities)
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
        "kappa": metrics.cohen_kappa_score(labels, predicted),
        "auroc": metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        "auprc": metrics.average_precision_score(np.eye(5)[labels], probabilities, average="macro"),
        "f1": metrics.f1_score(labels, predicted, average=None),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, err_msg=name)
    np.testing.assert_array_equal(ours["confusion"], metrics.confusion_matrix(labels, predicted))


@pytest.mark.parametrize("classes", [2, 5])
def test_main_scores_are_those_of_all_scores(classes, draw):
    labels, probabilities = draw(classes=classes)
    labels[::7] = -1
    probabilities = np.round(probabilities, 1)  # ties
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found, whole = main_scores(labels, probabilities), class_scores(labels, probabilities)
    for name, value in found.items():
        np.testing.assert_allclose(value, whole[name], err_msg=name)
    assert np.isnan(main_scores(np.zeros(9, int), probabilities[:9])["auroc"])


def test_two_classes_are_ranked_by_the_positive_one(draw):
    labels, probabilities = draw(classes=2)
    ours = class_scores(labels, probabilities)
    assert ours["auroc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities[:, 1]))
    assert ours["auprc"] == pytest.approx(metrics.average_precision_score(labels, probabilities[:, 1]))


def test_hand_worked_case():
    # Two of class 0, both right; two of class 1, one right.
    result = class_scores(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]]))
    assert result["accuracy"] == 0.75
    assert result["kappa"] == pytest.approx(0.5)  # (0.75 - 0.5) / (1 - 0.5)
    assert result["f1"] == pytest.approx([4 / 5, 2 / 3])
    assert result["auroc"] == 1.0
    assert result["confusion"] == [[2, 0], [1, 1]]
    assert result["ece"] == pytest.approx((0.1 + 0.2 + 0.6 + 0.3) / 4)


def test_calibration_error_is_confidence_minus_accuracy_in_one_bin():
    labels = np.array([0] * 7 + [1] * 3)
    probabilities = np.tile([0.9, 0.1], (10, 1))
    assert class_scores(labels, probabilities)["ece"] == pytest.approx(0.2)


def test_unscored_windows_count_in_nothing(draw):
    labels, probabilities = draw()
    more = np.concatenate([labels, np.full(50, -1)])
    assert class_scores(more, np.concatenate([probabilities, np.full((50, 5), np.nan)])) == class_scores(
        labels, probabilities
    )


def test_class_absent_from_the_labels_counts_in_no_average(draw):
    labels, probabilities = draw()
    kept = labels != 3
    ours = class_scores(labels[kept], probabilities[kept])
    predicted = probabilities[kept].argmax(axis=1)
    present = [0, 1, 2, 4]
    recalls = metrics.recall_score(labels[kept], predicted, labels=present, average=None)
    areas = [metrics.roc_auc_score(labels[kept] == c, probabilities[kept, c]) for c in present]
    assert np.isnan(ours["f1"][3])
    assert ours["balanced_accuracy"] == pytest.approx(recalls.mean())
    assert ours["macro_f1"] == pytest.approx(metrics.f1_score(labels[kept], predicted, labels=present, average="macro"))
    assert ours["auroc"] == pytest.approx(np.mean(areas))


def test_one_class_only_gives_nan_where_nothing_is_compared():
    result = class_scores(np.zeros(4, int), np.tile([0.9, 0.1], (4, 1)))
    assert result["accuracy"] == 1.0
    for name in ("balanced_accuracy", "macro_f1", "kappa", "auroc", "auprc"):
        assert np.isnan(result[name]), name


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([-1, -1], [[0.5, 0.5]] * 2, "No window is scored"),
        ([0, 2], [[0.5, 0.5]] * 2, r"must lie in -1 .. 1 for 2 classes. Received: 0 .. 2"),
        ([0, 1, 1], [[0.5, 0.5]] * 2, r"Received: \(3,\) and \(2, 2\)"),
        ([0.0, 1.0], [[0.5, 0.5]] * 2, "must be integers. Received: float64"),
        ([0, 1], [[0.5, 0.6]] * 2, "sum to 1"),
        ([0, 1], [[np.nan, 0.5]] * 2, "sum to 1"),
        ([0, 1], [[1.5, -0.5]] * 2, "sum to 1"),
        ([0, 1], [[1.0]] * 2, "two classes or more"),
    ],
)
def test_what_cannot_be_scored_is_an_error(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        class_scores(np.array(labels), np.array(probabilities))


def test_groups_are_scored_apart(draw):
    labels, probabilities = draw()
    labels[:100] = -1
    groups = np.array(["F"] * 50 + ["old"] * 50 + ["M"] * 200 + [""] * 200)
    found = scores_by_group(labels, probabilities, groups)
    assert found == {"F": None, "M": main_scores(labels[100:300], probabilities[100:300]), "old": None}


def test_number_scores_equal_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    values = generator.uniform(20, 90, 50)
    predicted = values + generator.normal(size=50) * 9
    ours = number_scores(np.append(values, np.nan), np.append(predicted, 1))
    assert ours["mae"] == pytest.approx(metrics.mean_absolute_error(values, predicted))
    assert ours["rmse"] == pytest.approx(metrics.root_mean_squared_error(values, predicted))
    assert ours["r2"] == pytest.approx(metrics.r2_score(values, predicted))
    assert ours["pearson"] == pytest.approx(np.corrcoef(values, predicted)[0, 1])


def test_guessing_the_median_errs_by_each_persons_mean():
    people = np.array(["a", "a", "a", "b", "c", "d"])
    # The means are 20, 20, 26 and unknown: their median is 20.
    assert error_of_median(np.array([np.nan, 10, 30, 20, 26, np.nan]), people) == pytest.approx(6 / 3)


def test_numbers_that_cannot_be_scored_are_errors():
    assert np.isnan(number_scores(np.ones(3), np.arange(3.0))["r2"])
    with pytest.raises(ValueError, match="all are NaN"):
        number_scores(np.full(2, np.nan), np.zeros(2))
    with pytest.raises(ValueError, match="finite"):
        number_scores(np.zeros(2), np.array([0, np.inf]))
    with pytest.raises(ValueError, match=r"Received: \(2,\) and \(3,\)"):
        number_scores(np.zeros(2), np.zeros(3))


def test_titles_name_what_guessing_gives():
    draw = np.random.default_rng(0)
    guessed = class_scores(draw.integers(0, 5, 20_000), draw.dirichlet(np.ones(5), 20_000))
    named = {score: with_chance("X", score, 5) for score in ("balanced_accuracy", "auroc", "kappa", "accuracy")}
    assert named.pop("accuracy") == "X"
    for score, text in named.items():
        assert float(text.removeprefix("X (chance ").removesuffix(")")) == pytest.approx(guessed[score], abs=0.02)
