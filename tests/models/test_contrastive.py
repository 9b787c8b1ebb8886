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
    return ContrastiveModel(encoder(**{"fusion": 1, **arguments}), objective)


@pytest.fixture(scope="module")
def model():
    return varied(made())


def learnable(rows=12):
    """Windows whose modalities share an amplitude that differs between the six windows of a batch."""
    inputs, size = windows(rows), np.resize(np.linspace(-2, 2, 6), rows)[:, None, None]
    return {name: (x * 0.2 + size if name in MODALITIES else x).astype(x.dtype) for name, x in inputs.items()}


def test_embeddings_are_means_over_the_tokens_of_a_modality(model):
    inputs = windows(absent=ABSENT)
    outputs = to_numpy(model(inputs))
    tokens = to_numpy(model.encoder(inputs)).reshape(6, 3, TIME, WIDTH)
    np.testing.assert_allclose(outputs["embeddings"], tokens.mean(axis=2), atol=1e-5)
    np.testing.assert_array_equal(outputs["present"], inputs["present"][:, [0, 2, 3]])
    assert not outputs["embeddings"][~outputs["present"]].any()


@pytest.fixture(scope="module", params=OBJECTIVES)
def run(request):
    """A model trained on what modalities share, and then on batches with nothing to compare."""
    model, inputs = made(request.param), learnable()
    model.compile(keras.optimizers.SGD(0.2, global_clipnorm=1.0))
    before = model.get_weights()
    # A generator of labelled windows, as a stream is.
    batches = [({name: x[i : i + 6] for name, x in inputs.items()}, {"stage": np.zeros(6, "int32")}) for i in (0, 6)]
    history = model.fit((batches[i % 2] for i in range(40)), steps_per_epoch=2, epochs=20, verbose=0).history["loss"]
    after, empty, rows = model.get_weights(), {}, np.arange(6)[:, None]
    loss = model.evaluate(inputs, batch_size=6, verbose=0)
    for name, has in {"none": rows < 0, "one row": rows < 1, "one each": rows % 3 == np.array([0, 0, 1, 2])}.items():
        batch = {**batches[0][0], "present": np.broadcast_to(has, (6, 4)).copy()}
        empty[name] = model.fit(iter_of(batch), steps_per_epoch=1, verbose=0).history["loss"], model.get_weights()
    model.set_weights(after)
    return {"model": model, "history": history, "loss": loss, "before": before, "after": after, "empty": empty}


def iter_of(batch):
    yield (batch,)


def test_learns_what_modalities_share(run):
    assert np.isfinite(run["history"]).all()
    assert np.mean(run["history"][-3:]) < 0.8 * run["history"][0]


def test_every_weight_trains(run):
    pairs = zip(run["model"].weights, run["before"], run["after"], strict=True)
    assert [weight.path for weight, old, new in pairs if np.array_equal(old, new)] == []


def test_evaluation_is_the_loss_of_the_embeddings(run):
    embeddings, present = to_numpy(run["model"](learnable())).values()
    loss, scale = OBJECTIVES[run["model"].objective], run["model"].log_scale
    parts = [loss(embeddings[i : i + 6], present[i : i + 6], scale) for i in (0, 6)]
    assert run["loss"] == pytest.approx(np.mean(to_numpy(parts)), abs=1e-4)


@pytest.mark.parametrize("batch", ["none", "one row", "one each"])
def test_batch_with_nothing_to_compare_changes_no_weight(run, batch):
    losses, weights = run["empty"][batch]
    assert losses == [0.0]
    for old, new in zip(run["after"], weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_factor_on_similarities_never_falls_below_one():
    scale, optimizer = made(depth=0, fusion=0).log_scale, keras.optimizers.SGD(1.0)
    for gradient, expected in [(2.0, 0.0), (-3.0, 3.0), (1.0, 2.0), (5.0, 0.0)]:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [scale])
        assert scale.numpy() == expected


def test_mixed_precision_trains():
    model = made(depth=0, fusion=0, dtype="mixed_bfloat16")
    model.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0))
    losses = model.fit(learnable(), batch_size=6, epochs=20, verbose=0).history["loss"]
    assert np.mean(losses[-3:]) < 0.9 * losses[0]
    assert {w.dtype for w in model.weights} == {"float32"}


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
