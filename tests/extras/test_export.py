"""Run where the extras of exports are installed, on TensorFlow: pytest tests/extras/test_export.py."""

import json

import numpy as np
import pytest
from small_run import all_subsets, saved_run
from tiny import encoder, varied, windows

import physiokeras
from physiokeras.exporting import formats, packages
from physiokeras.models import Encoder, FeatureExtractor, save
from physiokeras.pipelines import convert
from physiokeras.pipelines import windows as prepared_windows
from physiokeras.pipelines.simulation.simulator import simulate
from physiokeras.recipes import export, finetune


@pytest.fixture(scope="module")
def extractor():
    model = varied(encoder(view="both", spans=(1, 3), depth=2))
    model.adapt(windows(32, seed=1))
    return FeatureExtractor(model, "concatenate")


def exported(extractor, tmp_path, name, batch=None, **options):
    """What the runtime returns for fresh windows, and what Keras does."""
    physiokeras.export(extractor, tmp_path / "out", name, batch=batch, dtype="float32", **options)
    inputs = windows(absent=[(1, "eeg"), (2, "emg")], seed=9)
    order = [x["name"] for x in json.loads((tmp_path / "out" / "export.json").read_text())["inputs"]]
    run = formats.FORMATS[name].open(tmp_path / "out" / formats.FORMATS[name].file)
    return run({key: inputs[key] for key in order}), extractor.predict(inputs, verbose=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_run(tmp_path_factory.mktemp("run"), view="both", spans=(1, 3))


@pytest.mark.parametrize("name", ["onnx", "litert", "openvino"])
def test_predictions_are_those_of_load_predict_where_modalities_are_missing(run, tmp_path, name):
    form = formats.FORMATS[name]
    for module in packages.NEEDS[name]:
        pytest.importorskip(module)
    physiokeras.export(run, tmp_path / "out", name, task="stage")
    inputs, facts = all_subsets(), json.loads((tmp_path / "out" / "export.json").read_text())
    found = form.open(tmp_path / "out" / form.file)({x["name"]: inputs[x["name"]] for x in facts["inputs"]})
    np.testing.assert_allclose(found, physiokeras.load(run).predict(inputs, "stage").probabilities, atol=2e-5)
    assert np.isnan(found).all(axis=1).tolist() == [False] * 7 + [True]
    if name == "litert":
        assert {"FULLY_CONNECTED", "SOFTMAX", "SELECT_V2"} <= set(facts["operators"])
    if name == "openvino":
        import openvino

        model = openvino.Core().read_model(str(tmp_path / "out" / form.file))
        assert [output.get_names() for output in model.outputs] == [{"stage"}]


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_features_in_batches_of_one_size_agree_with_keras(extractor, tmp_path, name):
    for module in packages.NEEDS[name]:
        pytest.importorskip(module)
    found, expected = exported(extractor, tmp_path, name, batch=6)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_8_bits_need_windows(extractor, tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match="needs `windows` to calibrate on"):
        physiokeras.export(extractor, tmp_path / "out", "onnx", int8=True)


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_8_bits_quantize_the_network_and_leave_the_spectra(extractor, tmp_path, name):
    for module in ("onnxruntime", "ai_edge_quantizer"):
        pytest.importorskip(module)
    found, expected = exported(extractor, tmp_path, name, windows=windows(32, seed=2), int8=True)
    numbers = sum(spectrum.width for spectrum in extractor.encoder.patch_spectra())
    network, spectra = (np.s_[:, :-numbers], np.s_[:, -numbers:])
    np.testing.assert_allclose(found[spectra], expected[spectra], atol=2e-5)
    assert np.abs(found - expected)[network].max() > 1e-4  # a random network of width 8 loses more than a trained one
    assert np.corrcoef(found[network].ravel(), expected[network].ravel())[0, 1] > 0.9


def test_a_run_of_finetune_from_scratch_is_exported_by_its_folder(tmp_path):
    source = simulate(tmp_path / "source", 8, hours=0.1, seed=4, progress=False)
    data = convert(source, "simulated", tmp_path / "data", progress=None)
    begun = Encoder.for_data(data, width=16, depth=1, heads=2)
    save(begun, tmp_path / "begun" / "model", definition=data.definition, data_hash=data.data_hash, pooling="mean")
    common = ["--backend", "tensorflow", "--data", str(data.folder)]
    training = [
        "--task",
        "stage",
        "--scratch",
        "--steps",
        "2",
        "--interval",
        "1",
        "--batch-size",
        "8",
        "--no-subset-maps",
    ]
    run = tmp_path / "run"
    assert finetune.main(["--run", str(tmp_path / "begun"), *training, *common, "--out", str(run)]) == 0
    out = ["--format", "saved_model", "--task", "stage", "--out", str(tmp_path / "out")]
    assert export.main(["--model", str(run), *common, *out]) == 0
    model = physiokeras.load(run)
    inputs = prepared_windows(data, "test", modalities=list(model.encoder.modalities), limit=8)
    form = formats.FORMATS["saved_model"]
    order = [x["name"] for x in json.loads((tmp_path / "out" / "export.json").read_text())["inputs"]]
    found = form.open(tmp_path / "out" / form.file)({name: inputs[name] for name in order})
    np.testing.assert_allclose(found, model.predict(inputs, "stage").probabilities, atol=1e-4)
