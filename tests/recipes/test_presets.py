import numpy as np
import pytest

import physiokeras
from physiokeras.errors import DataError
from physiokeras.experiments import saved_models as shipped
from physiokeras.pipelines import convert, from_arrays, windows
from physiokeras.pipelines.definitions.definition import Definition
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


@pytest.fixture(scope="module")
def wrist():
    """The preset, two minutes of its channels at other rates than its own, and their units."""
    draw, seconds = np.random.default_rng(0), 120
    values = {"BVP": 50 * draw.normal(size=128 * seconds)}
    values |= {f"ACC-{axis}": 0.5 + 0.1 * draw.normal(size=32 * seconds) for axis in "XYZ"}
    values |= {"EDA": 2 + 0.1 * draw.normal(size=8 * seconds), "TEMP": 33 + 0.1 * draw.normal(size=4 * seconds)}
    rates = {name: len(each) / seconds for name, each in values.items()}
    units = {"BVP": "NU", "EDA": "uS", "TEMP": "degC"} | {f"ACC-{axis}": "g" for axis in "XYZ"}
    return physiokeras.load("wrist_small"), from_arrays(values, rates, units, scores=[(0, 120, "unheard of")])


def test_physical_arrays_are_predicted_as_their_conversion_is(wrist, tmp_path):
    model, recording = wrist
    definition = Definition.from_dict({**model.definition.to_dict(), "labels": {}})
    convert(recording, definition, tmp_path, progress=None)
    prepared = windows(tmp_path, "train", modalities=list(model.encoder.modalities))
    prepared = {name: prepared[name] for name in (*model.encoder.modalities, "present")}
    np.testing.assert_array_equal(model.predict(recording).probabilities, model.predict(prepared).probabilities)
    np.testing.assert_array_equal(model.features(recording), model.features(prepared))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((2, 120, 1), 33.0), r"'temp' must be in scaled units, within 20. Received: .* of 33. .*from_arrays"),
        (np.zeros((2, 120, 1), np.int32), "'temp' must be int16 .* Received: int32. .*from_arrays"),
        (np.full((2, 120, 1), np.nan), "'temp' holds NaN or infinity .*\"present\""),
    ],
)
def test_arrays_that_cannot_be_scaled_are_refused(wrist, values, words):
    with pytest.raises(DataError, match=words):
        wrist[0].predict({"temp": values})


def test_a_value_beyond_the_scale_is_warned_of_and_absent_ones_are_not_looked_at(wrist):
    values = np.zeros((2, 120, 1))
    values[0, 0] = 21.0
    with pytest.warns(UserWarning, match="'temp' must be in scaled units, within 20. Received: 0.42% .*from_arrays"):
        wrist[0].predict({"temp": values})
    values[0] = np.nan
    wrist[0].predict({"temp": values, "present": np.array([[False], [True]])})


def test_a_model_and_the_list_name_channels_rates_and_units(wrist, capsys):
    assert presets.main([]) == 0
    for text in (repr(wrist[0]), capsys.readouterr().out):
        assert "acc: 32 Hz, g, without filter: ACC-X, ACC-Y, ACC-Z" in text
        assert "bvp: 64 Hz, NU, 0.5 to 8 Hz: BVP" in text
    card = wrist[0].card
    assert card["channels"]["acc"] == {"names": ["ACC-X", "ACC-Y", "ACC-Z"], "rate": 32.0, "unit": "g"}
    assert "0.849" in card["readme"]
