import keras
import numpy as np
import pytest
import reference
from tiny import CHANNELS, MODALITIES, TIME, WIDTH, to_numpy, varied, windows
from tiny import encoder as make

from physiokeras.constants import INT16_SCALE
from physiokeras.models import Encoder
from physiokeras.models.saving import named_weights
from physiokeras.pipelines import convert, simulate, stream


def test_encoder_equals_its_description_in_numpy(encoder, inputs):
    weights = {name: to_numpy(value) for name, value in named_weights(encoder).items()}
    expected = reference.encode(weights, MODALITIES, TIME, 2, inputs)
    np.testing.assert_allclose(to_numpy(encoder(inputs)), expected, atol=1e-4)


def test_calls_are_deterministic(encoder, inputs):
    np.testing.assert_array_equal(to_numpy(encoder(inputs)), to_numpy(encoder(inputs)))


@pytest.mark.parametrize("garbage", [1e4, np.nan, np.inf])
def test_absent_modalities_and_channels_have_no_influence(encoder, inputs, garbage):
    inputs["present"][3, 1] = False
    clean = to_numpy(encoder(inputs))
    assert np.isfinite(clean).all()
    for name, channels in CHANNELS.items():
        absent = np.broadcast_to(~inputs["present"][:, None, channels], inputs[name].shape)
        inputs[name] = np.where(absent, garbage, inputs[name]).astype("float32")
    np.testing.assert_array_equal(to_numpy(encoder(inputs)), clean)


def test_absent_modalities_leave_as_zeros(encoder, inputs):
    outputs = to_numpy(encoder(inputs, return_layers=True))
    for tokens in (outputs["tokens"], *outputs["layers"]):
        tokens = tokens.reshape(6, 3, -1)
        present = np.stack([inputs["present"][:, c].any(axis=1) for c in CHANNELS.values()], axis=1)
        assert not tokens[~present].any()
        assert tokens[present].any(axis=1).all()


def test_without_presence_all_is_present(encoder):
    inputs = windows()
    expected = to_numpy(encoder(inputs))
    np.testing.assert_array_equal(to_numpy(encoder({k: inputs[k] for k in MODALITIES})), expected)


def test_stored_integers_are_scaled(encoder, inputs):
    stored = {k: np.round(inputs[k] / INT16_SCALE).astype("int16") for k in MODALITIES}
    floats = {k: v * np.float32(INT16_SCALE) for k, v in stored.items()}
    ours, theirs = (to_numpy(encoder({**x, "present": inputs["present"]})) for x in (stored, floats))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_rows_do_not_depend_on_each_other(encoder, inputs):
    whole = to_numpy(encoder(inputs))
    alone = to_numpy(encoder({k: v[3:4] for k, v in inputs.items()}))
    np.testing.assert_allclose(alone[0], whole[3], atol=1e-5)
    other = windows(seed=9)
    for k in inputs:
        other[k][3] = inputs[k][3]
        other[k][0] = inputs[k][0] * 100 if k in MODALITIES else False
    np.testing.assert_allclose(to_numpy(encoder(other))[3], whole[3], atol=1e-6)


def test_attention_sums_to_one_over_what_is_present_and_changes_no_token(encoder, inputs):
    outputs = to_numpy(encoder(inputs, return_attention=True))
    np.testing.assert_allclose(outputs["tokens"], to_numpy(encoder(inputs)), atol=1e-5)
    assert len(outputs["attention"]) == encoder.depth
    for weights in outputs["attention"]:
        assert weights.shape == (6, 2, 12, 12)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
        assert not weights[1, :, :, TIME : 2 * TIME].any()
        assert weights[0].min() > 0


def test_layers_are_the_tokens_after_every_block(encoder, inputs):
    outputs = to_numpy(encoder(inputs, return_layers=True))
    assert len(outputs["layers"]) == encoder.depth
    last = to_numpy(encoder.norm(outputs["layers"][-1]))
    np.testing.assert_allclose(outputs["tokens"][0], last[0], atol=1e-5)
    np.testing.assert_allclose(outputs["tokens"], to_numpy(encoder(inputs)), atol=1e-5)


def test_one_modality_is_enough():
    single = {"ecg": MODALITIES["ecg"]}
    part, inputs = varied(make(single)), windows(modalities=single)
    weights = {name: to_numpy(value) for name, value in named_weights(part).items()}
    expected = reference.encode(weights, single, TIME, 2, inputs)
    np.testing.assert_allclose(to_numpy(part(inputs)), expected, atol=1e-4)


