from itertools import product

import keras
import numpy as np
import pytest
from tiny import autoencoder, to_numpy

from physiokeras.layers import ModalityDropout
from physiokeras.seeds import derive

SUBSETS = np.array(list(product([False, True], repeat=3)))
MIXED = np.tile(SUBSETS, (25, 1))
ALL = np.ones((2000, 3), bool)


def kept(layer, present=MIXED, training=True):
    return to_numpy(layer(present, training=training))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_only_what_is_present_is_dropped_and_never_the_last(per, count, training):
    layer = ModalityDropout(count=count, per=per, seed=1)
    for _ in range(6):
        left = kept(layer, training=training)
        assert not (left & ~MIXED).any()
        assert (left.any(axis=1) == MIXED.any(axis=1)).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_sample_loses_as_many_as_asked_for_and_it_can_spare(count):
    lost = (MIXED & ~kept(ModalityDropout(count=count, per="sample", seed=1))).sum(axis=1)
    assert (lost == np.clip(MIXED.sum(axis=1) - 1, 0, count)).all()


def test_a_batch_loses_the_same_modality_wherever_it_can_be_spared():
    layer, gone = ModalityDropout(seed=2), set()
    for _ in range(20):
        left = kept(layer)
        lost = MIXED & ~left
        (which,) = np.flatnonzero(lost.any(axis=0))
        gone.add(which)
        assert (lost[:, which] == (MIXED[:, which] & (MIXED.sum(axis=1) > 1))).all()
    assert gone == {0, 1, 2}


def test_a_batch_loses_no_modality_that_nobody_has():
    present = MIXED & [True, False, True]
    layer = ModalityDropout(seed=2)
    for _ in range(10):
        assert (present & ~kept(layer, present)).any()


def test_two_of_a_batch_are_the_same_two_wherever_they_can_be_spared():
    for _ in range(5):
        lost = MIXED & ~kept(ModalityDropout(count=2, seed=3))
        whole = MIXED.all(axis=1)
        assert (lost[whole].sum(axis=1) == 2).all()
        assert (lost[whole] == lost[whole][0]).all()
        assert not (lost & ~lost[whole][0]).any()


def test_samples_are_drawn_apart_and_each_modality_as_often():
    lost = ALL & ~kept(ModalityDropout(per="sample", seed=4), ALL)
    assert np.abs(lost.mean(axis=0) - 1 / 3).max() < 5 * np.sqrt(2 / 9 / len(ALL))
    stays = (lost[1:] == lost[:-1]).all(axis=1).mean()
    assert abs(stays - 1 / 3) < 5 * np.sqrt(2 / 9 / len(ALL))


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_rate_is_that_of_samples(rate):
    lost = (ALL & ~kept(ModalityDropout(rate, per="sample", seed=5), ALL)).any(axis=1)
    assert abs(lost.mean() - rate) <= 5 * np.sqrt(rate * (1 - rate) / len(ALL))


def test_the_rate_is_that_of_batches():
    layer = ModalityDropout(0.4, seed=6)
    drops = [(~kept(layer, ALL[:2])).any(axis=1) for _ in range(250)]
    assert all(drop[0] == drop[1] for drop in drops)
    assert abs(np.mean(drops) - 0.4) < 5 * np.sqrt(0.24 / 250)


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_evaluation_draws_are_fixed_for_each_row_and_of_no_other_rows_concern(per):
    layer = ModalityDropout(per=per, seed=7)
    left = kept(layer, ALL, training=False)
    kept(layer, ALL)
    assert np.array_equal(left, kept(layer, ALL, training=False))
    assert np.array_equal(left, kept(ModalityDropout(per=per, seed=7), ALL, training=False))
    assert np.abs((~left).mean(axis=0) - 1 / 3).max() < 0.06
    pairs = np.tile([[True, True, False]], (2000, 1))
    alone = kept(layer, pairs, training=False)
    mixed = kept(layer, np.concatenate([pairs[:1000], ALL[:1000]]), training=False)
    assert np.array_equal(alone[:1000], mixed[:1000])
    assert (alone.sum(axis=1) == 1).all()


def test_draws_follow_from_the_seed_and_neighbouring_seeds_are_unrelated():
    first, same, other = (ModalityDropout(per="sample", seed=seed) for seed in (5, 5, 6))
    draws = [kept(first, ALL), kept(first, ALL)]
    assert np.array_equal(draws[0], kept(same, ALL))
    assert not np.array_equal(draws[0], draws[1])
    for ours, theirs in product(draws, [kept(other, ALL), kept(other, ALL)]):
        assert abs((ours == theirs).all(axis=1).mean() - 1 / 3) < 5 * np.sqrt(2 / 9 / len(ALL))


