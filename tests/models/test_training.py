import keras
import numpy as np
import pytest
from tiny import MODALITIES, autoencoder, encoder, windows

SINGLE, TWO = ({name: MODALITIES[name] for name in names} for names in (["ecg"], ["ecg", "emg"]))


def learnable(rows=12, modalities=MODALITIES):
    """Windows with one waveform in every modality, whose sign differs between windows."""
    sign = np.where(np.arange(rows) % 2, 1.0, -1.0)[:, None, None]
    inputs = windows(rows, modalities)
    for name, m in modalities.items():
        wave = np.sin(np.arange(m["samples"]) * 2 * np.pi / m["samples"])[None, :, None]
        inputs[name] = (sign * (wave + 1) + 0.1 * inputs[name]).astype("float32")
    return inputs


@pytest.fixture(scope="module")
def run():
    """A model trained with drops; its losses, weights before and after, and how often the training step was traced."""
    keras.utils.set_random_seed(1)
    model, traces, first = autoencoder(encoder(TWO), dropout={"rate": 0.7}), [], []
    compute_loss = model.compute_loss

    def counted(*arguments, **named):
        traces.append(1)
        return compute_loss(*arguments, **named)

    model.compute_loss = counted
    model.compile(keras.optimizers.SGD(0.1, global_clipnorm=1.0))
    before = model.get_weights()
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: first.append(len(traces)))
    history = model.fit(learnable(modalities=TWO), batch_size=6, epochs=25, verbose=0, callbacks=[note]).history
    batches = {name: windows(modalities=TWO) for name in ("all", "none", "one lacks everywhere", "one each")}
    batches["none"]["present"][:] = False
    batches["one lacks everywhere"]["present"][:, 1] = False
    batches["one each"]["present"][:] = np.arange(6)[:, None] % 2 == [0, 1]
    after, losses = model.get_weights(), {}
    for name, batch in batches.items():
        logs = model.fit(batch, batch_size=6, verbose=0).history
        losses[name] = logs["loss"][0], [np.isfinite(w).all() for w in model.get_weights()]
    return {
        "model": model,
        "history": history,
        "before": before,
        "after": after,
        "losses": losses,
        "traces": [*first, len(traces)],
    }


def test_a_small_model_learns_a_few_windows(run):
    losses = run["history"]["loss"]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < 0.4 * losses[0]
    assert {f"loss_{name}" for name in TWO} < run["history"].keys()


def test_every_weight_trains(run):
    still = [
        weight.path
        for weight, before, after in zip(run["model"].weights, run["before"], run["after"], strict=True)
        if np.array_equal(before, after)
    ]
    assert still == []


def test_training_with_drops_compiles_once(run):
    if keras.config.backend() == "torch":
        pytest.skip("PyTorch runs eagerly: nothing is compiled")
    # The step's Python runs only while it is traced, on TensorFlow sometimes twice before the first batch. No later
    # batch, with whatever is dropped or absent in it, adds a trace.
    assert len(run["traces"]) == 51
    assert set(run["traces"]) <= ({1, 2} if keras.config.backend() == "tensorflow" else {1})
    assert len(set(run["traces"])) == 1


@pytest.mark.parametrize("batch", ["all", "none", "one lacks everywhere", "one each"])
def test_losses_and_gradients_are_finite_whatever_is_absent(run, batch):
    loss, finite = run["losses"][batch]
    assert np.isfinite(loss)
    assert all(finite)


def test_fit_takes_inputs_with_or_without_labels_and_all_visible_windows_give_no_gradient():
    model = autoencoder(encoder(SINGLE, depth=0), mask={"ratio": 0.0}, decoder_depth=0)
    model.compile(keras.optimizers.SGD(0.1, global_clipnorm=1.0))
    inputs, before = windows(12, SINGLE), model.get_weights()
    batches = [{k: v[i : i + 6] for k, v in inputs.items()} for i in (0, 6)]
    labels = {"stage": np.zeros(6, "int32"), "age": np.ones(6, "float32")}
    for elements in ([(x,) for x in batches], [(x, labels) for x in batches]):
        history = model.fit((element for element in elements), steps_per_epoch=2, verbose=0).history
        assert history["loss"] == [0.0]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_mixed_precision_trains():
    keras.utils.set_random_seed(1)
    model = autoencoder(encoder(SINGLE, dtype="mixed_bfloat16"), decoder_depth=0)
    model.compile(keras.optimizers.SGD(0.1, global_clipnorm=1.0))
    inputs, before = learnable(12, SINGLE), model.get_weights()
    losses = model.fit(inputs, batch_size=6, epochs=25, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
    assert {w.dtype for w in model.weights} == {"float32"}
    assert {layer.compute_dtype for layer in model.encoder.blocks[0]._flatten_layers()} == {"bfloat16"}
    still = [w.path for w, old in zip(model.weights, before, strict=True) if np.array_equal(w.numpy(), old)]
    assert still == []
