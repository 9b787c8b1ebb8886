"""Contrastive losses against loops in NumPy, written from their descriptions."""

import itertools

import keras
import numpy as np
import pytest
from tiny import to_numpy

from physiokeras.losses import leave_one_out_contrast, pairwise_contrast

ROWS, MODALITIES, WIDTH = 5, 3, 4
DRAW = np.random.default_rng(0)
EMBEDDINGS = (3 * DRAW.normal(size=(ROWS, MODALITIES, WIDTH))).astype("float32")
LOSSES = {"pairwise": pairwise_contrast, "leave one out": leave_one_out_contrast}
PRESENT = {
    "all present": np.ones((ROWS, MODALITIES), bool),
    "some absent": np.array([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0]], bool),
    "one lacks everywhere": np.tile([True, True, False], (ROWS, 1)),
    "a row with nothing": np.array([[1, 1, 1], [0, 0, 0], [1, 1, 1], [1, 1, 1], [1, 0, 0]], bool),
    "a pair that one row has": np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0]], bool),
}
UNUSABLE = {
    "none present": np.zeros((ROWS, MODALITIES), bool),
    "one row": np.arange(ROWS)[:, None] == np.full(MODALITIES, 2),
    "one modality each": np.arange(ROWS)[:, None] % MODALITIES == np.arange(MODALITIES),
}


def unit(vector):
    return vector / np.sqrt(np.sum(vector.astype("float64") ** 2))


def of_partners(partners, scale):
    """Cross-entropy both ways of a list of (one, other); None where there is nothing to tell apart."""
    if len(partners) < 2:
        return None
    errors = []
    for ours, theirs in ((0, 1), (1, 0)):
        for i, row in enumerate(partners):
            logits = [scale * row[ours] @ other[theirs] for other in partners]
            errors.append(np.log(sum(np.exp(logit) for logit in logits)) - logits[i])
    return np.mean(errors)


def by_hand(name, present, log_scale):
    found = []
    vectors = [[unit(v) for v in row] for row in EMBEDDINGS]
    rows = list(zip(vectors, present, strict=True))
    if name == "pairwise":
        for i, j in itertools.combinations(range(MODALITIES), 2):
            found.append([(v[i], v[j]) for v, has in rows if has[i] and has[j]])
    else:
        for i in range(MODALITIES):
            partners = []
            for v, has in rows:
                others = [v[j] for j in range(MODALITIES) if j != i and has[j]]
                if has[i] and others:
                    partners.append((v[i], np.mean(others, axis=0)))
            found.append(partners)
    errors = [of_partners(partners, np.exp(log_scale)) for partners in found]
    return np.mean([error for error in errors if error is not None])


@pytest.mark.parametrize("case", PRESENT)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_equals_its_description(name, case):
    # What an absent modality holds must not matter.
    garbage = np.where(PRESENT[case][:, :, None], EMBEDDINGS, 100.0).astype("float32")
    for log_scale in (0.0, 1.5):
        loss = to_numpy(LOSSES[name](garbage, PRESENT[case], log_scale))
        assert loss.dtype == np.float32
        assert loss == pytest.approx(by_hand(name, PRESENT[case], log_scale), abs=1e-5)


def test_losses_have_their_closed_forms():
    """Of embeddings all alike each of n rows is as likely; of orthogonal ones, one's own is e times as likely."""
    present = np.ones((ROWS, MODALITIES), bool)
    for loss in LOSSES.values():
        assert to_numpy(loss(np.ones_like(EMBEDDINGS), present, 2.0)) == pytest.approx(np.log(ROWS), abs=1e-5)
        apart = np.repeat(np.eye(ROWS, dtype="float32")[:, None], MODALITIES, axis=1)
        expected = np.log(np.exp(1) + ROWS - 1) - 1
        assert to_numpy(loss(apart, present, 0.0)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_length_does_not_count_and_half_precision_is_computed_in_float32(name):
    present = PRESENT["some absent"]
    rounded = to_numpy(keras.ops.cast(keras.ops.cast(EMBEDDINGS, "bfloat16"), "float32"))
    plain = to_numpy(LOSSES[name](rounded, present, 1.0))
    longer = rounded * np.arange(1, ROWS + 1, dtype="float32")[:, None, None]
    assert to_numpy(LOSSES[name](longer, present, 1.0)) == pytest.approx(plain, abs=1e-5)
    half = keras.ops.cast(rounded, "bfloat16")
    assert to_numpy(LOSSES[name](half, present, 1.0)) == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("case", UNUSABLE)
@pytest.mark.parametrize("name", LOSSES)
def test_batch_without_two_windows_to_compare_gives_zero(name, case):
    assert to_numpy(LOSSES[name](EMBEDDINGS, UNUSABLE[case], 0.0)) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_embeddings_of_no_length_give_a_finite_loss(name):
    loss = to_numpy(LOSSES[name](np.zeros_like(EMBEDDINGS), PRESENT["all present"], 0.0))
    assert loss == pytest.approx(np.log(ROWS), abs=1e-5)
