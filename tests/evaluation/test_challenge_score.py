import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from physiokeras.evaluation.challenge_score import ChallengeScore, gross_areas

pytestmark = pytest.mark.once

DRAW = np.random.default_rng(0)


def slow(target, probability):
    """The rules word by word: a threshold at a time, loops over samples."""
    pairs = [(round(p * 1000), t) for t, p in zip(target, probability, strict=True) if t != -1]
    recall, precision, alarm = [], [], []
    actual = sum(t for _, t in pairs)
    for threshold in range(1001):
        called = [t for p, t in pairs if p >= threshold]
        recall.append(sum(called) / actual if actual else np.nan)
        precision.append(sum(called) / len(called) if called else 0.0)
        others = len(pairs) - actual
        alarm.append((len(called) - sum(called)) / others if others else np.nan)
    recall.append(0.0)
    alarm.append(0.0)
    auprc = sum(precision[j] * (recall[j] - recall[j + 1]) for j in range(1001))
    auroc = sum((alarm[j] - alarm[j + 1]) * (recall[j] + recall[j + 1]) / 2 for j in range(1001))
    both = 0 < actual < len(pairs)
    return (auprc, auroc) if both else (np.nan, np.nan)


def scored(*records):
    score = ChallengeScore()
    for target, probability in records:
        score.update(target, probability)
    result = score.result()
    return result["auprc"], result["auroc"]


def drawn(samples, share=0.3):
    target = DRAW.choice([-1, 0, 1], samples, p=[0.2, 0.8 - share, share])
    return target, np.clip(DRAW.normal(0.4 + 0.1 * target, 0.2), 0, 1)


@pytest.mark.parametrize(
    "record",
    [
        drawn(300),
        drawn(50, 0.02),
        (np.array([0, 1, 1, 0]), np.full(4, 0.5)),
        (np.array([0, 1, -1]), np.array([0.0, 1.0, 0.3])),
        (np.array([0, 1, -1]), np.array([1.0, 0.0, 0.3])),
        (np.array([0, 1, 0, 1]), np.array([0.1001, 0.1002, 0.1004, 0.0996])),  # all 0.1 once rounded
        (np.array([0, 1, 0]), np.zeros(3)),
        (np.array([1, 1, -1]), np.array([0.1, 0.2, 0.3])),
        (np.array([0, 0]), np.array([0.1, 0.2])),
        (np.array([-1]), np.array([0.1])),
        (np.array([], int), np.array([])),
    ],
    ids=["drawn", "rare", "tied", "perfect", "reversed", "near", "zeros", "positives", "negatives", "unscored", "none"],
)
def test_score_is_that_of_a_slow_computation(record):
    np.testing.assert_allclose(scored(record), slow(*record), atol=1e-12)


def test_score_of_rounded_probabilities_is_scikit_learns():
    target, probability = drawn(5000)
    kept, rounded = target >= 0, np.round(probability * 1000) / 1000
    expected = [f(target[kept], rounded[kept]) for f in (average_precision_score, roc_auc_score)]
    np.testing.assert_allclose(scored((target, probability)), expected, atol=1e-12)


def test_records_are_pooled_in_any_pieces_and_not_averaged():
    first, second = drawn(400), drawn(300, 0.05)
    whole = tuple(np.concatenate(parts) for parts in zip(first, second, strict=True))
    pieces = [(whole[0][i : i + 70], whole[1][i : i + 70]) for i in range(0, 700, 70)]
    assert scored(first, second) == scored(whole) == scored(*pieces)
    assert abs(np.mean([scored(first), scored(second)], axis=0) - scored(whole)).max() > 1e-3


def test_areas_of_many_histograms_are_those_of_each():
    positives, negatives = DRAW.integers(0, 5, (2, 3, 11))
    together = gross_areas(positives, negatives)
    for row in range(3):
        np.testing.assert_allclose([area[row] for area in together], gross_areas(positives[row], negatives[row]))


def test_counts_take_as_much_memory_after_many_samples_as_before():
    score = ChallengeScore()
    for _ in range(3):
        score.update(*drawn(100))
    assert score.positives.shape == score.negatives.shape == (1001,)
    assert score.result()["positives"] + score.result()["negatives"] < 300


@pytest.mark.parametrize(
    ("target", "probability", "message"),
    [
        ([0, 1], [0.5, np.nan], r"`probability` must lie in \[0, 1\]. Received: nan at sample 1"),
        ([0, -1], [0.5, -0.1], "Received: -0.1 at sample 1"),
        ([0, 1], [1.5, 0.1], "Received: 1.5 at sample 0"),
        ([0, 2], [0.5, 0.5], "`target` must be -1, 0 or 1. Received: 2 at sample 1"),
        ([0.0, np.nan], [0.5, 0.5], "Received: nan at sample 1"),
        ([0, 1], [0.5], r"Received: \(2,\) and \(1,\)"),
    ],
)
def test_invalid_record_is_an_error_and_counts_nothing(target, probability, message):
    score = ChallengeScore()
    with pytest.raises(ValueError, match=message):
        score.update(target, probability)
    assert score.positives.sum() + score.negatives.sum() == 0
