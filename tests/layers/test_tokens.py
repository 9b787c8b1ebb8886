"""Tokenizer, embedding, decoder, pooling: numbers against NumPy."""

import numpy as np
import pytest
from reference import positions
from scipy.special import erf
from tiny import to_numpy, varied

from physiokeras.layers import ModalityDecoder, PatchTokenizer, TokenEmbedding, TokenPooling, sin_cos

DRAW = np.random.default_rng(0)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def test_tokenizer_is_a_convolution_over_patches():
    signal = DRAW.normal(size=(2, 12, 3)).astype("float32")
    layer = PatchTokenizer(4, 5)
    layer.build(signal.shape)
    kernel, bias, linear, shift = varied(layer).get_weights()
    kernel = kernel.reshape(3, 3, 5)
    for window in range(2):
        for patch in range(4):
            piece = signal[window, 3 * patch : 3 * patch + 3]
            hidden = gelu(np.einsum("sc,scw->w", piece, kernel) + bias)
            np.testing.assert_allclose(to_numpy(layer(signal))[window, patch], hidden @ linear + shift, atol=1e-5)


def test_windows_that_do_not_divide_into_patches_are_refused():
    with pytest.raises(ValueError, match="samples=13, time=4"):
        PatchTokenizer(4, 5).build((None, 13, 1))


def test_sin_cos_is_the_closed_form():
    table = sin_cos(30, 8)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, positions(30, 8), atol=1e-5)
    np.testing.assert_allclose(table[:5, 0], [0, 1, 0, -1, 0], atol=1e-6)
    np.testing.assert_allclose(table[15, [3, 7]], [np.sin(np.pi / 4), np.cos(np.pi / 4)], atol=1e-6)
    with pytest.raises(ValueError, match="even"):
        sin_cos(4, 7)


def test_tokens_are_told_apart_by_time_and_modality():
    layer = TokenEmbedding(3, 4)
    added = to_numpy(layer(np.zeros((2, 12, 8), "float32")))[1]
    modality = layer.get_weights()[0][:, 0]
    for m in range(3):
        np.testing.assert_allclose(added[4 * m : 4 * m + 4], sin_cos(4, 8) + modality[m], atol=1e-6)
    assert len(np.unique(added.round(5), axis=0)) == 12


def test_decoder_sees_a_set_of_valid_tokens():
    context = DRAW.normal(size=(2, 5, 8)).astype("float32")
    valid = np.array([[True, True, True, False, False], [False, True, False, True, False]])
    layer = ModalityDecoder(4, 3, 2, width=8, depth=1, heads=2)
    layer.build(context.shape)
    varied(layer)
    out = to_numpy(layer(context, valid=valid))
    turn = [4, 2, 0, 3, 1]
    np.testing.assert_allclose(to_numpy(layer(context[:, turn], valid=valid[:, turn])), out, atol=1e-5)
    context[~valid] = 1e3
    np.testing.assert_array_equal(to_numpy(layer(context, valid=valid)), out)
    context[valid] += 1
    assert np.abs(to_numpy(layer(context, valid=valid)) - out).max() > 1e-3


def test_pooling_is_the_mean_over_what_is_present():
    tokens = DRAW.normal(size=(3, 6, 2)).astype("float32")
    present = np.array([[True, True, True], [True, False, True], [False, False, False]])
    means = tokens.reshape(3, 3, 2, 2).mean(axis=2)
    mean = to_numpy(TokenPooling(2)(tokens, present=present))
    np.testing.assert_allclose(mean, [means[0].mean(axis=0), means[1][[0, 2]].mean(axis=0), [0, 0]], atol=1e-6)
    beside = to_numpy(TokenPooling(2, "concatenate")(tokens, present=present))
    np.testing.assert_allclose(beside, (means * present[:, :, None]).reshape(3, 6), atol=1e-6)
    with pytest.raises(ValueError, match="`how`"):
        TokenPooling(2, "max")


@pytest.mark.parametrize("how", ["mean", "concatenate"])
def test_pooling_that_keeps_time_merges_the_tokens_of_one_time(how):
    tokens = DRAW.normal(size=(2, 3 * 4, 5)).astype("float32")
    present = np.array([[True, True, True], [True, False, True]])
    found = to_numpy(TokenPooling(4, how, keep_time=True)(tokens, present))
    kept = tokens.reshape(2, 3, 4, 5) * present[:, :, None, None]
    for row, time in np.ndindex(2, 4):
        own = kept[row, :, time]
        expected = own.sum(axis=0) / present[row].sum() if how == "mean" else own.reshape(-1)
        np.testing.assert_allclose(found[row, time], expected, atol=1e-6)
    whole = to_numpy(TokenPooling(4, how)(tokens, present))
    np.testing.assert_allclose(whole, found.mean(axis=1), atol=1e-6)
