import numpy as np
import pytest

from physiokeras.analysis import attention_measures as measure

pytestmark = pytest.mark.once

M, T = 3, 5
MODALITY, TIME = np.repeat(np.arange(M), T), np.tile(np.arange(T), M)
SAME_MODALITY = MODALITY[:, None] == MODALITY
SAME_TIME = TIME[:, None] == TIME
SELF = np.eye(M * T, dtype=bool)
ALL = np.ones((1, M), bool)


def rows_of_one(weights):
    return (weights / weights.sum(axis=1, keepdims=True))[None, None]


def measured(attention, present=ALL, width=1, **times):
    others, even = (measure.without_self(x, present) for x in (attention, measure.uniform(present, T)))
    mass, expected = (measure.spread(x, M, **times) for x in (others, even))
    found = {
        "cross": measure.cross_modality(mass, expected),
        "alignment": measure.alignment(mass, expected, width),
        "others": measure.alignment_of_others(mass, expected, width),
        "bands": measure.bands(others, present),
    }
    return {name: values.mean() for name, values in found.items()}, measure.flow(mass)[0, 0]


def near(width, pairs):
    """Share of the pairs of tokens within a distance, counted one by one."""
    return np.mean([abs(TIME[q] - TIME[k]) <= width for q, k in zip(*np.nonzero(pairs), strict=True)])


def test_uniform_attention_is_one_everywhere_and_without_bands():
    found, flow = measured(rows_of_one(np.ones((M * T, M * T))))
    assert found == pytest.approx({"cross": 1, "alignment": 1, "others": 1, "bands": 0})
    own = (T - 1) / (M * T - 1)
    np.testing.assert_allclose(flow, own * np.eye(M) + (1 - own) / (M - 1) * (1 - np.eye(M)), rtol=1e-6)


def test_attention_within_modalities_only():
    found, flow = measured(rows_of_one(SAME_MODALITY + 0.0))
    assert found["cross"] == found["bands"] == pytest.approx(0, abs=1e-6)
    assert np.isnan(found["others"])
    assert found["alignment"] == pytest.approx(near(1, SAME_MODALITY & ~SELF) / near(1, ~SELF))
    np.testing.assert_allclose(flow, np.eye(M), atol=1e-6)


@pytest.mark.parametrize("width", [0, 1, 2])
def test_attention_to_the_same_time_in_other_modalities_only(width):
    found, flow = measured(rows_of_one(SAME_TIME & ~SAME_MODALITY), width=width)
    assert found["cross"] == pytest.approx((M * T - 1) / ((M - 1) * T))
    assert found["alignment"] == pytest.approx(1 / near(width, ~SELF))
    assert found["others"] == pytest.approx(1 / near(width, ~SAME_MODALITY))
    assert width or found["others"] == pytest.approx(T)
    assert found["bands"] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(flow, (1 - np.eye(M)) / (M - 1), atol=1e-6)


def test_one_vertical_band():
    weights = np.zeros((M * T, M * T))
    weights[:, 7] = 1  # time 2 of the second modality
    found, flow = measured(weights[None, None], width=0)
    assert found["bands"] == pytest.approx(1)
    # The band itself gives all to itself, which leaves 4 queries of its modality: 5 of each of the others see it.
    assert found["cross"] == pytest.approx(10 / 14 / (10 / 14))
    assert found["others"] == pytest.approx(2 / 10 * T)
    np.testing.assert_allclose(flow, np.tile([0, 1, 0], (M, 1)), atol=1e-6)


def test_half_a_band_has_the_entropy_of_its_columns():
    weights = np.full((M * T, M * T), 0.5 / (M * T - 2))
    weights[:, :2] = 0
    weights[2:, :2] = 0.25
    weights[0, 1] = weights[1, 0] = 0.5
    columns = np.r_[weights[:, :2].sum(0), (weights - np.diag(np.diag(weights))).sum(0)[2:]]
    rows = (weights - np.diag(np.diag(weights))).sum(1, keepdims=True)
    columns = ((weights - np.diag(np.diag(weights))) / rows).sum(0)
    share = columns / columns.sum()
    expected = 1 + (share * np.log(share)).sum() / np.log(M * T)
    assert 0.05 < expected < 0.5
    assert measured(weights[None, None])[0]["bands"] == pytest.approx(expected, rel=1e-5)


