import keras
import numpy as np
import pytest
from tiny import CHANNELS, MODALITIES, TIME, autoencoder, encoder, to_numpy, varied, windows

from physiokeras.layers import ModalityDropout
from physiokeras.models import MaskedAutoencoder

NAMES = list(MODALITIES)


def perturb(inputs, where):
    """Add noise to the patches where `(batch, modalities, time)` is true."""
    other = dict(inputs)
    for m, name in enumerate(NAMES):
        size = MODALITIES[name]["samples"] // TIME
        patches = np.repeat(where[:, m], size, axis=1)[:, :, None]
        other[name] = inputs[name] + np.where(patches, 50.0, 0.0).astype("float32")
    return other


def watch(model, monkeypatch):
    """Lists of what the encoder gave and what the decoders were allowed to see, call by call."""
    seen, transform = {"valid": [], "tokens": [], "encoded": []}, model.encoder.transform

    def spy(tokens, valid, **arguments):
        encoded = transform(tokens, valid, **arguments)
        for name, value in (("tokens", tokens), ("valid", valid), ("encoded", encoded)):
            seen[name].append(to_numpy(value))
        return encoded

    monkeypatch.setattr(model.encoder, "transform", spy)
    return seen


def without(inputs, drop):
    """The inputs, and that the named modalities are dropped."""
    return {**inputs, "kept": np.tile([name not in drop for name in NAMES], (len(inputs["present"]), 1))}


def test_hidden_tokens_have_no_influence(model, inputs, monkeypatch):
    seen = watch(model, monkeypatch)
    first = to_numpy(model(inputs))
    hidden = first["hidden"].reshape(6, 3, TIME)
    second = to_numpy(model(perturb(inputs, hidden)))
    np.testing.assert_array_equal(seen["encoded"][0], seen["encoded"][1])
    for name in NAMES:
        np.testing.assert_array_equal(first["signals"][name], second["signals"][name])
    model(perturb(inputs, ~hidden))
    present = inputs["present"].any(axis=1)
    assert (np.abs(seen["encoded"][0] - seen["encoded"][2]).max(axis=(1, 2)) > 1e-3).tolist() == present.tolist()


@pytest.mark.parametrize("garbage", [1e4, np.nan])
def test_absent_and_dropped_modalities_have_no_influence(model, inputs, monkeypatch, garbage):
    seen = watch(model, monkeypatch)
    first = to_numpy(model(without(inputs, ["eeg"])))
    hidden = first["hidden"].reshape(6, 3, TIME)
    assert hidden[:, 0].all()
    assert not first["kept"][:, 0].any()
    assert first["counted"][0, 0]
    other = {**inputs, "eeg": np.full_like(inputs["eeg"], garbage)}
    for name in ("ecg", "emg"):
        other[name] = np.where(inputs["present"][:, None, CHANNELS[name]], inputs[name], garbage).astype("float32")
    second = to_numpy(model(without(other, ["eeg"])))
    np.testing.assert_array_equal(seen["encoded"][0], seen["encoded"][1])
    for name in NAMES:
        np.testing.assert_array_equal(first["signals"][name], second["signals"][name])
        assert np.isfinite(first["signals"][name]).all()


def test_padding_is_zero_in_and_zero_out(model, inputs, monkeypatch):
    seen = watch(model, monkeypatch)
    model(inputs)
    (encoded,), (valid,) = seen["encoded"], seen["valid"]
    assert valid.sum(axis=1).tolist() == [6, 4, 2, 6, 6, 0]
    assert not encoded[~valid].any()
    assert encoded[valid].any(axis=1).all()
    tokens = keras.ops.convert_to_tensor(np.where(valid[:, :, None], seen["tokens"][0], np.nan).astype("float32"))
    again = to_numpy(type(model.encoder).transform(model.encoder, tokens, keras.ops.convert_to_tensor(valid)))
    np.testing.assert_array_equal(again, encoded)


def test_shapes_are_the_same_whatever_is_dropped(model, inputs, monkeypatch):
    seen = watch(model, monkeypatch)
    for drop in ([], ["eeg"], ["eeg", "emg"], NAMES):
        out = to_numpy(model(without(inputs, drop)))
        assert all(np.isfinite(signal).all() for signal in out["signals"].values())
    assert {tokens.shape for tokens in seen["tokens"]} == {(6, 6, 8)}


@pytest.mark.parametrize("drop_from", ["output", "context"])
def test_what_is_dropped_elsewhere_stays_visible_to_the_encoder(inputs, drop_from, monkeypatch):
    model = autoencoder(drop_from=drop_from)
    seen = watch(model, monkeypatch)
    plain, dropped = (to_numpy(model(without(inputs, drop))) for drop in ([], ["eeg"]))
    np.testing.assert_array_equal(seen["encoded"][0], seen["encoded"][1])
    np.testing.assert_array_equal(plain["hidden"], dropped["hidden"])
    assert not dropped["counted"][:, 0].any()
    assert np.array_equal(plain["counted"][:, 1:], dropped["counted"][:, 1:])
    same = [np.array_equal(plain["signals"][name], dropped["signals"][name]) for name in NAMES]
    assert same == [drop_from == "output"] * 3


