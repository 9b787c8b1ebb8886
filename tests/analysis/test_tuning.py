import numpy as np
import pytest
from tiny import CHANNELS, encoder, to_numpy, varied, windows

from physiokeras.analysis.tuning import distributedness, encoder_tuning, unit_tuning

WEIGHTS = np.array([[1.0, 0, 0], [0, 2, 0], [1, 1, 1], [1, 2, 3], [0, 0, 0]])  # units by modalities
SCALES = {"eeg": 1.0, "ecg": 2.0, "emg": 0.5}


def linear(batch):
    """Units that add up what they get from the modalities, each a single number per window."""
    sources = np.stack([batch[name][:, 0, 0] * batch["present"][:, CHANNELS[name].start] for name in SCALES], axis=1)
    return sources @ WEIGHTS.T + 7


def cohort(rows=400, **options):
    inputs = windows(rows, **options)
    for name, scale in SCALES.items():
        inputs[name] = inputs[name] * scale + 3
    present = np.stack([inputs["present"][:, CHANNELS[name]].any(axis=1) for name in SCALES], axis=1)
    return inputs, present


def test_linear_units_have_the_shares_of_their_terms():
    found = unit_tuning(linear, *cohort(), CHANNELS, bases=200, variants=30)
    terms = (WEIGHTS * list(SCALES.values())) ** 2
    expected = terms / np.maximum(terms.sum(axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(found.shares[:, :4], expected[:4].T, atol=0.04)
    np.testing.assert_allclose(found.ablation_shares[:, :4], expected[:4].T, atol=0.06)
    assert np.isnan(found.shares[:, 4]).all()
    assert found.distributedness[:2] == pytest.approx(0, abs=1e-6)
    entropy = [-(p[p > 0] * np.log(p[p > 0])).sum() / np.log(3) for p in expected[2:4]]
    assert found.distributedness[2:4] == pytest.approx(entropy, abs=0.06)


def test_varying_a_modality_leaves_out_windows_without_it():
    inputs, present = cohort(absent=[(row, "ecg") for row in range(0, 400, 2)])
    inputs["ecg"][::2] = 1e6
    found = unit_tuning(linear, inputs, present, CHANNELS, bases=200, variants=30)
    assert found.variance[1, 1] == pytest.approx(4 * inputs["ecg"][1::2, 0, 0].var(), rel=0.15)
    with pytest.raises(ValueError, match="'ecg' has 1"):
        unit_tuning(linear, inputs, present & (np.arange(400)[:, None] == 3), {"ecg": CHANNELS["ecg"]})


def test_distributedness_of_known_shares():
    shares = np.array([[1, 0.5, 1 / 3], [0, 0.5, 1 / 3], [0, 0, 1 / 3]])
    assert distributedness(shares) == pytest.approx([0, np.log(2) / np.log(3), 1])
    assert np.isnan(distributedness(np.ones((1, 2)))).all()


def test_tokens_know_other_modalities_only_after_attention():
    model = varied(encoder(depth=2))
    inputs = windows(40, absent=[(0, "eeg"), (1, "ecg")])
    found = encoder_tuning(model, inputs, bases=6, variants=5)
    assert found.variance.shape == (3, 3, 4, 8)
    own = np.eye(3, dtype=bool)
    layers = found.variance[:, :, :3]  # cause, layer, place of reading, unit
    assert (layers[:, 0][~own] < 1e-9).all()
    assert (layers[:, 0][own] > 1e-6).all()
    assert (layers[:, 1][~own] > 1e-9).all()


def test_layers_read_are_the_means_of_the_encoders_tokens():
    from physiokeras.analysis.tuning import LayerMeans

    model, inputs = varied(encoder(depth=2)), windows(5, absent=[(0, "eeg")])
    found = to_numpy(LayerMeans(model)(inputs))
    layers = to_numpy(model(inputs, return_layers=True)["layers"])
    for number, tokens in enumerate(layers):
        np.testing.assert_allclose(found[:, number + 1], tokens.reshape(5, 3, 4, 8).mean(axis=2), atol=1e-5)
