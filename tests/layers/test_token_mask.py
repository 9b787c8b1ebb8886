from itertools import product

import numpy as np
import pytest
from tiny import to_numpy

from physiokeras.layers import ModalityDropout, TokenMask

TIME, MODALITIES = 5, 3
SUBSETS = list(product([False, True], repeat=MODALITIES))
PAIRS = [(p, k) for p in SUBSETS for k in SUBSETS if all(a or not b for a, b in zip(p, k, strict=True))]
PRESENT = np.array([p for p, _ in PAIRS] * 8)
KEPT = np.array([k for _, k in PAIRS] * 8)
ALL = np.ones((2000, MODALITIES), bool)
SCHEMES = ["uniform", "equal", "dirichlet", "block"]


def draw(mask, present=ALL, kept=None, training=True):
    return to_numpy(mask(present, present if kept is None else kept, training=training))


def shown(mask, rows=ALL, training=True):
    """Visible tokens as boolean `(rows, modalities, time)`."""
    return ~draw(mask, rows, training=training)[2].reshape(len(rows), -1, mask.time)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("budget", ["fixed", "proportional"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_rows_see_as_many_tokens_as_defined_and_only_of_what_is_left(scheme, budget, ratio, training):
    mask = TokenMask(TIME, ratio, scheme, span=2, budget=budget, seed=1)
    visible, valid, hidden = draw(mask, PRESENT, KEPT, training)
    assert visible.shape == valid.shape == (len(PRESENT), round((1 - ratio) * 15))
    for row, (present, kept) in enumerate(zip(PRESENT, KEPT, strict=True)):
        tokens = 5 * sum(kept if budget == "proportional" else present)
        count = min(round((1 - ratio) * tokens), 5 * sum(kept))
        assert valid[row].tolist() == [slot < count for slot in range(visible.shape[1])]
        seen = set(visible[row][:count].tolist())
        assert len(seen) == count
        assert all(kept[token // TIME] for token in seen)
        assert [not h for h in hidden[row]] == [token in seen for token in range(15)]


@pytest.mark.parametrize(
    ("budget", "present", "kept", "count"),
    [
        ("fixed", 4, 4, 36),
        ("fixed", 4, 3, 36),
        ("fixed", 4, 1, 30),
        ("fixed", 1, 1, 9),
        ("proportional", 4, 4, 36),
        ("proportional", 4, 3, 27),
        ("proportional", 4, 1, 9),
    ],
)
def test_counts_of_the_default_size(budget, present, kept, count):
    modalities = np.arange(4)[None]
    mask = TokenMask(30, 0.7, budget=budget)
    _, valid, hidden = draw(mask, modalities < present, modalities < kept)
    assert valid.sum() == count == 120 - hidden.sum()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scheme", ["uniform", "equal", "dirichlet"])
def test_every_token_is_as_likely_to_be_seen(scheme, training):
    seen = shown(TokenMask(TIME, 0.6, scheme, seed=2), training=training).reshape(len(ALL), -1).astype(float)
    spread = np.sqrt(0.4 * 0.6 * len(ALL))
    assert np.abs(seen.sum(axis=0) - 0.4 * len(ALL)).max() < 4.5 * spread


def test_uniform_tokens_are_drawn_without_regard_to_each_other():
    seen = shown(TokenMask(TIME, 0.6, seed=2)).reshape(len(ALL), -1).astype(float)
    together = (seen.T @ seen)[np.triu_indices(15, 1)]
    chance = 6 * 5 / (15 * 14)
    assert np.abs(together - chance * len(ALL)).max() < 4.5 * np.sqrt(chance * (1 - chance) * len(ALL))


def test_equal_shows_as_many_of_each_modality_within_one():
    hidden = draw(TokenMask(TIME, 0.5, "equal", seed=3), PRESENT, KEPT)[2].reshape(-1, MODALITIES, TIME)
    counts = (~hidden).sum(axis=2)
    for count, kept in zip(counts, KEPT, strict=True):
        if kept.any():
            assert count[kept].max() - count[kept].min() <= 1


def test_equal_gives_the_odd_token_to_each_modality_in_turn():
    counts = shown(TokenMask(TIME, 0.55, "equal", seed=3)).sum(axis=2)
    assert set(np.unique(counts)) == {2, 3}
    assert np.abs((counts == 3).mean(axis=0) - 1 / 3).max() < 0.05


@pytest.mark.parametrize("alpha", [0.01, 0.1, 1.0, 10.0])
def test_dirichlet_shares_vary_as_alpha_says(alpha):
    counts = shown(TokenMask(30, 0.9, "dirichlet", alpha=alpha, seed=4)).sum(axis=2)
    assert (counts.sum(axis=1) == 9).all()
    shares = counts / 9
    # Variance of a Dirichlet share, and of rounding it to ninths.
    expected = (1 / 3) * (2 / 3) / (3 * alpha + 1)
    np.testing.assert_allclose(shares.var(axis=0), expected + 1 / 12 / 81, rtol=0.12)
    np.testing.assert_allclose(shares.mean(axis=0), 1 / 3, atol=0.05)


@pytest.mark.parametrize("span", [3, 50])
def test_blocks_are_seen_or_hidden_whole_but_one(span):
    seen = shown(TokenMask(20, 0.5, "block", span=span, seed=5), ALL[:200])
    for row in seen:
        cut = 0
        for tokens in row:
            starts = [np.add.reduceat(tokens, [0, *range(offset, 20, span)]) for offset in range(1, min(span, 19) + 1)]
            sizes = [np.diff([0, *range(offset, 20, span), 20]) for offset in range(1, min(span, 19) + 1)]
            cut += min(((s > 0) & (s < n)).sum() for s, n in zip(starts, sizes, strict=True))
        assert cut <= 1
    runs = (np.diff(seen.astype(int), axis=2, prepend=0) == 1).sum(axis=(1, 2))
    assert runs.mean() < 0.7 * (np.diff(shown(TokenMask(20, 0.5, seed=5), ALL[:200]).astype(int)) == 1).sum() / 200


def test_training_draws_differ_and_evaluation_draws_do_not():
    mask = TokenMask(TIME, 0.5, "dirichlet", seed=6)
    first, second = shown(mask), shown(mask)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1]) or not np.array_equal(first[1], first[2])
    fixed = shown(mask, training=False)
    assert np.array_equal(fixed, shown(mask, training=False))
    assert np.array_equal(fixed, shown(TokenMask(TIME, 0.5, "dirichlet", seed=6), training=False))
    assert not np.array_equal(fixed, shown(TokenMask(TIME, 0.5, "dirichlet", seed=7), training=False))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_draws_follow_from_the_seed_and_neighbouring_seeds_are_unrelated(scheme):
    mask, same, next_seed = (TokenMask(TIME, 0.5, scheme, span=2, seed=seed) for seed in (5, 5, 6))
    draws = [shown(mask), shown(mask)]
    assert np.array_equal(draws[0], shown(same))
    others = [shown(next_seed), shown(next_seed)]
    for ours, theirs in product(draws, others):
        correlation = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(len(ALL))


def test_mask_and_dropout_of_one_seed_draw_apart():
    mask, dropout = TokenMask(TIME, 0.5, seed=5), ModalityDropout(per="sample", seed=5)
    left, seen = to_numpy(dropout(ALL, training=True)), shown(mask)
    correlation = np.corrcoef(left.T.astype(float), seen.reshape(len(ALL), -1).T.astype(float))[:3, 3:]
    assert np.abs(correlation).max() < 5 / np.sqrt(len(ALL))
    states = [to_numpy(layer.generator.state.value).tolist()[0] for layer in (mask, dropout)]
    assert states[0] != states[1]


@pytest.mark.parametrize(
    "wrong", [{"ratio": 1}, {"ratio": -0.1}, {"scheme": "x"}, {"budget": "x"}, {"alpha": 0}, {"span": 0}]
)
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        TokenMask(TIME, **wrong)


def test_a_ratio_that_hides_all_is_refused():
    with pytest.raises(ValueError, match="`ratio` must leave a token visible"):
        TokenMask(TIME, 0.99)(ALL, ALL)
