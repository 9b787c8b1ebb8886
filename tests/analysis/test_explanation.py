import numpy as np
import pytest
from scipy.stats import spearmanr

from physiokeras.analysis.explanation import rank_correlation

pytestmark = pytest.mark.once

DRAW = np.random.default_rng(0)
STRATEGY = np.repeat(np.arange(4), 8)


def test_value_is_scipys_and_cells_without_numbers_are_left_out():
    a, b = DRAW.normal(size=(2, 30))
    b[3] = a[7] = np.nan
    found = rank_correlation(a, b)
    known = np.isfinite(a + b)
    assert found.value == pytest.approx(spearmanr(a[known], b[known]).statistic)
    assert found.cells == 28
    assert found.low < found.value < found.high


def test_what_goes_together_says_yes_and_what_does_not_says_no():
    a = DRAW.normal(size=40)
    up, down = (rank_correlation(a, sign * a + DRAW.normal(size=40) * 0.5) for sign in (1, -1))
    assert up.sentence("alignment", "staging").startswith("Yes: the more alignment, the better staging")
    assert down.sentence("alignment", "staging").startswith("Yes: the more alignment, the worse staging")
    excluded = sum(
        not rank_correlation(*DRAW.normal(size=(2, 30)), draws=300).sentence("a", "b").startswith("No")
        for _ in range(100)
    )
    assert excluded < 15


def test_differences_between_strategies_alone_are_gone_within_them():
    a, b = STRATEGY + 0.1 * DRAW.normal(size=(2, 32))
    assert rank_correlation(a, b).low > 0.5
    within = rank_correlation(a, b, STRATEGY)
    assert within.low < 0 < within.high
    assert (
        rank_correlation(a, b).sentence("a", "b", within).startswith("Only between strategies: more a goes with better")
    )
    assert rank_correlation(a, b).sentence("a", "b", rank_correlation(a, a)).startswith("Yes")
    assert rank_correlation(a, b).sentence("a", "b", rank_correlation(a, -a)).startswith("Only between")


def test_interval_within_groups_of_few_holds_zero_where_nothing_goes_together():
    groups = np.repeat(np.arange(6), 2)
    missed = 0
    for _ in range(100):
        found = rank_correlation(*DRAW.normal(size=(2, 12)), groups, draws=200)
        missed += not found.low <= 0 <= found.high
    assert missed < 15


def test_one_seed_tells_nothing_among_encoders_trained_alike():
    a = DRAW.normal(size=20)
    alone = rank_correlation(a, a, np.arange(20))
    assert (alone.cells, np.isnan(alone.value)) == (0, True)
    assert rank_correlation(a, a).sentence("a", "b", alone).endswith("too few seeds to test it.")


def test_too_few_or_constant_cells_say_no():
    for a, b in (([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), (range(5), range(5))):
        found = rank_correlation(a, b)
        assert np.isnan(found.value) or found.low == found.high == 1
        assert found.sentence("alignment", "staging").startswith("No: no correlation of alignment")
