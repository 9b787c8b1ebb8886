import re
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import autoencoder, encoder
from tiny import windows as tiny_windows

from physiokeras.analysis.reconstruction import (
    ReconstructionSums,
    dropped_reconstruction,
    explained,
    explained_intervals,
    numbers_in_band,
    source_sets,
    source_target,
)

pytestmark = pytest.mark.once

MODALITIES = {"a": {"samples": 8, "channels": 1}, "b": {"samples": 4, "channels": 2}}


def windows(rows=70):
    draw = np.random.default_rng(0)
    inputs = {name: draw.normal(size=(rows, m["samples"], m["channels"])) for name, m in MODALITIES.items()}
    inputs["present"] = draw.random((rows, 3)) > 0.2
    return inputs


def stub(answers):
    """A model that reconstructs modality "a" by `answers(batch)`, whose encoder reads floats as they are."""
    return SimpleNamespace(
        targets="samples",
        encoder=SimpleNamespace(modalities=MODALITIES, read=lambda batch: (batch, None)),
        reconstruct=lambda batch, drop: {"signals": {"a": answers(batch), "b": 0 * batch["b"]}},
    )


def told_by_b(batch):
    return np.tile(batch["b"][:, :, :1], (1, 2, 1))


@pytest.mark.parametrize("scale", [0.0, 0.7, 1.0])
def test_explained_is_one_minus_relative_error_in_windows_that_have_the_modality(scale):
    inputs = windows()
    here = inputs["present"][:, 0] & inputs["present"][:, 1:].any(axis=1)
    found = dropped_reconstruction(stub(lambda batch: scale * batch["a"]), inputs)
    true = inputs["a"][here]
    expected = 1 - ((1 - scale) * true).var() / true.var() - ((1 - scale) * true.mean()) ** 2 / true.var()
    assert found["a"]["explained"] == pytest.approx(expected)
    assert scale == 0 or found["a"]["shuffled"] < 0.2 - scale**2


def test_shuffling_removes_what_only_the_others_tell():
    inputs = windows()
    inputs["a"] = told_by_b(inputs)
    found = dropped_reconstruction(stub(told_by_b), inputs)
    assert found["a"]["explained"] == pytest.approx(1)
    assert found["a"]["shuffled"] == pytest.approx(-1, abs=0.3)


def test_what_is_the_same_in_all_windows_is_no_information():
    inputs, shape = windows(), np.sin(np.arange(8))[None, :, None]
    inputs["a"] = shape + 0.1 * inputs["a"]
    found = dropped_reconstruction(stub(lambda batch: np.tile(shape, (len(batch["a"]), 1, 1))), inputs)
    assert found["a"]["explained"] == pytest.approx(found["a"]["shuffled"])
    assert found["a"]["explained"] > 0.9


def test_groups_add_up_and_each_is_judged_by_its_own_mean():
    inputs = windows(150)
    groups = np.arange(150) % 3
    inputs["a"] = inputs["a"] + groups[:, None, None]
    model = stub(lambda batch: 0.5 * batch["a"])
    sums = source_target(model, inputs, groups)[("b",), "a"]
    here = inputs["present"][:, 0] & inputs["present"][:, 1:].any(axis=1)
    for group in range(3):
        true = inputs["a"][here & (groups == group)]
        one = ReconstructionSums(sums.error[group], sums.shuffled[group], sums.moments[group])
        value = explained_intervals(sums, np.array([[group]]))[0][0]
        assert value == pytest.approx(1 - (0.25 * true**2).mean() / true.var())
        assert one.moments[0, 0] == true.size
    (value, low, high), shuffled = explained_intervals(sums, np.array([[0], [1], [2]]))
    assert value == pytest.approx(explained(sums))
    assert low < value < high
    assert shuffled[0] < value


