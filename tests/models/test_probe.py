import keras
import numpy as np
import pytest
from tiny import MODALITIES, TIME, encoder, to_numpy, varied, windows

from physiokeras.models import FeatureExtractor, LinearProbe
from physiokeras.models import digest as of

SINGLE = {"ecg": MODALITIES["ecg"]}


def compiled(depth=1, **arguments):
    keras.utils.set_random_seed(0)
    probe = LinearProbe(varied(encoder(SINGLE, depth)), {"stage": 3, "arousal": 2}, **arguments)
    loss = {k: keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1) for k in probe.classes}
    probe.compile(keras.optimizers.Adam(0.05), loss=loss)
    return probe


def labelled(rows=12):
    inputs = windows(rows, SINGLE)
    stage = (np.arange(rows) % 3).astype("int32")
    inputs["ecg"] += stage[:, None, None]
    return inputs, {"stage": stage, "arousal": np.where(np.arange(rows) < 6, -1, stage % 2).astype("int32")}


@pytest.fixture(scope="module")
def trained():
    probe = compiled()
    before = [to_numpy(w.value) for w in probe.weights]
    # The first batch has no labelled arousal.
    history = probe.fit(*labelled(), batch_size=6, shuffle=False, epochs=20, verbose=0).history
    return probe, before, history


def test_a_probe_learns_also_where_no_window_is_labelled(trained):
    _, _, history = trained
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < 0.6 * history["loss"][0]


def test_a_frozen_probe_trains_its_heads_alone(trained):
    probe, before, _ = trained
    assert [w.path.split("/")[-2] for w in probe.trainable_weights] == ["head_stage"] * 2 + ["head_arousal"] * 2
    trainable = {id(w) for w in probe.trainable_weights} | {id(w) for w in probe.standardize.weights}
    for weight, old in zip(probe.weights, before, strict=True):
        assert np.array_equal(weight.numpy(), old) != (id(weight) in trainable), weight.path
    assert len(probe.extractor.weights) > 10


def test_the_statistics_of_forty_steps_are_those_of_the_features(trained):
    probe, *_ = trained
    features = to_numpy(probe.extractor(labelled()[0])).reshape(2, 6, -1)  # the two batches
    mean, variance = probe.standardize.get_weights()
    np.testing.assert_allclose(mean, features.mean(axis=(0, 1)), atol=0.05)
    np.testing.assert_allclose(variance, features.var(axis=1).mean(axis=0), atol=0.05)


def test_other_models_train_the_encoder_that_a_probe_keeps(trained):
    probe, *_ = trained
    encoder = probe.extractor.encoder
    assert len(encoder.trainable_weights) == len(encoder.weights)
    tuned = LinearProbe(encoder, {"stage": 3}, frozen=False)
    assert len(tuned.trainable_weights) == len(encoder.weights) + 2
    for model in (probe, tuned):
        for part in ("weights", "variables"):
            parts = getattr(model, f"trainable_{part}") + getattr(model, f"non_trainable_{part}")
            assert sorted(map(id, parts)) == sorted(map(id, getattr(model, part)))


def test_an_unlabelled_batch_changes_nothing_but_the_statistics(trained):
    probe, *_ = trained
    inputs, labels = labelled(6)
    before = [to_numpy(w.value) for head in probe.heads for w in head.weights]
    none = {k: np.full_like(v, -1) for k, v in labels.items()}
    probe.optimizer.learning_rate = 0.0
    history = probe.fit(inputs, none, batch_size=6, shuffle=False, verbose=0).history
    probe.optimizer.learning_rate = 0.05
    assert history["loss"] == [0.0]
    for weight, old in zip([w for head in probe.heads for w in head.weights], before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_fine_tuning_trains_all():
    probe = compiled(depth=0, frozen=False)
    before = [to_numpy(w.value) for w in probe.weights]
    probe.fit(*labelled(), batch_size=6, verbose=0)
    still = [w.path for w, old in zip(probe.weights, before, strict=True) if np.array_equal(w.numpy(), old)]
    assert still == []


@pytest.mark.parametrize("pooling", ["mean", "concatenate"])
def test_features_are_means_over_present_tokens(model, inputs, pooling):
    extractor = FeatureExtractor(model.encoder, pooling)
    tokens = to_numpy(model.encoder(inputs)).reshape(6, 3, TIME, 8)
    features = to_numpy(extractor(inputs))
    assert features.shape == (6, extractor.width)
    means = tokens.mean(axis=2)
    if pooling == "concatenate":
        np.testing.assert_allclose(features, means.reshape(6, 24), atol=1e-5)
    else:
        for row, here in enumerate([[0, 1, 2], [0, 2], [1], [0, 1, 2], [0, 1, 2], []]):
            expected = means[row, here].mean(axis=0) if here else np.zeros(8)
            np.testing.assert_allclose(features[row], expected, atol=1e-5)


def test_logits_are_linear_in_standardised_features(model, inputs):
    probe = LinearProbe(model.encoder, {"stage": 3, "arousal": 2}, frozen=False)
    for head in probe.heads:
        head.bias.assign(np.arange(head.units))
    probe.standardize.set_weights([np.linspace(-1, 1, 8), np.linspace(1, 2, 8)])
    features = to_numpy(probe.extractor(inputs))
    mean, variance = probe.standardize.get_weights()
    standard = (features - mean) / np.sqrt(variance + probe.standardize.epsilon)
    outputs = to_numpy(probe(inputs))
    assert list(outputs) == ["stage", "arousal"]
    for (label, logits), head in zip(outputs.items(), probe.heads, strict=True):
        kernel, bias = head.get_weights()
        assert logits.shape == (6, probe.classes[label])
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, standard @ kernel + bias, atol=1e-4)


def test_configuration_round_trip():
    probe = LinearProbe(encoder(SINGLE), {"stage": 3}, pooling="concatenate", frozen=False)
    config = probe.get_config()
    assert (config["classes"], config["pooling"], config["frozen"]) == ({"stage": 3}, "concatenate", False)
    again = LinearProbe.from_config(config)
    assert again.get_config() == config
    extractor = FeatureExtractor(encoder(SINGLE), "concatenate")
    assert FeatureExtractor.from_config(extractor.get_config()).get_config() == extractor.get_config()


def test_features_of_a_frozen_encoder_keep_its_digest(trained):
    probe, *_ = trained
    assert of(probe.extractor.encoder) == of(varied_again())


def varied_again():
    keras.utils.set_random_seed(0)
    return varied(encoder(SINGLE))
