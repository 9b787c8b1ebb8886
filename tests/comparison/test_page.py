import numpy as np

from physiokeras.comparison import page as pages
from physiokeras.comparison.seed_scores import Reached
from physiokeras.comparison.table import AGGREGATE


def row(value, wide=0.0):
    """A row whose aggregate has this value, and draws as wide as that around it."""
    drawn = value + np.linspace(-wide, wide, 101)
    return {AGGREGATE: Reached({"balanced_accuracy": np.array([value])}, {"balanced_accuracy": drawn})}


def test_verdict_says_what_the_intervals_say():
    found = {"input_dropout": row(0.7), "mae": row(0.6), "pairwise": row(0.65), "leave_one_out": row(0.6, wide=0.1)}
    found |= {"unimodal_eeg": row(0.5), "untrained": row(0.4), "supervised": row(0.75)}
    first, *rest = pages.verdict(found, "unimodal_eeg", "input_dropout")
    assert "comes out in part: of 4 comparisons 2 are as in the paper, 1 cannot be told from chance, 1 are" in first
    assert rest == [
        "input_dropout is above mae: +0.100 [+0.100, +0.100].",
        "mae is below pairwise: -0.050 [-0.050, -0.050].",
        "mae cannot be told from leave_one_out: +0.000 [-0.095, +0.095].",
        "input_dropout is above unimodal_eeg: +0.200 [+0.200, +0.200].",
        "input_dropout is above untrained: +0.300 [+0.300, +0.300].",
        "input_dropout is below supervised: -0.050 [-0.050, -0.050].",
    ]


def test_verdict_is_silent_where_there_is_nothing_to_compare():
    assert pages.verdict({"input_dropout": row(0.7)}, None, "input_dropout") == []
    (only,) = pages.verdict({"mae": row(0.7), "untrained": row(0.6)}, None, "mae")
    assert only == "mae is above untrained: +0.100 [+0.100, +0.100]."


def test_score_that_is_not_defined_is_a_dash_and_compared_with_nothing():
    found = {"mae": row(0.7), "untrained": row(np.nan)}
    assert pages.verdict(found, None, "mae") == []
    score = (AGGREGATE, "balanced_accuracy")
    assert pages.difference(found["mae"], found["untrained"], *score) == "-"
    assert [pages.spread(of[AGGREGATE], score[1]) for of in found.values()] == ["0.700", "-"]


def test_rows_of_scaled_features_are_compared_with_the_reference_scaled_alike():
    assert pages.reference_of("mae", "input_dropout") == "input_dropout"
    assert pages.reference_of("mae, per person", "input_dropout") == "input_dropout, per person"