def test_a_source_alone_is_all_that_the_model_sees():
    model = autoencoder(encoder())
    inputs = tiny_windows(7)
    sets = source_sets(model.encoder.modalities)
    assert len(sets) == 2**3 - 2
    assert len(source_sets("abcdef")) == 12
    found = source_target(model, inputs)
    assert {key for key in found if key[0] == ("eeg",)} == {(("eeg",), "ecg"), (("eeg",), "emg")}
    changed = {**inputs, "emg": inputs["emg"][::-1]}
    again = source_target(model, changed)
    assert again[("eeg",), "ecg"].error == pytest.approx(found[("eeg",), "ecg"].error)
    assert again[("eeg", "emg"), "ecg"].error != pytest.approx(found[("eeg", "emg"), "ecg"].error, rel=1e-6)


def test_what_no_window_has_or_tells_is_unknown():
    model, inputs = autoencoder(encoder(MODALITIES)), windows()
    inputs["a"], inputs["b"] = (np.tile(inputs[name], (1, k, 1)) for name, k in (("a", 1), ("b", 1)))
    inputs["present"][:, 0] = False
    inputs["present"][:3] = True
    inputs["present"][:3, 1:] = False
    found = dropped_reconstruction(model, inputs)
    assert np.isnan(found["a"]["explained"])  # known where there is nothing to tell it from
    assert np.isnan(found["b"]["explained"])
    inputs["present"][:3, 1:] = True
    assert np.isfinite(dropped_reconstruction(model, inputs)["a"]["explained"])


def test_models_that_predict_spectra_are_judged_by_spectra():
    model, inputs = autoencoder(encoder(view="both"), targets="spectrum"), tiny_windows(9)
    inputs["present"][:4, 0] = False
    model.adapt(inputs)
    found = source_target(model, inputs, sources=[("ecg",)])
    true = model.reconstruct(inputs, drop=["eeg", "emg"])
    counted = np.repeat(inputs["present"][:, None, :2], np.asarray(true["spectra"]["eeg"]).shape[2] // 2, axis=2)
    expected = ((np.asarray(true["spectra"]["eeg"]) - np.asarray(true["true_spectra"]["eeg"])) ** 2 * counted).sum()
    np.testing.assert_allclose(found[("ecg",), "eeg"].error.sum(), expected, rtol=1e-4)


def test_bands_outside_of_the_band_pass_do_not_count():
    model, inputs = autoencoder(encoder(view="both"), targets="spectrum"), tiny_windows(9)
    model.adapt(inputs)
    seconds = 2.0
    rate = inputs["eeg"].shape[1] / model.encoder.time / seconds
    definition = {"patch": seconds, "modalities": {"eeg": {"bandpass": [0.3 * rate, 0.4 * rate]}, "emg": {}}}
    numbers = numbers_in_band(model, definition)
    assert set(numbers) == {"eeg"}
    names = model.patch_spectra()[list(model.encoder.modalities).index("eeg")].number_names(["a", "b"], seconds)
    held = []
    for name in names:
        band = re.fullmatch(r". (\S+) to (\S+) Hz of .*", name)
        held.append(bool(band and float(band[2]) >= 0.3 * rate and float(band[1]) <= 0.4 * rate))
    assert 0 < sum(held) < len(held) / 2
    np.testing.assert_array_equal(numbers["eeg"], held)
    found = source_target(model, inputs, sources=[("ecg",)], numbers=numbers)[("ecg",), "eeg"]
    made = model.reconstruct(inputs, drop=["eeg", "emg"])
    true, made = (np.asarray(made[key]["eeg"])[..., held] for key in ("true_spectra", "spectra"))
    each = np.repeat(inputs["present"][:, None, :2], sum(held) // 2, axis=2) & np.ones(true.shape, bool)
    total = sum(true[..., i][each[..., i]].var() * each[..., i].sum() for i in range(sum(held)))
    assert explained(found) == pytest.approx(1 - ((true - made) ** 2 * each).sum() / total, rel=1e-4)
