import keras
import numpy as np
import pytest
from tiny import MODALITIES, TIME, WIDTH, encoder, to_numpy, varied, windows

from physiokeras.losses import leave_one_out_contrast, pairwise_contrast
from physiokeras.models import ContrastiveModel, digest, load, save
from physiokeras.models.saving import named_weights

ABSENT = [(1, "ecg"), (2, "eeg"), (2, "emg"), (5, "eeg"), (5, "ecg"), (5, "emg")]
OBJECTIVES = {"pairwise": pairwise_contrast, "leave_one_out": leave_one_out_contrast}


def made(objective="pairwise", **arguments):
    keras.utils.set_random_seed(0)
    return ContrastiveModel(encoder(fusion=1, **arguments), objective)


@pytest.fixture(scope="module")
def model():
    return varied(made())


def learnable(rows=12):
    """Windows whose modalities share an amplitude that differs between windows."""
    inputs, size = windows(rows), np.linspace(-2, 2, rows)[:, None, None]
    return {name: (x * 0.2 + size if name in MODALITIES else x).astype(x.dtype) for name, x in inputs.items()}


def test_embeddings_are_means_over_the_tokens_of_a_modality(model):
    inputs = windows(absent=ABSENT)
    outputs = to_numpy(model(inputs))
    tokens = to_numpy(model.encoder(inputs)).reshape(6, 3, TIME, WIDTH)
    np.testing.assert_allclose(outputs["embeddings"], tokens.mean(axis=2), atol=1e-5)
    np.testing.assert_array_equal(outputs["present"], inputs["present"][:, [0, 2, 3]])
    assert not outputs["embeddings"][~outputs["present"]].any()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_trains_and_learns_what_modalities_share(objective):
    model = made(objective)
    model.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0))
    inputs, before = learnable(), model.get_weights()
    history = model.fit(inputs, batch_size=6, epochs=20, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert np.mean(history[-3:]) < 0.8 * history[0]
    after = model.evaluate(inputs, batch_size=6, verbose=0)
    embeddings, present = to_numpy(model(inputs)).values()
    parts = [OBJECTIVES[objective](embeddings[i : i + 6], present[i : i + 6], model.log_scale) for i in (0, 6)]
    assert after == pytest.approx(np.mean(to_numpy(parts)), abs=1e-4)
    still = [w.path for w, old in zip(model.weights, before, strict=True) if np.array_equal(w.numpy(), old)]
    assert still == []


def test_temperature_never_falls_below_one():
    model = made()
    model.compile(keras.optimizers.SGD(10.0))
    inputs = windows()
    # Pairs that are told apart wrongly, whatever is done, ask for a smaller factor.
    inputs["ecg"], inputs["emg"] = inputs["ecg"], -inputs["ecg"][::-1]
    model.encoder.trainable = False
    assert float(model.log_scale.numpy()) == 0
    model.fit(inputs, epochs=3, verbose=0)
    assert float(model.log_scale.numpy()) >= 0


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("present", ["none", "one row", "one each"])
def test_batches_with_nothing_to_compare_leave_everything_finite(objective, present):
    model = made(objective)
    model.compile(keras.optimizers.SGD(0.1, global_clipnorm=1.0))
    inputs, before = windows(), model.get_weights()
    rows = np.arange(6)[:, None]
    has = {"none": rows < 0, "one row": rows < 1, "one each": rows % 3 == np.array([0, 0, 1, 2])}[present]
    inputs["present"] = np.broadcast_to(has, (6, 4)).copy()
    assert model.fit(inputs, batch_size=6, verbose=0).history["loss"] == [0.0]
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_mixed_precision_trains():
    model = made(dtype="mixed_bfloat16")
    model.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0))
    losses = model.fit(learnable(), batch_size=6, epochs=20, verbose=0).history["loss"]
    assert np.mean(losses[-3:]) < 0.9 * losses[0]
    assert {w.dtype for w in model.weights} == {"float32"}


def test_fit_takes_streams_with_and_without_labels():
    model, inputs = made(), windows()
    model.compile("sgd")
    for element in ((inputs,), (inputs, {"stage": np.zeros(6, "int32")})):
        assert np.isfinite(model.fit(iter([element]), steps_per_epoch=1, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("kind", ["folder", "keras"])
def test_saved_and_loaded_it_is_the_same(model, kind, tmp_path):
    if kind == "folder":
        save(model, tmp_path)
        again = load(tmp_path)
    else:
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is ContrastiveModel
    assert again.get_config() == model.get_config()
    assert digest(again) == digest(model)
    np.testing.assert_array_equal(to_numpy(again(windows()))["embeddings"], to_numpy(model(windows()))["embeddings"])
    assert "log_scale" in named_weights(again)


@pytest.mark.parametrize(
    ("part", "arguments", "words"),
    [
        ({"fusion": 0}, {}, r"Encoder\(..., depth=n, fusion=n\).*Received: depth=1, fusion=0"),
        ({"fusion": 1}, {"objective": "triplet"}, r"`objective` must be one of .*Received: objective='triplet'"),
        ({"fusion": 1, "modalities": {"ecg": MODALITIES["ecg"]}}, {}, r"two modalities or more. Received: \['ecg'\]"),
    ],
)
def test_wrong_arguments_are_named(part, arguments, words):
    with pytest.raises(ValueError, match=words):
        ContrastiveModel(encoder(**part), **arguments)
