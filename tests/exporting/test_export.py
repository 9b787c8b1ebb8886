"""Exported models, opened by their own runtimes and fed by name, against Keras and the probe in NumPy."""

import json
import logging

import keras
import numpy as np
import pytest
from small_run import STAGE, SUBSETS, UNMAPPED, all_subsets, saved_run
from tiny import CHANNELS, MODALITIES, WIDTH, encoder, to_numpy, varied, windows

import physiokeras
from physiokeras.errors import DataError
from physiokeras.evaluation import Task
from physiokeras.evaluation.subset_maps import SubsetMap, SubsetMaps
from physiokeras.exporting import formats, packages, parity
from physiokeras.exporting.portable import Head
from physiokeras.recipes import export

BACKEND = keras.config.backend()
ABSENT = [(1, "eeg"), (2, "ecg"), (3, "ecg"), (3, "emg")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run with a spectral encoder, two probes and subset maps."""
    # Tracing takes longest on PyTorch, and the test of the Fourier transform runs there too.
    return saved_run(tmp_path_factory.mktemp("run"), view="samples" if BACKEND == "torch" else "both", spans=(1, 3))


def reopened(folder, form, inputs):
    """Outputs of the runtime, fed in the order that `export.json` lists."""
    facts = json.loads((folder / "export.json").read_text())
    return form.open(folder / form.file)({x["name"]: inputs[x["name"]] for x in facts["inputs"]})


def test_exported_predictions_are_those_of_load_predict_and_inputs_keep_their_names_and_order(
    run, tmp_path, monkeypatch
):
    name = "torch" if BACKEND == "torch" else "saved_model"  # tests/extras/test_export.py has the others
    # Tracing logs every step, and pytest would keep it all.
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "export.json").write_text("{}")
    (tmp_path / "out" / "earlier").write_text("")
    result = physiokeras.export(run, tmp_path / "out", name, task="stage")
    inputs = all_subsets()
    expected = physiokeras.load(run).predict(inputs, "stage").probabilities
    for rows in (slice(0, 1), slice(1, None)):  # any batch
        found = reopened(tmp_path / "out", formats.FORMATS[name], {key: values[rows] for key, values in inputs.items()})
        np.testing.assert_allclose(found, expected[rows], atol=2e-5)
    assert np.isnan(expected).all(axis=1).tolist() == [False] * 7 + [True]
    assert [x["name"] for x in result.inputs] == [*MODALITIES, "present"]
    assert result.classes == STAGE.classes
    assert result.output == "stage"
    assert not list(tmp_path.glob(".out*"))
    assert not (tmp_path / "out" / "earlier").exists()


def _only(outputs):
    (output,) = outputs.values()
    return output


@pytest.fixture
def written(monkeypatch):
    """A format whose files are made up: its runtime returns what `wrong` makes of inputs and output."""
    from physiokeras.exporting import exporter

    class Told:
        wrong = staticmethod(lambda inputs, output: output)

    def give(form, model, *_):
        Told.model = model

    def open_told(path):
        return lambda inputs: Told.wrong(inputs, _only(Told.model.predict_on_batch(list(inputs.values()))))

    form = formats.Format("none", "model", open_told)
    monkeypatch.setattr(exporter, "usable", lambda name: form)
    monkeypatch.setattr(exporter, "write", give)
    monkeypatch.setattr(parity, "milliseconds", lambda run, inputs: 1.0)
    return Told


@pytest.mark.once
def test_model_that_differs_is_refused_and_leaves_nothing(run, tmp_path, written):
    written.wrong = lambda inputs, output: output + 0.01 * inputs["present"].all(axis=1, keepdims=True)
    with pytest.raises(DataError, match=r"differs from Keras by 0\.0.*, more than 0\.001, and was removed"):
        physiokeras.export(run, tmp_path / "out", "made up")
    written.wrong = lambda inputs, output: np.full_like(output, np.nan)
    with pytest.raises(DataError, match="differs from Keras by nan"):
        physiokeras.export(run, tmp_path / "out", "made up")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.once
def test_predictions_that_differ_where_a_modality_is_missing_are_refused(run, tmp_path, written, monkeypatch):
    stage, age = (physiokeras.export(run, tmp_path / "out", "made up", task=task) for task in ("stage", "age_years"))
    assert stage.compared_with == age.compared_with == "physiokeras.load(...).predict"
    assert "features of 5 subsets" in stage.missing
    facts = json.loads((tmp_path / "out" / "export.json").read_text())
    assert facts["subset_maps"] == [list(left) for left in SUBSETS if left != UNMAPPED]
    of_probe = Head.of_probe
    monkeypatch.setattr(Head, "of_probe", lambda probe, maps: of_probe(probe))
    for task in ("stage", "age_years"):
        with pytest.raises(DataError, match=r"differs from physiokeras\.load\(\.\.\.\)\.predict by \d"):
            physiokeras.export(run, tmp_path / "other", "made up", task=task)


@pytest.mark.once
def test_numbers_where_nothing_is_present_are_refused(run, tmp_path, written):
    written.wrong = lambda _, output: np.nan_to_num(output)
    with pytest.raises(DataError, match="predict by nan"):
        physiokeras.export(run, tmp_path / "out", "made up", task="stage")


@pytest.mark.once
def test_real_windows_are_compared_without_each_modality_in_turn():
    real, model = windows(20, seed=4), encoder()
    inputs = parity.windows(model, "float32", 1, more=real)
    without = {name: ~inputs["present"][:, columns].any(axis=1) for name, columns in CHANNELS.items()}
    for name in MODALITIES:
        others = [other for other in MODALITIES if other != name]
        (off,) = np.nonzero(without[name] & ~np.any([without[other] for other in others], axis=0))
        assert sum((inputs[others[0]][row] == real[others[0]]).all(axis=(1, 2)).any() for row in off) == 16
    assert parity.incomplete(model, inputs) == np.any(list(without.values()), axis=0).sum()


@pytest.mark.once
def test_exchanged_modalities_of_one_shape_are_noticed(run, tmp_path, written):
    exchanged = lambda inputs: [inputs["eeg"], inputs["emg"], inputs["ecg"], inputs["present"]]  # noqa: E731
    written.wrong = lambda inputs, _: _only(written.model.predict_on_batch(exchanged(inputs)))
    with pytest.raises(DataError, match="differs from Keras by"):
        physiokeras.export(run, tmp_path / "out", "made up")


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "tflite"}, "`format` must be one of saved_model, onnx, litert, openvino, torch"),
        ({"dtype": "float64"}, "`dtype` must be 'int16' or 'float32'"),
        ({"batch": 0}, "`batch` must be at least 1"),
        ({"task": "arousal"}, "no probe of the task 'arousal'; there are: age_years, stage"),
        ({"pooling": "mean"}, None),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(run, tmp_path, options, message, written, monkeypatch):
    if "format" in options:
        monkeypatch.undo()
    if message is None:
        assert physiokeras.export(run, tmp_path / "out", "made up", **options).output == "features"
        return
    with pytest.raises(ValueError, match=message):
        physiokeras.export(run, tmp_path / "out", **{"format": "made up", **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.once
def test_command_names_a_missing_package_before_it_loads_keras(tmp_path, monkeypatch):
    monkeypatch.setitem(packages.NEEDS, "onnx", {"no_such_package": "physiokeras[onnx]"})
    monkeypatch.setattr(export, "use", lambda backend: pytest.fail("Keras is loaded first"))
    with pytest.raises(
        SystemExit, match=r"needs no_such_package, which is not installed: pip install 'physiokeras\[onnx\]'"
    ):
        export.main(["--backend", "tensorflow", "--model", "none", "--format", "onnx", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="Keras on jax cannot write the format 'onnx'"):
        export.main(["--backend", "jax", "--model", "none", "--format", "onnx", "--out", str(tmp_path)])


@pytest.mark.once
def test_8_bits_need_a_format_that_has_them(run, tmp_path, written):
    with pytest.raises(ValueError, match="8 bits are for the formats onnx and litert"):
        physiokeras.export(run, tmp_path / "out", "made up", int8=True)


def test_format_of_another_backend_is_refused_with_the_way_out(run, tmp_path):
    name = "torch" if BACKEND != "torch" else "litert"
    way = "'torch', or run with --backend tensorflow" if BACKEND == "torch" else "or run with --backend torch"
    with pytest.raises(ValueError, match=f"Keras on {BACKEND} cannot write the format '{name}'.*{way}"):
        physiokeras.export(run, tmp_path / "out", name)


@pytest.mark.once
def test_folder_of_something_else_is_not_replaced(run, tmp_path, written):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="is no earlier export"):
        physiokeras.export(run, tmp_path, "made up")
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.once
def test_probe_of_neighbours_or_of_another_encoder_is_refused(run, tmp_path, written):
    from dataclasses import replace

    from physiokeras.evaluation.probe_files import load_probe
    from physiokeras.models import load

    probe = load_probe(run / "probes" / "stage.npz")
    with pytest.raises(ValueError, match="reads 2 neighbouring windows"):
        physiokeras.export(run, tmp_path / "out", "made up", task=replace(probe, context=2))
    with pytest.raises(ValueError, match="fitted on features of another encoder"):
        physiokeras.export(run, tmp_path / "out", "made up", task=replace(probe, encoder="0" * 64))
    with pytest.raises(ValueError, match=r"the model gives .* Give the `pooling`"):
        physiokeras.export(load(run / "model"), tmp_path / "out", "made up", task=probe, pooling="mean")


@pytest.mark.once
def test_fine_tuned_model_gives_the_probabilities_of_its_own_layers(tmp_path, written):
    from physiokeras.models import LinearProbe

    network = varied(LinearProbe(encoder(), {"stage": 3, "arousal": 2}))
    network.standardize.moving_mean.assign(np.linspace(-1, 1, WIDTH))
    network.standardize.moving_variance.assign(np.linspace(0.1, 2, WIDTH))
    inputs, draw = windows(absent=ABSENT), np.random.default_rng(8)
    one = SubsetMap(*(draw.normal(size=shape) for shape in ((WIDTH, 3), (3, WIDTH), (WIDTH,))))
    features = to_numpy(network.extractor(inputs))
    maps = SubsetMaps(tuple(MODALITIES), {("eeg", "ecg"): one})
    head = Head.of_network(network, Task("arousal", "arousal", "classes", ("no", "yes")), maps)
    for layer, read in enumerate([features, one(features).astype("float32")]):
        logits = to_numpy(network.heads[1](network.standardize(read)))
        np.testing.assert_allclose(features @ head.weights[layer] + head.bias[layer], logits, atol=1e-4)
    np.testing.assert_allclose(
        to_numpy(network(inputs)["arousal"]), features @ head.weights[0] + head.bias[0], atol=1e-5
    )