@pytest.mark.parametrize("wrong", [{"rate": 1.1}, {"rate": -1}, {"count": 0}, {"per": "row"}])
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        ModalityDropout(**wrong)


@pytest.mark.parametrize("weights", [[3, 1, 2], [0.1, 0.2, 0.7], [5, 5, 5]])
def test_each_modality_is_dropped_as_often_as_its_weight_says(weights):
    expected = np.array(weights) / np.sum(weights)
    lost = ALL & ~kept(ModalityDropout(per="sample", weights=weights, seed=4), ALL)
    assert (lost.sum(axis=1) == 1).all()
    assert (np.abs(lost.mean(axis=0) - expected) < 5 * np.sqrt(expected * (1 - expected) / len(ALL))).all()
    # A row that lacks the last modality loses one of the other two.
    pairs = np.tile([[True, True, False]], (2000, 1))
    share = weights[0] / (weights[0] + weights[1])
    lost = pairs & ~kept(ModalityDropout(per="sample", weights=weights, seed=5), pairs)
    assert abs(lost[:, 0].mean() - share) < 5 * np.sqrt(share * (1 - share) / len(pairs))


def test_a_second_modality_is_drawn_by_the_weights_of_those_that_are_left():
    weights = np.array([3.0, 1.0, 2.0])
    lost = ALL & ~kept(ModalityDropout(count=2, per="sample", weights=weights.tolist(), seed=6), ALL)
    share = weights / weights.sum()
    stays = [
        share[i] * share[j] / (1 - share[i]) + share[j] * share[i] / (1 - share[j]) for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    assert sum(stays) == pytest.approx(1)
    assert np.abs((~lost).mean(axis=0) - stays).max() < 5 * np.sqrt(0.25 / len(ALL))


def test_weights_of_batches():
    layer = ModalityDropout(weights=[1, 4, 0], seed=6)
    lost = np.array([(~kept(layer, ALL[:2]))[0] for _ in range(250)])
    assert (lost.sum(axis=1) == 1).all()
    assert np.abs(lost.mean(axis=0) - [0.2, 0.8, 0]).max() < 5 * np.sqrt(0.16 / 250)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_weight_0_is_never_dropped_whatever_else_is_there(per, count, training):
    layer = ModalityDropout(count=count, per=per, weights=[0, 1, 1], seed=1)
    for _ in range(6):
        left = kept(layer, training=training)
        assert (left[:, 0] == MIXED[:, 0]).all()
        assert (left.any(axis=1) == MIXED.any(axis=1)).all()
        assert (MIXED & ~left).any()


def test_without_weights_draws_are_those_of_uniform_numbers():
    """The draws of earlier versions: the least of the uniform numbers is dropped."""
    layer = ModalityDropout(per="sample", seed=4)
    uniform = to_numpy(keras.random.uniform((len(MIXED), 4), seed=derive(4, "modality dropout", "evaluation")))[:, 1:]
    expected = MIXED.copy()
    for row, numbers in zip(expected, uniform, strict=True):
        if row.sum() > 1:
            row[np.where(row, numbers, 2).argmin()] = False
    assert np.array_equal(kept(layer, training=False), expected)


def test_weights_by_name_are_put_in_the_models_order():
    layer = ModalityDropout(weights={"ecg": 0, "eeg": 2})
    with pytest.raises(ValueError, match="`weights` by name need a `MaskedAutoencoder`"):
        kept(layer, ALL)
    model = autoencoder(dropout={"weights": {"ecg": 0, "eeg": 2}})
    assert model.modality_dropout.drop_weights == [2, 0, 1]  # eeg, ecg, emg
    assert type(model).from_config(model.get_config()).modality_dropout.drop_weights == [2, 0, 1]
    with pytest.raises(ValueError, match=r"Received also: \['pulse'\]"):
        autoencoder(dropout={"weights": {"pulse": 1}})
    with pytest.raises(ValueError, match=r"one for each of \['eeg', 'ecg', 'emg'\]"):
        autoencoder(dropout={"weights": [1, 2]})


@pytest.mark.parametrize("weights", [[1, -1], [0, 0], [], [float("nan"), 1], [float("inf"), 1], {"eeg": -1}])
def test_wrong_weights_are_named(weights):
    with pytest.raises(ValueError, match="`weights` must be finite"):
        ModalityDropout(weights=weights)
