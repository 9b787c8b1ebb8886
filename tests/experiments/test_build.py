"""Models and optimizers that settings ask for."""

import random
from dataclasses import asdict
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from tiny import MODALITIES, to_numpy

from physiokeras.errors import DataError
from physiokeras.experiments.build import build_encoder, build_model, build_network, build_optimizer, untrained
from physiokeras.experiments.training_settings import TrainingSettings
from physiokeras.models import ContrastiveModel, MaskedAutoencoder

MANIFEST = SimpleNamespace(
    modalities={name: {"samples": m["samples"], "channels": ["c"] * m["channels"]} for name, m in MODALITIES.items()},
    defaults=("eeg", "ecg"),
    variances=dict.fromkeys(MODALITIES, 2.0),
    tokens=4,
)
SMALL = {"width": 8, "depth": 2, "heads": 2, "decoder_width": 8, "decoder_depth": 1, "decoder_heads": 2}


def settings(**values):
    return TrainingSettings(**SMALL, **values)


def test_modalities_keep_the_order_of_the_data_whatever_order_they_are_asked_for_in():
    # The columns of a stream's `present` are in that order.
    assert list(build_encoder(settings(modalities=("ecg", "eeg")), MANIFEST).modalities) == ["eeg", "ecg"]


@pytest.mark.parametrize(
    ("values", "kind", "fusion"),
    [
        ({}, MaskedAutoencoder, 0),
        ({"fusion": 1}, MaskedAutoencoder, 1),
        ({"fusion": -1}, MaskedAutoencoder, 2),
        ({"objective": "pairwise"}, ContrastiveModel, 2),
        ({"objective": "leave_one_out", "fusion": -1}, ContrastiveModel, 2),
    ],
)
def test_every_objective_begins_with_the_same_encoder(values, kind, fusion):
    model, plain = build_model(settings(**values), MANIFEST), build_model(settings(), MANIFEST)
    assert type(model) is kind
    assert model.encoder.fusion == fusion
    assert getattr(model, "objective", "autoencoder") == values.get("objective", "autoencoder")
    assert list(model.encoder.modalities) == ["eeg", "ecg"]
    for ours, theirs in zip(model.encoder.weights, plain.encoder.weights, strict=True):
        assert ours.path.split("/", 1)[1] == theirs.path.split("/", 1)[1]
        np.testing.assert_array_equal(to_numpy(ours.value), to_numpy(theirs.value))


def test_initial_weights_follow_from_the_seed_alone_and_leave_global_randomness_alone():
    task = SimpleNamespace(label="stage", classes=("W", "R"))
    builders = [lambda own: build_model(own, MANIFEST), lambda own: build_network(own, MANIFEST, task)]
    for build in builders:
        weights = []
        for state, seed in ((1, 5), (2, 5), (2, 6)):
            random.seed(state)
            model = build(SimpleNamespace(**asdict(settings(seed=seed)), pooling="mean"))
            assert random.random() == random.Random(state).random()
            weights.append({w.path: to_numpy(w.value) for w in model.weights if w.path.endswith("kernel")})
        first, same, other = weights
        for path in first:
            np.testing.assert_array_equal(first[path], same[path], err_msg=path)
            assert not np.array_equal(first[path], other[path]), path


def test_trained_encoder_keeps_its_weights_in_a_network_and_an_untrained_one_has_those_of_the_seed():
    encoder = build_encoder(settings(seed=5), MANIFEST)
    copy = untrained(encoder, 5)
    for ours, theirs in zip(encoder.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    task, own = SimpleNamespace(label="stage", classes=("W", "R")), SimpleNamespace(seed=5, pooling="mean")
    assert build_network(own, MANIFEST, task, encoder).encoder is encoder


@pytest.mark.parametrize("objective", ["autoencoder", "pairwise"])
def test_precision_is_the_model_s_and_no_global_policy(objective):
    model = build_model(settings(objective=objective, precision="mixed_bfloat16"), MANIFEST)
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in model.encoder.blocks} == {"bfloat16"}
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in model.trainable_variables} == {"float32"}


