"""What models with a loss of their own do with Keras's arguments and files."""

import keras
import numpy as np
import pytest
from tiny import ROWS, autoencoder, encoder, to_numpy, windows
from trainings import TWO

from physiokeras.losses import hidden_patch_error
from physiokeras.models import ContrastiveModel

NUMBERS = np.array([1, 0, 2, 0, 1, 1], "float32")


def contrastive():
    return ContrastiveModel(encoder(fusion=1))


def compiled(model):
    model.compile(keras.optimizers.SGD(0.1))
    return model


def test_patch_error_weighs_rows():
    target = np.zeros((2, 4, 1), "float32")
    predicted = np.array([[1.0] * 4, [3.0] * 4], "float32")[:, :, None]
    every = np.ones((2, 2), bool), np.ones((2, 1), bool)
    for weights, expected, count in [
        ([1, 1], 5.0, 8),
        ([1, 0], 1.0, 4),
        ([0, 2], 9.0, 8),
        ([3, 1], 3.0, 16),
        ([0, 0], 0, 0),
    ]:
        found = hidden_patch_error(target, predicted, *every, np.array(weights, "float32"))
        np.testing.assert_allclose(to_numpy(found), (expected, count))


def test_windows_of_weight_zero_are_left_out_of_the_loss():
    model, inputs = autoencoder(dropout={}), windows()
    predicted = model(inputs)
    kept = NUMBERS > 0

    def rows(structure, chosen):
        return keras.tree.map_structure(lambda values: np.asarray(to_numpy(values))[chosen], structure)

    weighted = model.compute_loss(inputs, None, predicted, kept.astype("float32"))
    chosen = model.compute_loss(rows(inputs, kept), None, rows(predicted, kept))
    np.testing.assert_allclose(to_numpy(weighted), to_numpy(chosen), rtol=1e-5)
    assert abs(float(to_numpy(weighted)) - float(to_numpy(model.compute_loss(inputs, None, predicted)))) > 1e-4


def test_fit_and_evaluate_use_sample_weight_with_and_without_labels():
    inputs, labels = windows(modalities=TWO), np.zeros(ROWS)

    def losses(**options):
        model = compiled(autoencoder(encoder(TWO)))
        valid = (inputs, options.get("y"), options.get("sample_weight"))
        history = model.fit(inputs, **options, batch_size=ROWS, verbose=0, validation_data=valid).history
        return [history["loss"][0], history["val_loss"][0], *model.evaluate(inputs, **options, verbose=0)]

    keras.utils.set_random_seed(0)
    plain = losses()
    keras.utils.set_random_seed(0)
    without = losses(sample_weight=NUMBERS)
    keras.utils.set_random_seed(0)
    np.testing.assert_allclose(losses(y=labels, sample_weight=NUMBERS), without, rtol=1e-6)
    assert np.abs(np.subtract(without, plain)).min() > 1e-5


@pytest.mark.once
def test_class_weight_is_used_or_refused():
    classes = (NUMBERS > 0).astype(int)
    keras.utils.set_random_seed(0)
    by_class = compiled(autoencoder()).fit(windows(), classes, class_weight={0: 0.0, 1: 1.0}, verbose=0).history
    keras.utils.set_random_seed(0)
    by_window = compiled(autoencoder()).fit(windows(), sample_weight=classes.astype("f4"), verbose=0).history
    assert by_class["loss"] == by_window["loss"]
    with pytest.raises(ValueError, match="needs the windows' classes"):
        compiled(autoencoder()).fit(windows(), class_weight={0: 0.0, 1: 1.0}, verbose=0)


def test_contrastive_model_refuses_weights():
    with pytest.raises(ValueError, match="`sample_weight` and `class_weight` cannot be used"):
        compiled(contrastive()).fit(windows(), sample_weight=NUMBERS, verbose=0)


@pytest.mark.once
@pytest.mark.parametrize("model", [autoencoder, contrastive])
@pytest.mark.parametrize("name", ["loss", "loss_weights", "metrics", "weighted_metrics"])
def test_losses_and_metrics_are_refused(model, name):
    with pytest.raises(ValueError, match=f"Leave out {name}"):
        model().compile("adam", **{name: ["mse"]})


def test_training_goes_on_from_a_keras_file_with_other_masks(tmp_path):
    def fit(network, seed):
        network.fit(windows(modalities=TWO, seed=seed), batch_size=ROWS, epochs=2, shuffle=False, verbose=0)
        return network

    keras.utils.set_random_seed(0)
    whole = autoencoder(encoder(TWO, dropout=0.2), dropout={})
    whole.compile(keras.optimizers.Adam(0.01))
    fit(whole, 1).save(tmp_path / "model.keras")
    fit(whole, 2)
    loaded = fit(keras.saving.load_model(tmp_path / "model.keras"), 2)
    for ours, theirs in zip(loaded.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))


@pytest.mark.once
def test_weights_file_without_seed_states_is_read_with_a_warning(tmp_path):
    from physiokeras.layers import TokenMask

    mask = TokenMask(4, name="mask")
    with pytest.warns(UserWarning, match="mask draws as at the beginning"):
        mask.load_own_variables({})
