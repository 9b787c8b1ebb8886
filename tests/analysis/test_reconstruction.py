from types import SimpleNamespace

import numpy as np
import pytest
from tiny import autoencoder, encoder

from physiokeras.analysis.reconstruction import dropped_reconstruction

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
        encoder=SimpleNamespace(modalities=MODALITIES, read=lambda batch: (batch, None)),
        reconstruct=lambda batch, drop: {"signals": {"a": answers(batch), "b": 0 * batch["b"]}},
    )


@pytest.mark.parametrize("scale", [0.0, 0.7, 1.0])
def test_explained_is_one_minus_relative_error_in_windows_that_have_the_modality(scale):
    inputs = windows()
    found = dropped_reconstruction(stub(lambda batch: scale * batch["a"]), inputs)
    true = inputs["a"][inputs["present"][:, 0]]
    expected = 1 - ((1 - scale) * true).var() / true.var() - ((1 - scale) * true.mean()) ** 2 / true.var()
    assert found["a"]["explained"] == pytest.approx(expected)
    assert found["a"]["shuffled"] == pytest.approx(expected)  # told by itself alone


def test_shuffling_removes_what_only_the_others_tell():
    inputs = windows()
    inputs["a"] = np.tile(inputs["b"][:, :, :1], (1, 2, 1))
    found = dropped_reconstruction(stub(lambda batch: np.tile(batch["b"][:, :, :1], (1, 2, 1))), inputs)
    assert found["a"]["explained"] == pytest.approx(1)
    assert found["a"]["shuffled"] == pytest.approx(-1, abs=0.3)


def test_a_modality_that_no_window_has_is_unknown():
    model, inputs = autoencoder(encoder(MODALITIES)), windows()
    inputs["a"], inputs["b"] = (np.tile(inputs[name], (1, k, 1)) for name, k in (("a", 1), ("b", 1)))
    inputs["present"][:, 0] = False
    found = dropped_reconstruction(model, inputs)
    assert np.isnan(found["a"]["explained"])
    assert np.isfinite(found["b"]["explained"])
