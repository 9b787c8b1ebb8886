import numpy as np
import pytest

from physiokeras.analysis.representation import embedding, variance_shares

pytestmark = pytest.mark.once

PEOPLE, STAGES = np.repeat(np.arange(10), 50), np.tile(np.arange(5), 100)


def features(person=0.0, stage=0.0, noise=1.0, width=40):
    """Sums of independent effects, of known variances."""
    draw = np.random.default_rng(0)

    def effect(code, variance):
        levels = draw.normal(size=(code.max() + 1, width))
        levels -= levels.mean(axis=0)
        return levels[code] / levels[code].std(axis=0) * variance**0.5

    return effect(PEOPLE, person) + effect(STAGES, stage) + draw.normal(size=(500, width)) * noise**0.5


def test_shares_are_those_put_in():
    person, stage = variance_shares(features(person=3, stage=1, noise=1) * np.arange(1, 41), PEOPLE, STAGES)
    assert person.alone == pytest.approx(0.6, abs=0.02)
    assert stage.alone == pytest.approx(0.2, abs=0.02)
    # Every person has every stage equally often: neither hides in the other.
    assert person.beyond == pytest.approx(person.alone, abs=1e-6)
    assert stage.beyond == pytest.approx(stage.alone, abs=1e-6)


def test_nothing_put_in_gives_the_null():
    person, stage = variance_shares(features(), PEOPLE, STAGES)
    assert person.null == pytest.approx(9 / 499, abs=0.001)
    assert stage.null == pytest.approx(4 / 499, abs=0.001)
    for share in (person, stage):
        assert share.alone == pytest.approx(share.null, abs=0.003)
        assert share.null < share.null_high < 1.2 * share.null


def test_a_stage_that_is_the_person_adds_nothing_beyond_it():
    values = features(person=1)
    person, stage = variance_shares(values, PEOPLE, PEOPLE // 5)
    assert 0.02 < stage.alone < person.alone
    assert stage.beyond == pytest.approx(0, abs=1e-9)
    assert person.beyond == pytest.approx(person.alone - stage.alone, abs=1e-9)


def test_features_that_do_not_vary_are_left_out_or_refused():
    values = features(person=1)
    padded = np.concatenate([values, np.full((500, 3), 0.1)], axis=1)
    assert variance_shares(padded, PEOPLE, STAGES) == variance_shares(values, PEOPLE, STAGES)
    with pytest.raises(ValueError, match="No feature varies"):
        variance_shares(np.ones((500, 2)), PEOPLE, STAGES)
    with pytest.raises(ValueError, match="Lengths must agree"):
        variance_shares(values, PEOPLE[1:], STAGES)


def test_embedding_keeps_the_two_largest_directions():
    draw = np.random.default_rng(0)
    hidden = draw.normal(size=(300, 2))
    values = np.repeat(hidden, [6, 2], axis=1) + 1e-3 * draw.normal(size=(300, 8))
    places, shares = embedding(np.concatenate([5 * values, np.ones((300, 1))], axis=1))
    for column in range(2):
        assert abs(np.corrcoef(places[:, column], hidden[:, column])[0, 1]) > 0.95
    assert shares == pytest.approx([0.75, 0.25], abs=0.02)
