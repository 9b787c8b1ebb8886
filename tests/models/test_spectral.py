"""Models that read or predict spectra: what they see, what counts, their statistics, features and folders."""

import keras
import numpy as np
import pytest
from tiny import CHANNELS, MODALITIES, ROWS, TIME, WIDTH, autoencoder, encoder, to_numpy, varied, windows

from physiokeras.models import ContrastiveModel, FeatureExtractor, LinearProbe, MaskedAutoencoder, load, save
from physiokeras.models.subsets import SubsetExtractor

NAMES = list(MODALITIES)
ABSENT = [(1, "ecg"), (2, "eeg"), (2, "emg")]


def adapted(model):
    model.adapt(windows(rows=20, seed=3))
    return varied(model)


def spectral(targets="both", view="both", spans=(1, 4), **arguments):
    return adapted(autoencoder(encoder(view=view, spans=spans), targets=targets, **arguments))


def predictions(outputs):
    return {(kind, name): x for kind in ("signals", "spectra") for name, x in outputs.get(kind, {}).items()}


@pytest.mark.parametrize("view", ["spectrum", "both"])
def test_tokenizers_read_what_the_view_says(view):
    part, plain, inputs = adapted(encoder(view=view)), encoder(), windows(absent=ABSENT)
    signals, present = part.read(inputs)
    spectra = part.measure(signals, present)
    tokens = to_numpy(part.tokenize(signals, spectra)).reshape(ROWS, 3, TIME, WIDTH)
    for i, (name, m) in enumerate(MODALITIES.items()):
        patches = to_numpy(spectra[name])
        if view == "both":
            samples = to_numpy(signals[name]).reshape(ROWS, TIME, m["samples"] // TIME * m["channels"])
            patches = np.concatenate([samples, patches], axis=-1)
        where = part.embedding.get_weights()[0][i] + part.embedding.positions
        expected = to_numpy(part.tokenizers[i](patches)) + where
        np.testing.assert_allclose(tokens[:, i], expected, atol=1e-5)
    assert plain.measure(*plain.read(inputs)) == {}


@pytest.mark.parametrize("view", ["spectrum", "both"])
@pytest.mark.parametrize("garbage", [1e4, np.nan])
def test_absent_modalities_and_channels_reach_nothing_through_any_span(view, garbage):
    model, inputs = spectral(view=view), windows(absent=ABSENT)
    inputs["present"][3, 1] = False
    extractor = FeatureExtractor(model.encoder, "concatenate")
    clean, features = predictions(to_numpy(model(inputs))), to_numpy(extractor(inputs))
    assert np.isfinite(features).all()
    for name, channels in CHANNELS.items():
        inputs[name] = np.where(inputs["present"][:, None, channels], inputs[name], garbage).astype("float32")
    for key, value in predictions(to_numpy(model(inputs))).items():
        np.testing.assert_array_equal(value, clean[key])
    np.testing.assert_array_equal(to_numpy(extractor(inputs)), features)


@pytest.mark.parametrize("dropped", NAMES)
def test_a_dropped_modality_reaches_nothing_through_any_span(dropped):
    model, inputs = spectral(), windows()
    inputs["kept"] = np.tile([name != dropped for name in NAMES], (ROWS, 1))
    clean = predictions(to_numpy(model(inputs)))
    inputs[dropped] = inputs[dropped] * 7 + 1
    for key, value in predictions(to_numpy(model(inputs))).items():
        np.testing.assert_array_equal(value, clean[key])
    inputs["kept"][:] = True
    assert not np.array_equal(predictions(to_numpy(model(inputs)))["spectra", dropped], clean["spectra", dropped])


@pytest.mark.parametrize(
    ("view", "spans", "reached"), [("samples", (1, 4), False), ("both", (1,), False), ("both", (1, 4), True)]
)
def test_hidden_patches_are_seen_only_by_long_spans_of_their_own_modality(view, spans, reached):
    model, inputs = spectral(view=view, spans=spans), windows()
    clean = to_numpy(model(inputs))
    hidden = clean["hidden"].reshape(ROWS, 3, TIME)
    for i, (name, m) in enumerate(MODALITIES.items()):
        inputs[name] = inputs[name] * (1 + np.repeat(hidden[:, i], m["samples"] // TIME, axis=1)[:, :, None])
    made = predictions(to_numpy(model(inputs)))
    same = [np.array_equal(value, made[key]) for key, value in predictions(clean).items()]
    assert not any(same) if reached else all(same)


@pytest.mark.parametrize("targets", ["spectrum", "both"])
def test_loss_is_the_mean_square_of_standardised_numbers_of_hidden_patches(targets):
    model, inputs = spectral(targets, dropout={}, loss_on_dropped=False), windows(absent=ABSENT)
    inputs["present"][3, 1] = False
    outputs = to_numpy(model(inputs))
    hidden = outputs["hidden"].reshape(ROWS, 3, TIME)
    errors = []
    for i, (name, columns) in enumerate(CHANNELS.items()):
        channels = inputs["present"][:, columns]
        counts = hidden[:, i, :, None, None] & outputs["counted"][:, i, None, None, None] & channels[:, None, None]
        pairs = []
        if targets == "both":
            shape = (ROWS, TIME, -1, channels.shape[1])
            pairs.append((inputs[name].reshape(shape), outputs["signals"][name].reshape(shape)))
        shape = (ROWS, TIME, channels.shape[1], -1)
        true, made = (outputs[kind][name].reshape(shape).swapaxes(2, 3) for kind in ("true_spectra", "spectra"))
        pairs.append((true, made))
        found = [np.mean((a - b)[np.broadcast_to(counts, a.shape)] ** 2) for a, b in pairs if counts.any()]
        errors += [np.mean(found)] if found else []
    assert 1 < len(errors) < 4
    loss = to_numpy(model.compute_loss(inputs, y_pred=model(inputs)))
    np.testing.assert_allclose(loss, np.mean(errors), rtol=1e-4)
    assert ("signals" in outputs) == (targets == "both")


def test_true_spectra_are_what_the_encoder_reads():
    inputs = windows(absent=ABSENT)
    for view in ("samples", "both"):
        model = spectral("spectrum", view)
        true = to_numpy(model(inputs)["true_spectra"])
        other = adapted(encoder(view="spectrum", spans=(1, 4)))
        for name, expected in to_numpy(other.measure(*other.read(inputs))).items():
            np.testing.assert_allclose(true[name], expected, atol=1e-6)


def test_adapt_reads_exactly_the_windows_given():
    data, more = windows(rows=8, seed=1, absent=ABSENT), windows(rows=8, seed=2)
    rows = [{name: x[i : i + 4] for name, x in data.items()} for i in (0, 4)]
    whole = encoder(view="both")
    whole.adapt(data)
    for batches, steps in [([(x,) for x in rows], None), ([(x, {"stage": 0}) for x in [*rows, more]], 2)]:
        part = encoder(view="both")
        part.adapt(batches, steps)
        for ours, theirs in zip(part.spectra, whole.spectra, strict=True):
            for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5)
    garbage = {name: x.copy() for name, x in data.items()}
    for row, name in ABSENT:
        garbage[name][row] = 1e6
    part.adapt(garbage)
    np.testing.assert_allclose(part.spectra[0].get_weights()[1], whole.spectra[0].get_weights()[1], rtol=1e-5)
    with pytest.raises(ValueError, match="at least one window"):
        part.adapt([])


def test_without_statistics_nothing_is_trained_or_predicted():
    part = encoder(view="both", depth=1, fusion=1)
    models = [
        part,
        FeatureExtractor(part),
        LinearProbe(part, {"stage": 2}),
        MaskedAutoencoder(part, targets="both", decoder_width=8, decoder_depth=0, decoder_heads=2),
        ContrastiveModel(part),
        SubsetExtractor(part),
        MaskedAutoencoder(encoder(), targets="spectrum", decoder_width=8, decoder_depth=0, decoder_heads=2),
    ]
    for model in models:
        model.compile("sgd")
        for use in (model.predict, model.predict_on_batch):
            with pytest.raises(ValueError, match="spectrum_eeg, spectrum_ecg, spectrum_emg: the spectra lack"):
                use(windows())
        with pytest.raises(ValueError, match="Call `adapt` with training windows first"):
            model.fit(windows())
    assert np.isnan(to_numpy(part(windows()))).all()
    part.adapt(windows())
    assert all(np.isfinite(x).all() for x in keras.tree.flatten(models[1].predict(windows(), verbose=0)))


def test_training_moves_weights_and_no_statistic():
    model = spectral(dropout={})
    before = [spectrum.get_weights() for spectrum in model.encoder.spectra]
    weights = [weight.numpy() for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.01))
    loss = model.fit(windows(), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    after = [spectrum.get_weights() for spectrum in model.encoder.spectra]
    assert all(np.array_equal(a, b) for a, b in zip(keras.tree.flatten(before), keras.tree.flatten(after), strict=True))
    moved = [not np.array_equal(a, b.numpy()) for a, b in zip(weights, model.trainable_weights, strict=True)]
    assert all(moved)


def test_spectra_stay_in_float32_under_mixed_precision():
    inputs = windows()
    whole, mixed = (encoder(view="both", spans=(1, 4), dtype=d) for d in ("float32", "mixed_bfloat16"))
    for part in (whole, mixed):
        part.adapt(windows(rows=20, seed=3))
    ours, theirs = (part.measure(*part.read(inputs)) for part in (mixed, whole))
    for name in NAMES:
        assert keras.backend.standardize_dtype(ours[name].dtype) == "float32"
        np.testing.assert_array_equal(to_numpy(ours[name]), to_numpy(theirs[name]))
    assert keras.backend.standardize_dtype(mixed(inputs).dtype) == "bfloat16"


@pytest.mark.parametrize(
    "make", [spectral, lambda: spectral(view="samples"), lambda: FeatureExtractor(spectral().encoder)]
)
def test_statistics_go_with_a_saved_model(make, tmp_path):
    model, inputs = make(), windows(absent=ABSENT)
    save(model, tmp_path)
    loaded = load(tmp_path)
    assert loaded.get_config() == model.get_config()
    ours, theirs = (keras.tree.flatten(to_numpy(each(inputs))) for each in (model, loaded))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    loaded.predict(inputs, verbose=0)


def test_smaller_and_untrained_encoders_keep_the_statistics():
    part, inputs = adapted(encoder(view="both")), windows()
    smaller = part.restricted(["emg", "eeg"])
    present = np.concatenate([inputs["present"][:, CHANNELS[name]] for name in ("emg", "eeg")], axis=1)
    found = to_numpy(smaller({**inputs, "present": present}, return_spectra=True))["spectra"]
    whole = to_numpy(part(inputs, return_spectra=True))["spectra"]
    np.testing.assert_array_equal(found["emg"], whole["emg"])
    fresh = part.untrained()
    np.testing.assert_array_equal(to_numpy(fresh(inputs, return_spectra=True))["spectra"]["ecg"], whole["ecg"])
    assert not np.array_equal(to_numpy(fresh(inputs)), to_numpy(part(inputs)))


@pytest.mark.parametrize("pooling", ["mean", "concatenate"])
def test_features_are_pooled_tokens_beside_pooled_spectra(pooling):
    part, inputs = adapted(encoder(view="both")), windows(absent=ABSENT)
    whole, without = FeatureExtractor(part, pooling), FeatureExtractor(part, pooling, skip=False)
    spectra = to_numpy(part.measure(*part.read(inputs)))
    expected = [to_numpy(without(inputs)), *(spectra[name].mean(axis=1) for name in NAMES)]
    found = to_numpy(whole(inputs))
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-6)
    assert found.shape[1] == whole.width
    assert expected[0].shape[1] == without.width
    eeg = found[2, without.width : without.width + part.spectra[0].width]
    assert not eeg.any()
    kept = to_numpy(FeatureExtractor(part, pooling, keep_time=True)(inputs))
    assert kept.shape == (ROWS, TIME, whole.width)
    np.testing.assert_allclose(kept[..., without.width :].mean(axis=1), found[:, without.width :], atol=1e-6)


def test_without_spectra_there_is_nothing_to_skip():
    assert not FeatureExtractor(encoder()).skip
    with pytest.raises(ValueError, match="`skip` needs an encoder that reads spectra"):
        FeatureExtractor(encoder(), skip=True)


def test_subset_features_are_those_of_windows_that_lack_the_rest():
    part, inputs = adapted(encoder(view="both")), windows(absent=[(1, "ecg")])
    left = tuple(np.full(ROWS, i, "int32") for i in (0, 1))
    found = to_numpy(SubsetExtractor(part, "concatenate")({**inputs, "left": left}))
    inputs["present"][:, CHANNELS["emg"]] = False
    np.testing.assert_allclose(found, to_numpy(FeatureExtractor(part, "concatenate")(inputs)), atol=1e-5)


def test_wrong_views_and_targets_are_named():
    with pytest.raises(ValueError, match="`view` must be one of"):
        encoder(view="spectra")
    with pytest.raises(ValueError, match="`targets` must be one of"):
        autoencoder(targets="power")