@pytest.mark.parametrize("objective", ["supervised", "untrained"])
def test_objective_that_trains_on_no_windows_alone_has_no_model(objective):
    with pytest.raises(ValueError, match=f"`objective` must be autoencoder, .*Received: '{objective}'"):
        build_model(settings(objective=objective), MANIFEST)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fusion": 3}, r"fusion must lie in \[0, depth\], or be -1. Received: 3, depth 2"),
        ({"fusion": -2}, "fusion must lie in"),
        (
            {"objective": "pairwise", "fusion": 1},
            "pairwise needs fusion -1: no attention between modalities. Received: 1",
        ),
        ({"accumulate": 0}, "accumulate must be at least 1"),
        ({"accumulate": 2, "devices": 2, "backend": "tensorflow"}, "accumulate with several devices needs backend jax"),
        (
            {"model_parallel": 2, "backend": "torch"},
            "model_parallel needs backend jax: Keras",
        ),
        ({"model_parallel": 2, "backend": "tensorflow"}, "Keras splits no weights on TensorFlow"),
        ({"model_parallel": 2, "backend": "jax"}, "devices must divide by model_parallel. Received: 1, 2"),
        ({"model_parallel": 5, "devices": 5, "backend": "jax"}, "width and decoder_width must"),
        (
            {"model_parallel": 2, "devices": 6, "backend": "jax"},
            "divide by devices over model_parallel",
        ),
    ],
)
def test_settings_that_fit_no_model_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        settings(**values)


@pytest.mark.parametrize("objective", ["autoencoder", "pairwise"])
def test_biases_norms_embeddings_and_temperature_are_spared_the_weight_decay(objective):
    model, optimizer = build_model(settings(objective=objective), MANIFEST), build_optimizer(settings())
    optimizer.build(model.trainable_variables)
    decayed = [v.path for v in model.trainable_variables if optimizer._use_weight_decay(v)]
    assert decayed
    assert all(path.endswith("/kernel") for path in decayed)
    kernels = [v for v in model.trainable_variables if v.path.endswith("/kernel")]
    assert len(decayed) == len(kernels)


def test_learning_rate_is_a_function_of_steps_whatever_is_accumulated():
    for accumulate in (1, 3):
        own = settings(steps=12, warmup=0.25, learning_rate=0.1, accumulate=accumulate)
        optimizer, rates = build_optimizer(own), []
        for step in range(12):
            optimizer._iterations.assign(step)
            rates.append(float(to_numpy(optimizer.learning_rate)))
        expected = [0.1 * i / 3 for i in range(3)] + [0.05 * (1 + np.cos(np.pi * i / 9)) for i in range(9)]
        np.testing.assert_allclose(rates, expected, atol=1e-6)


def test_view_spans_and_targets_are_those_of_the_settings():
    plain = build_model(settings(), MANIFEST)
    assert (plain.encoder.view, plain.targets, plain.patch_spectra()) == ("samples", "samples", [])
    model = build_model(settings(view="spectrum", spans=(1, 2), targets="both"), MANIFEST)
    assert (model.encoder.view, model.encoder.spans, model.targets) == ("spectrum", (1, 2), "both")


def test_drop_weights_are_those_of_the_modalities_in_order():
    assert build_model(settings(drop_weights=(2.0, 0.0)), MANIFEST).modality_dropout.drop_weights == [2, 0]
    assert build_model(settings(), MANIFEST).modality_dropout.drop_weights is None
    with pytest.raises(DataError, match=r"one number for each of eeg, ecg. Received: \(1.0,\)"):
        build_model(settings(drop_weights=(1.0,)), MANIFEST)
    for wrong in ((0.0, 0.0), (1.0, -1.0), (1.0, float("nan"))):
        with pytest.raises(ValueError, match="not all 0"):
            settings(drop_weights=wrong)