def test_key_times_permuted_take_away_all_alignment_and_nothing_else():
    weights = rows_of_one(np.exp(-1.0 * np.abs(TIME[:, None] - TIME)))
    draw = np.random.default_rng(0)
    permuted = (np.stack([draw.permutation(T) for _ in range(M)]) for _ in range(300))
    found = [measured(weights, key_times=times)[0] for times in permuted]
    plain = measured(weights)[0]
    assert min(plain["alignment"], plain["others"]) > 1.3
    for name in ("alignment", "others"):
        values = [each[name] for each in found]
        assert np.mean(values) == pytest.approx(1, abs=4 * np.std(values) / 300**0.5)
    assert {round(each["cross"], 5) for each in found} == {round(plain["cross"], 5)}


def test_an_absent_modality_is_no_key_and_no_query():
    present = np.array([[True, False, True]])
    real = np.repeat(present[0], T)
    draw = np.random.default_rng(0)
    weights = draw.random((M * T, M * T)) * real
    found, flow = measured(rows_of_one(weights), present)
    weights[~real] = draw.random((T, M * T))  # what its queries do counts nowhere
    again, _ = measured(rows_of_one(weights), present)
    assert found == pytest.approx(again)
    assert np.isnan(flow[1]).all()
    np.testing.assert_array_equal(flow[[0, 2], 1], 0)
    even, _ = measured(rows_of_one(np.tile(real + 0.0, (M * T, 1))), present)
    assert even == pytest.approx({"cross": 1, "alignment": 1, "others": 1, "bands": 0})


def test_spread_is_what_a_loop_over_pairs_counts():
    draw = np.random.default_rng(1)
    others = measure.without_self(draw.random((2, 3, M * T, M * T)), np.ones((2, M), bool))
    keys = np.stack([draw.permutation(T) for _ in range(M)])
    mass = np.zeros((2, 3, M, M, T))
    for q in range(M * T):
        for k in range(M * T):
            apart = abs(TIME[q] - keys[MODALITY[k], TIME[k]])
            mass[:, :, MODALITY[q], MODALITY[k], apart] += others[:, :, q, k]
    np.testing.assert_allclose(measure.spread(others, M, key_times=keys), mass, rtol=1e-5)
    np.testing.assert_allclose(mass.sum(axis=(-3, -2, -1)), M * T, rtol=1e-5)


def test_curve_is_the_ratio_to_uniform_at_each_distance():
    weights = rows_of_one(np.where(SAME_MODALITY, 1.0, 2.0 ** -np.abs(TIME[:, None] - TIME)))
    others, even = (measure.without_self(x, ALL) for x in (weights, measure.uniform(ALL, T)))
    curve = measure.curve(*(measure.spread(x, M) for x in (others, even)))[0, 0]
    raw = np.where(SAME_MODALITY, 0, others[0, 0])
    pairs = [(np.abs(TIME[:, None] - TIME) == d) & ~SAME_MODALITY for d in range(T)]
    expected = [raw[p].sum() / raw.sum() / (p.sum() / (~SAME_MODALITY).sum()) for p in pairs]
    np.testing.assert_allclose(curve, expected, rtol=1e-5)
    own = measure.curve(*(measure.spread(x, M) for x in (others, even)), others=False)[0, 0]
    np.testing.assert_allclose(own[1:], own[1], rtol=0.2)
    assert np.isnan(own[0])


def test_rollout_is_the_sum_over_all_paths_and_its_rows_sum_to_one():
    layers = np.random.default_rng(2).dirichlet(np.ones(4), size=(2, 3, 4))
    found = measure.rollout(layers)
    np.testing.assert_allclose(found.sum(axis=-1), 1)
    slow = np.zeros((2, 4, 4))
    for a, b, c, d in np.ndindex(4, 4, 4, 4):  # from token a of the last layer down to token d of the input
        steps = [(layers[:, 2 - i, x, y] + (x == y)) / 2 for i, (x, y) in enumerate([(a, b), (b, c), (c, d)])]
        slow[:, a, d] += steps[0] * steps[1] * steps[2]
    np.testing.assert_allclose(found, slow)