def test_dropout_is_on_in_training_only_and_each_layer_draws_apart():
    part = make(depth=2, dropout=0.5, seed=3)
    layers = [layer for block in part.blocks for layer in (block.drop_attention, block.drop_mlp)]
    ones = np.ones((6, 12, WIDTH), "float32")
    draws = [to_numpy(layer(ones, training=True)) > 0 for layer in layers]
    draws += [to_numpy(layer(ones, training=True)) > 0 for layer in layers]
    for i, a in enumerate(draws):
        assert 0.35 < a.mean() < 0.65
        for b in draws[:i]:
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(ones.size)
    again = make(depth=2, dropout=0.5, seed=3).blocks[1].drop_mlp
    np.testing.assert_array_equal(to_numpy(again(ones, training=True)) > 0, draws[3])
    inputs = windows()
    np.testing.assert_array_equal(to_numpy(part(inputs)), to_numpy(part(inputs)))
    assert not np.array_equal(to_numpy(part(inputs, training=True)), to_numpy(part(inputs)))


def test_configuration_round_trip(encoder):
    config = encoder.get_config()
    expected = {"modalities": MODALITIES, "time": 4, "width": 8, "depth": 1, "heads": 2, "mlp_ratio": 4, "dropout": 0.0}
    assert {name: config[name] for name in expected} == expected
    again = Encoder.from_config(config)
    assert again.get_config() == config
    assert [w.path for w in again.weights] == [w.path for w in encoder.weights]
    assert len({w.path for w in encoder.weights}) == len(encoder.weights)


def test_wrong_inputs_are_named(encoder):
    inputs = windows()
    for change, words in [
        ({"ecg": inputs["ecg"][:, :-1]}, r"`inputs\['ecg'\]` must have shape \(batch, 8, 1\)"),
        ({"present": inputs["present"][:, :3]}, r"`inputs\['present'\]` must have shape \(batch, 4\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            encoder({**inputs, **change})
    del inputs["emg"]
    with pytest.raises(ValueError, match=r"every modality of the encoder: \['eeg', 'ecg', 'emg'\]"):
        encoder(inputs)


@pytest.mark.once
def test_an_array_without_channels_is_named():
    with pytest.raises(ValueError, match=r"'pulse' must have the shape \(windows, samples, channels\).*\(4, 60\)"):
        Encoder.for_data({"motion": np.zeros((4, 60, 3)), "pulse": np.zeros((4, 60))})


def test_encoder_is_a_part_of_functional_models():
    single = {"ecg": MODALITIES["ecg"]}
    symbols = {"ecg": keras.Input((8, 1), dtype="int16", name="ecg"), "present": keras.Input((1,), dtype="bool")}
    tokens = make(single)(symbols)
    assert tokens.shape == (None, TIME, WIDTH)
    model = keras.Model(symbols, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(tokens)))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    inputs = {"ecg": np.full((6, 8, 1), 3000, "int16"), "present": np.ones((6, 1), bool)}
    before = model.get_weights()
    losses = model.fit(inputs, np.ones((6, 2)), epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("names", [["ecg"], ["emg", "eeg"], ["eeg", "ecg", "emg"]])
def test_restricted_encoder_gives_what_the_whole_one_gives_without_the_others(encoder, inputs, names):
    inputs["present"][:] = True
    for name in set(MODALITIES) - set(names):
        inputs["present"][:, CHANNELS[name]] = False
    tokens = to_numpy(encoder(inputs)).reshape(len(inputs["present"]), len(MODALITIES), TIME, WIDTH)
    present = np.concatenate([inputs["present"][:, CHANNELS[name]] for name in names], axis=1)
    smaller = encoder.restricted(names)
    found = to_numpy(smaller({**{name: inputs[name] for name in names}, "present": present}))
    expected = np.concatenate([tokens[:, list(MODALITIES).index(name)] for name in names], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (smaller is encoder) == (names == list(MODALITIES))


def test_encoder_is_restricted_to_modalities_that_it_has(encoder):
    with pytest.raises(ValueError, match=r"`names` must be among \['eeg', 'ecg', 'emg'\], .*Received: \['eog'\]"):
        encoder.restricted(["eog"])


def test_encoder_for_data_has_the_shapes_of_manifest_stream_and_arrays(tmp_path):
    source = simulate(tmp_path / "source", 1, 0, hours=0.1, seed=1, progress=False)
    manifest = convert(source, "simulated", tmp_path / "prepared", progress=None)
    batches = stream(manifest, batch_size=4)
    small = {"width": 8, "depth": 1, "heads": 2}
    expected = {n: {"samples": m["samples"], "channels": len(m["channels"])} for n, m in manifest.modalities.items()}
    expected = {name: expected[name] for name in manifest.defaults}
    of_manifest = Encoder.for_data(manifest, **small)
    assert (of_manifest.modalities, of_manifest.time) == (expected, manifest.tokens)
    (inputs,) = next(batches.as_numpy_iterator())
    for data in (batches, inputs):
        of_data = Encoder.for_data(data, time=manifest.tokens, **small)
        assert of_data.modalities == expected
        assert of_data(inputs).shape == (4, of_data.tokens, 8)
    assert list(Encoder.for_data(manifest, modalities=["ecg"], **small).modalities) == ["ecg"]
    with pytest.raises(ValueError, match="Received also: \\['ppg'\\]"):
        Encoder.for_data(manifest, modalities=["ppg"])
    with pytest.raises(ValueError, match="time=7"):
        Encoder.for_data(inputs, time=7, **small)
