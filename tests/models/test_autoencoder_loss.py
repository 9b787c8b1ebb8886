import keras
import numpy as np
import pytest
import reference
from tiny import MODALITIES, TIME, autoencoder, encoder, to_numpy, windows

from physiokeras.losses import hidden_patch_error, normalize_patches

VARIANCES = {"eeg": 0.5, "ecg": 2.0, "emg": 8.0}
ALL = [(row, name) for row in range(6) for name in MODALITIES]


def loss(model, inputs, outputs):
    return float(to_numpy(model.compute_loss(inputs, None, outputs)))


@pytest.mark.parametrize("loss_on_dropped", [True, False])
@pytest.mark.parametrize("drop_from", ["input", "output", "context"])
def test_loss_is_that_of_hidden_present_patches(model, inputs, drop_from, loss_on_dropped):
    variant = autoencoder(
        model.encoder,
        None,
        {"per": "sample"},
        drop_from=drop_from,
        loss_on_dropped=loss_on_dropped,
        variances=VARIANCES,
    )
    inputs["present"][3, 1] = False
    outputs = variant(inputs)
    arrays = to_numpy(outputs)
    present = np.stack([inputs["present"][:, c].any(axis=1) for c in (slice(0, 2), slice(2, 3), slice(3, 4))], axis=1)
    assert (present & ~arrays["kept"]).sum() == 4
    counted = present if drop_from == "input" and loss_on_dropped else arrays["kept"]
    expected = reference.loss(MODALITIES, TIME, inputs, arrays, counted, VARIANCES, False)
    np.testing.assert_allclose(loss(variant, inputs, outputs), expected, rtol=1e-5)


def test_normalised_targets_leave_the_variances_out(model, inputs):
    variant = autoencoder(model.encoder, normalize_targets=True, variances=VARIANCES)
    inputs["present"][3, 1] = False
    outputs = variant(inputs)
    arrays = to_numpy(outputs)
    expected = reference.loss(MODALITIES, TIME, inputs, arrays, arrays["kept"], VARIANCES, True)
    np.testing.assert_allclose(loss(variant, inputs, outputs), expected, rtol=1e-4)


def test_stored_integers_are_scaled_in_the_loss(model, inputs):
    stored = {k: np.round(v * 500).astype("int16") if k in MODALITIES else v for k, v in inputs.items()}
    floats = {k: v.astype("float32") * (20 / 32767) if k in MODALITIES else v for k, v in stored.items()}
    outputs = model(inputs)
    arrays = to_numpy(outputs)
    expected = reference.loss(MODALITIES, TIME, floats, arrays, arrays["kept"], dict.fromkeys(MODALITIES, 1.0), False)
    np.testing.assert_allclose(loss(model, stored, outputs), expected, rtol=1e-5)


def test_what_nobody_has_counts_in_no_loss(model):
    whole, without = windows(), windows(absent=[(row, "emg") for row in range(6)])
    without["emg"][:] = np.nan
    outputs = model(without)
    arrays = to_numpy(outputs)
    expected = reference.loss(MODALITIES, TIME, whole, arrays, arrays["kept"], dict.fromkeys(MODALITIES, 1.0), False)
    assert not arrays["counted"][:, 2].any()
    np.testing.assert_allclose(loss(model, without, outputs), expected, rtol=1e-5)


def test_a_batch_without_anything_has_no_loss(model):
    inputs = windows(absent=ALL)
    assert loss(model, inputs, model(inputs)) == 0


def test_nothing_hidden_is_no_loss(inputs):
    model = autoencoder(mask={"ratio": 0.0})
    outputs = model(inputs)
    present = np.repeat(to_numpy(outputs)["counted"], TIME, axis=1)
    assert np.array_equal(to_numpy(outputs)["hidden"], ~present)
    assert loss(model, inputs, outputs) == 0


def test_reported_losses_are_means_over_samples_of_all_batches(model, inputs):
    variant = autoencoder(model.encoder)
    total, count = 0.0, 0
    for seed in (1, 2):
        batch = {**windows(seed=seed), "present": inputs["present"]}
        outputs = variant(batch)
        loss(variant, batch, outputs)
        hidden = to_numpy(outputs)["hidden"].reshape(6, 3, TIME)[:, 0] & batch["present"][:, :1]
        where = np.repeat(hidden, 4, axis=1)[:, :, None] & np.ones((1, 1, 2), bool)
        total += ((to_numpy(outputs)["signals"]["eeg"] - batch["eeg"]) ** 2)[where].sum()
        count += where.sum()
    np.testing.assert_allclose(float(to_numpy(variant.trackers[0].result())), total / count, rtol=1e-5)


def test_patch_error_of_a_case_worked_by_hand():
    target = np.zeros((1, 4, 2), "float32")
    prediction = np.array([[[1, 9], [3, 9], [5, 9], [7, 9]]], "float32")
    hidden, present = np.array([[True, False]]), np.array([[True, False]])
    error, count = to_numpy(hidden_patch_error(target, prediction, hidden, present))
    assert (error, count) == (5, 2)
    error, count = to_numpy(hidden_patch_error(target, prediction, ~hidden & False, present))
    assert (error, count) == (0, 0)


def test_normalised_patches_have_mean_zero_and_unbiased_variance_one():
    signal = np.random.default_rng(0).normal(3, 2, (2, 8, 3)).astype("float32")
    signal[1, :, 2] = 4.0
    patches = to_numpy(normalize_patches(signal, 2)).reshape(2, 2, 4, 3)
    np.testing.assert_allclose(patches.mean(axis=2), 0, atol=1e-5)
    np.testing.assert_allclose(patches[0].var(axis=1, ddof=1), 1, rtol=1e-4)
    assert not patches[1, :, :, 2].any()
    assert np.isfinite(to_numpy(normalize_patches(signal, 8))).all()


def test_targets_stay_float32_under_mixed_precision():
    # 1.003 is 1.0 in bfloat16.
    model = autoencoder(encoder({"ecg": MODALITIES["ecg"]}, depth=0, dtype="mixed_bfloat16"), decoder_depth=0)
    inputs = {"ecg": np.full((6, 8, 1), 1.003, "float32"), "present": np.ones((6, 1), bool)}
    nothing = keras.ops.zeros((6, 8, 1), "bfloat16")
    outputs = {"signals": {"ecg": nothing}, "hidden": np.ones((6, TIME), bool), "counted": np.ones((6, 1), bool)}
    np.testing.assert_allclose(loss(model, inputs, outputs), 1.003**2, rtol=1e-6)
