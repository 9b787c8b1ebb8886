import numpy as np
import pytest

import physiokeras
from physiokeras.experiments import saved_models as shipped
from physiokeras.recipes import presets

pytestmark = pytest.mark.once


def test_presets_are_listed_or_said_to_be_none(capsys, tmp_path, monkeypatch):
    assert presets.main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in shipped.preset_names())
    monkeypatch.setattr(shipped, "PRESETS", tmp_path)
    assert presets.main([]) == 0
    assert "ships no presets" in capsys.readouterr().out


@pytest.mark.parametrize("name", shipped.preset_names())
def test_a_preset_loads_predicts_and_has_a_card(name):
    model, draw = physiokeras.load(name), np.random.default_rng(0)
    windows = {
        modality: draw.normal(size=(3, sizes["samples"], sizes["channels"])).astype("float32")
        for modality, sizes in model.encoder.modalities.items()
    }
    for task in model.tasks:
        probabilities = model.predict(windows, task).probabilities
        assert probabilities.shape == (3, len(model.head(task).task.classes))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    card = (shipped.PRESETS / name / "README.md").read_text()
    assert all(
        heading in card for heading in ("## Scores", "## Not for", "licence" if name == "wrist_small" else "ODC-By")
    )
