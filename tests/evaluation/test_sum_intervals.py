import numpy as np
import pytest

from physiokeras.evaluation.bootstrap import bootstrap_over_people
from physiokeras.evaluation.sum_intervals import sum_intervals

pytestmark = pytest.mark.once


def test_intervals_of_ratios_are_those_of_windows_drawn_by_person():
    draw = np.random.default_rng(0)
    people = np.repeat(np.arange(12), draw.integers(1, 9, 12))
    a, b = draw.gamma(2, size=(2, len(people)))
    sums = [np.bincount(people, x) for x in (a, b)]
    found = sum_intervals(lambda a, b: a / b, sums, seed=3)
    expected = bootstrap_over_people(lambda a, b: a.sum() / b.sum(), (a, b), people, seed=3)
    assert [float(x) for x in found] == pytest.approx([expected.value, expected.low, expected.high])


def test_one_person_and_what_is_never_defined_have_no_interval():
    value, low, high = sum_intervals(lambda a: a, [np.ones((1, 2))])
    assert value.tolist() == [1, 1]
    assert np.isnan([low, high]).all()
    _, low, high = sum_intervals(lambda a: np.where(a > 0, a, np.nan), [np.zeros((3, 2))])
    assert np.isnan([low, high]).all()
