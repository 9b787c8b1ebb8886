import json
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.evaluation import probe_report
from physiokeras.experiments.compatibility import encoder_for
from physiokeras.figures import pretraining_run
from physiokeras.models import FeatureExtractor, load
from physiokeras.pipelines import Definition, Manifest, convert, windows
from physiokeras.recipes import probe


def written(folder):
    return json.loads((folder / "run.json").read_text())["scores"]


def test_saved_model_is_probed_as_after_its_training(pretrained, small, tmp_path):
    data = str(pretrained.cohort / "prepared")
    out, backend = tmp_path / "run", small[-2:]
    assert (
        probe.main(["--run", str(pretrained.folder), "--data", data, "--out", str(out), "--seed", "3", *backend]) == 0
    )
    then, now = written(pretrained.folder)["pretrained"], written(out)["pretrained"]
    assert now.keys() == then.keys()
    for task, scores in now.items():
        for name in ("balanced_accuracy", "auroc", "mae"):
            assert scores["windows"].get(name) == pytest.approx(then[task]["windows"].get(name), abs=0.02)
    assert written(out)["untrained"].keys() == now.keys()
    assert "simulated" in (out / "scores.md").read_text().lower()
    extractor = load(out / "model")
    inputs = windows(data, "test", modalities=list(extractor.encoder.modalities))
    np.testing.assert_allclose(extractor.predict(inputs, verbose=0), pretrained.features, atol=2e-5)


def test_context_and_gradient_descent_reach_the_probe(pretrained, monkeypatch):
    from physiokeras.evaluation import gradient_probe

    monkeypatch.setattr(gradient_probe, "STEPS", 20)
    extractor = FeatureExtractor(load(pretrained.folder / "model").encoder)
    settings = probe.Settings(run="", data="", context=1, classifier="gradient", class_weight=None, label_share=0.5)
    manifest = Manifest.read(pretrained.cohort / "prepared")
    found, _ = probe_report.probe_encoder(extractor, manifest, settings)
    assert found["stage"].probe.context == 1
    assert pretraining_run.hypnogram(extractor, manifest, found["stage"].probe).axes
    assert len(found["stage"].probe.mean) == 3 * extractor.width
    assert set(found["stage"].probe.tried) == set(gradient_probe.RATE_GRID)


def test_model_of_sleep_is_probed_on_beats_with_all_but_the_ecg_absent(pretrained, real_data, small, tmp_path, capsys):
    manifest = convert(real_data / "mitdb", "mitdb", tmp_path / "prepared", progress=None)
    command = ["--run", str(pretrained.folder), "--data", str(tmp_path / "prepared"), "--out", str(tmp_path / "run")]
    assert probe.main([*command, *small[-2:]]) == 0
    assert "Absent, since the data lack them: eeg." in capsys.readouterr().out
    scores = written(tmp_path / "run")["abnormal"]
    assert scores.keys() == {record.person for record in manifest.records}
    for columns in scores.values():
        assert columns.keys() == {"pretrained", "untrained"}
        assert all(isinstance(one, str) or one["windows"] > 0 for one in columns.values())
    lines = (tmp_path / "run" / "scores.md").read_text()
    assert lines.startswith("Each person is scored by a probe fitted on all others")


def changed(manifest, **tables):
    """The data's definition with keys replaced, such as `window` or a modality's."""
    table = dict(manifest.definition)
    modalities = {name: {**entry, **tables.get(name, {})} for name, entry in table["modalities"].items()}
    top = {key: value for key, value in tables.items() if key not in modalities}
    return Definition.from_dict({**table, "modalities": modalities, **top})


@pytest.mark.once
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ecg": {"rate": 50, "bandpass": [0.5, 20.0]}},
            r"'ecg': .* 3000 samples .* 1500 .50 Hz.. Leave \[modalities.ecg\] out .*: rate = 100",
        ),
        ({"eeg": {"channels": [{"name": "C3-M2"}]}}, r"'eeg': .* 6 channels: F3-M2, F4-M1, .* gives 1. List 6"),
        ({"window": 20.0}, "window = 30 and patch = 1"),
        ({"ecg": {"scale": "robust"}}, r"'ecg': .* scale 'physical', .* gives 'robust'. Write scale = 'physical'"),
        ({"ecg": {"unit": "uV"}}, r"'ecg': .* unit 'mV', .* gives 'uV'"),
        ({"ecg": {"factor": 1.0}}, r"'ecg': .* factor 0.25, .* gives 1.0"),
        (
            {"eeg": {"channels": ["F4-M1", "F3-M2", "C3-M2", "C4-M1", "O1-M2", "O2-M1"]}},
            r"'eeg': .* channels F3-M2, F4-M1, .* gives F4-M1, F3-M2, .* in the model's order",
        ),
    ],
)
def test_data_that_the_model_cannot_read_are_refused_with_what_to_write(pretrained, changes, message):
    manifest = Manifest.read(pretrained.cohort / "prepared")
    encoder = load(pretrained.folder / "model").encoder
    with pytest.raises(DataError, match=message):
        encoder_for(encoder, changed(manifest, **changes), manifest.definition)


@pytest.mark.once
def test_data_without_any_of_its_modalities_are_refused(pretrained, tmp_path):
    text = 'name = "other"\nwindow = 30\n[modalities.bvp]\nrate = 64\nchannels = ["BVP"]\n'
    definition = Definition.from_dict(tomllib.loads(text))
    with pytest.raises(DataError, match=r"none of the model's modalities, eeg, ecg. It has bvp: .*\[modalities.eeg\]"):
        encoder_for(load(pretrained.folder / "model").encoder, definition)


@pytest.mark.once
def test_data_in_another_order_are_read_in_theirs(pretrained):
    encoder = load(pretrained.folder / "model").encoder
    manifest = Manifest.read(pretrained.cohort / "prepared")
    modalities = manifest.definition["modalities"]
    turned = Definition.from_dict({**manifest.definition, "modalities": dict(reversed(modalities.items()))})
    assert list(encoder_for(encoder, turned).modalities) == ["ecg", "eeg"]
    assert encoder_for(encoder, manifest) is encoder


@pytest.mark.once
def test_each_person_is_probed_by_the_others_alone(monkeypatch):
    from physiokeras.evaluation import leave_one_person_out
    from physiokeras.evaluation.features import Features

    people = np.repeat(["a", "b", "c"], 4)
    features = Features(np.random.default_rng(0).normal(size=(12, 2)), {"beat": np.tile([0, 1], 6)}, people)
    records = [SimpleNamespace(person=person) for person in "abc"]
    manifest = SimpleNamespace(labels={"beat": {"kind": "beats", "classes": []}}, records=records, folder="here")
    seen = []
    original = leave_one_person_out.probe_task
    monkeypatch.setattr(
        leave_one_person_out,
        "probe_task",
        lambda t, train, v, test, **o: seen.append((train, v, test)) or original(t, train, v, test, **o),
    )
    leave_one_person_out.probe_each_person({"one": features}, manifest, probe.Settings(run="", data=""))
    assert [(set(train.people), v, set(test.people)) for train, v, test in seen] == [
        (set("abc") - {person}, None, {person}) for person in "abc"
    ]
