"""Exported models, opened by their own runtimes and fed by name, against Keras and the probe in NumPy."""

import json
import logging

import keras
import numpy as np
import pytest
from tiny import MODALITIES, WIDTH, encoder, to_numpy, varied, windows

import physiokeras
from physiokeras.errors import DataError
from physiokeras.evaluation import Probe, Task
from physiokeras.evaluation.probe_files import save_probe
from physiokeras.exporting import formats
from physiokeras.models import FeatureExtractor, digest, save

BACKEND = keras.config.backend()
TASK = Task("stage", "stage", "classes", ("wake", "light", "deep"))
AGE = Task("age_years", "age", "years")
ABSENT = [(1, "eeg"), (2, "ecg"), (3, "ecg"), (3, "emg")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run with a spectral encoder and two probes; modalities `ecg` and `emg` have equal shapes."""
    folder = tmp_path_factory.mktemp("run")
    # Tracing takes longest on PyTorch, and the test of the Fourier transform runs there too.
    model = varied(encoder(view="samples" if BACKEND == "torch" else "both", spans=(1, 3)))
    model.adapt(windows(32, seed=1))
    save(model, folder / "model", pooling="concatenate")
    (folder / "probes").mkdir()
    width, draw = FeatureExtractor(model, "concatenate").width, np.random.default_rng(3)
    for task in (TASK, AGE):
        outputs = len(task.classes) or 1
        arrays = [draw.normal(size=shape) for shape in (width, width, (width, outputs), outputs)]
        arrays[1] = np.exp(arrays[1])
        if task is TASK:
            arrays[3][1] = -np.inf  # a class that the training windows lack
        save_probe(
            Probe(task, *(array.astype("float32") for array in arrays), strength=1.0, encoder=digest(model)),
            folder / "probes" / f"{task.name}.npz",
        )
    return folder


def expected(run, inputs, task=None):
    """Features in Keras; predictions by the probe itself, which is not folded."""
    from physiokeras.evaluation.probe_files import load_probe
    from physiokeras.models import load

    features = FeatureExtractor(load(run / "model"), "concatenate").predict(inputs, verbose=0)
    if task is None:
        return features
    probe = load_probe(run / "probes" / f"{task.name}.npz")
    return probe.predict_proba(features) if task.classes else probe.predict(features)[:, None]


def stored(inputs):
    return {
        name: values if values.dtype == bool else np.round(values * 32767 / 20).astype("int16")
        for name, values in inputs.items()
    }


def reopened(folder, form, inputs):
    """Outputs of the runtime, fed in the order that `export.json` lists."""
    facts = json.loads((folder / "export.json").read_text())
    return form.open(folder / form.file)({x["name"]: inputs[x["name"]] for x in facts["inputs"]})


def test_exported_predictions_are_the_probes_and_inputs_keep_their_names_and_order(run, tmp_path, monkeypatch):
    name = "torch" if BACKEND == "torch" else "saved_model"  # tests/extras/test_export.py has the others
    # Tracing logs every step, and pytest would keep it all.
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "export.json").write_text("{}")
    (tmp_path / "out" / "earlier").write_text("")
    result = physiokeras.export(run, tmp_path / "out", name, task="stage")
    inputs = stored(windows(absent=ABSENT, seed=7))
    for rows in (slice(0, 1), slice(0, 6)):  # any batch
        some = {key: values[rows] for key, values in inputs.items()}
        found = reopened(tmp_path / "out", formats.FORMATS[name], some)
        np.testing.assert_allclose(found, expected(run, some, TASK), atol=2e-5)
    assert [x["name"] for x in result.inputs] == [*MODALITIES, "present"]
    assert result.classes == TASK.classes
    assert result.output == "stage"
    assert not list(tmp_path.glob(".out*"))
    assert not (tmp_path / "out" / "earlier").exists()


@pytest.fixture
def written(monkeypatch):
    """A format whose files are made up: its runtime returns what `wrong` makes of inputs and output."""
    from physiokeras.exporting import exporter

    class Told:
        wrong = staticmethod(lambda inputs, output: output)

    def give(form, model, *_):
        Told.model = model

    def open_told(path):
        return lambda inputs: Told.wrong(inputs, Told.model.predict_on_batch(list(inputs.values()))["features"])

    form = formats.Format("none", (BACKEND,), "model", {}, open_told)
    monkeypatch.setattr(exporter, "usable", lambda name: form)
    monkeypatch.setattr(exporter, "write", give)
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
def test_exchanged_modalities_of_one_shape_are_noticed(run, tmp_path, written):
    exchanged = lambda inputs: [inputs["eeg"], inputs["emg"], inputs["ecg"], inputs["present"]]  # noqa: E731
    written.wrong = lambda inputs, _: written.model.predict_on_batch(exchanged(inputs))["features"]
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
    from physiokeras.exporting.portable import Head
    from physiokeras.models import LinearProbe

    network = varied(LinearProbe(encoder(), {"stage": 3, "arousal": 2}))
    network.standardize.moving_mean.assign(np.linspace(-1, 1, WIDTH))
    network.standardize.moving_variance.assign(np.linspace(0.1, 2, WIDTH))
    inputs = windows(absent=ABSENT)
    logits = to_numpy(network(inputs)["arousal"])
    head = Head.of_network(network, Task("arousal", "arousal", "classes", ("no", "yes")))
    features = to_numpy(network.extractor(inputs))
    np.testing.assert_allclose(features @ head.weights + head.bias, logits, atol=1e-5)