def test_decoders_never_see_a_modality_dropped_from_their_context(inputs):
    # Without blocks the encoder mixes no tokens, so a dropped one can reach the decoders only by itself. Few tokens
    # are visible, so that some rows are left without any context.
    model = varied(autoencoder(encoder(depth=0), mask={"ratio": 0.85}, drop_from="context", decoder_depth=0))
    first = to_numpy(model(without(inputs, ["eeg", "emg"])))
    visible = ~first["hidden"].reshape(6, 3, TIME)
    assert (visible.any(axis=(1, 2)) & ~visible[:, 1].any(axis=1)).any()
    dropped = np.broadcast_to(np.array([True, False, True])[None, :, None], visible.shape)
    second = to_numpy(model(without(perturb(inputs, dropped), ["eeg", "emg"])))
    for name in NAMES:
        np.testing.assert_array_equal(first["signals"][name], second["signals"][name])


def test_evaluation_masks_and_drops_alike_each_time(inputs):
    model = autoencoder(dropout={"per": "sample"})
    first, second = (to_numpy(model(inputs)) for _ in range(2))
    model(inputs, training=True)
    third = to_numpy(model(inputs))
    for other in (second, third):
        for key in ("hidden", "kept", "counted"):
            np.testing.assert_array_equal(first[key], other[key])
    assert (first["kept"].sum(axis=1) == [2, 1, 1, 2, 2, 0]).all()


def test_training_draws_anew(inputs):
    model = autoencoder(dropout={"per": "sample"})
    draws = [to_numpy(model(inputs, training=True)) for _ in range(3)]
    assert not np.array_equal(draws[0]["hidden"], draws[1]["hidden"])
    assert not all(np.array_equal(draws[0]["kept"], draw["kept"]) for draw in draws[1:])


def test_configuration_round_trip():
    variances = {"eeg": 2.0, "ecg": 3.0, "emg": 4.0}
    changed = {"drop_from": "output", "loss_on_dropped": False, "normalize_targets": True, "variances": variances}
    changed |= {"decoder_width": 12, "decoder_depth": 0, "decoder_heads": 3, "seed": 5}
    model = autoencoder(mask={"scheme": "block", "span": 2}, dropout={"rate": 0.5, "count": 2}, **changed)
    config = model.get_config()
    assert {name: config[name] for name in changed} == changed
    again = MaskedAutoencoder.from_config(config)
    assert again.get_config() == config
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert (again.mask.scheme, again.modality_dropout.count) == ("block", 2)
    assert len({w.path for w in model.weights}) == len(model.weights)


def test_every_part_draws_from_a_seed_of_its_own():
    model = autoencoder(encoder(depth=2, dropout=0.5), mask={"seed": 0}, dropout={"seed": 0}, decoder_depth=2)
    seeds = [v.numpy().tolist()[0] for v in model.variables if "seed_generator" in v.path or v.path.endswith("state")]
    assert len(seeds) == 9  # those of evaluation too
    assert len(set(seeds)) == 9


def test_wrong_arguments_are_named(model):
    for wrong, words in [
        ({"drop_from": "loss"}, "`drop_from` must be one of"),
        ({"variances": {"resp": 1.0}}, r"`variances` must be of .*\['resp'\]"),
        ({"variances": {"eeg": 0.0}}, "`variances` must be positive"),
        ({"variances": {"eeg": float("nan")}}, "`variances` must be positive"),
    ]:
        with pytest.raises(ValueError, match=words):
            MaskedAutoencoder(model.encoder, **wrong)
    with pytest.raises(ValueError, match="`drop` must name"):
        model.reconstruct(windows(), drop=["EEG"])


def test_a_default_autoencoder_hides_seven_tenths(encoder):
    model = MaskedAutoencoder(
        encoder, modality_dropout=ModalityDropout(), decoder_width=8, decoder_depth=0, decoder_heads=2
    )
    hidden = to_numpy(model.mask(np.ones((5, 3), bool), np.ones((5, 3), bool)))[2]
    assert (hidden.sum(axis=1) == 8).all()


def test_reconstruct_drops_what_it_is_told_to(model, inputs):
    for drop in ([], ["emg"]):
        made, called = model.reconstruct(inputs, drop), to_numpy(model(without(inputs, drop)))
        assert made["kept"][:, NAMES.index("emg")].any() != bool(drop)
        np.testing.assert_array_equal(made["hidden"], called["hidden"])
        for name in NAMES:
            np.testing.assert_allclose(made["signals"][name], called["signals"][name], atol=1e-5)
