import numpy as np
import pytest
from tiny import to_numpy

from physiokeras.layers import attend

DRAW = np.random.default_rng(0)
QUERY = DRAW.normal(size=(4, 5, 2, 3)).astype("float32")
KEY, VALUE = DRAW.normal(size=(2, 4, 6, 2, 3)).astype("float32")
VALID = np.arange(6)[None] < np.array([6, 3, 1, 0])[:, None]
BY_QUERY = np.arange(6) < DRAW.integers(0, 7, size=(4, 5, 1))


def together(*parts):
    """Heads beside each other along the width."""
    return [part.reshape(*part.shape[:2], 6) for part in parts]


def by_hand(valid):
    weights, mixed = np.zeros((4, 2, 5, 6)), np.zeros((4, 5, 2, 3))
    for row in range(4):
        for head in range(2):
            for query in range(5):
                seen = valid[row, query] if valid.ndim == 3 else valid[row]
                # A row without a key is the plain average over all.
                keys = np.flatnonzero(seen) if seen.any() else None
                if keys is None:
                    weights[row, head, query] = 1 / 6
                else:
                    scores = np.exp(KEY[row, keys, head] @ QUERY[row, query, head] / np.sqrt(3))
                    weights[row, head, query, keys] = scores / scores.sum()
                mixed[row, query, head] = weights[row, head, query] @ VALUE[row, :, head]
    return mixed, weights


@pytest.mark.parametrize("valid", [None, VALID, BY_QUERY])
def test_attention_equals_the_definition(valid):
    mixed, weights = by_hand(np.ones_like(VALID) if valid is None else valid)
    mixed = mixed.reshape(4, 5, 6)
    np.testing.assert_allclose(to_numpy(attend(*together(QUERY, KEY, VALUE), 2, valid)), mixed, atol=1e-5)
    ours, ours_weights = to_numpy(attend(*together(QUERY, KEY, VALUE), 2, valid, return_weights=True))
    np.testing.assert_allclose(ours, mixed, atol=1e-5)
    np.testing.assert_allclose(ours_weights, weights, atol=1e-6)


def test_hidden_keys_have_no_influence_at_all():
    key, value = KEY.copy(), VALUE.copy()
    key[:3][~VALID[:3]], value[:3][~VALID[:3]] = 1e3, 1e6
    for weights in (False, True):
        ours, theirs = (attend(*together(QUERY, k, v), 2, VALID, weights) for k, v in ((KEY, VALUE), (key, value)))
        ours, theirs = (to_numpy(x[0] if weights else x)[:3] for x in (ours, theirs))
        np.testing.assert_array_equal(ours, theirs)
