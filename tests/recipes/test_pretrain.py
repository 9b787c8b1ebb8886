import csv
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import keras
import matplotlib.image
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

import physiokeras
from physiokeras.comparison.strategies import strategies_of
from physiokeras.errors import DataError
from physiokeras.evaluation import extraction, probe_report
from physiokeras.evaluation.probe_files import load_probe
from physiokeras.experiments import cohort, places
from physiokeras.experiments.settings import read
from physiokeras.figures import pretraining_run
from physiokeras.models import FeatureExtractor, digest, load
from physiokeras.pipelines import Manifest, convert, windows
from physiokeras.recipes import pretrain

STEPS = "--steps 5 --interval 3 --validation-steps 1 --seed 3"
ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


def metrics(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def read_anywhere(kind, arguments):
    """Settings of a command that names folders which are not here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "check", lambda settings: None)
        return read(kind, arguments)


def command_of(path):
    """Name and arguments of the command, in an experiment's comment, that runs it."""
    commands = [shlex.split(line) for line in re.findall(r"^#\s+physiokeras (.*)$", path.read_text(), re.MULTILINE)]
    for name, *arguments in commands:
        settings = read_anywhere(importlib.import_module(f"physiokeras.recipes.{name}").Settings, arguments)
        if path.stem in (*(settings.config or ()), *getattr(settings, "strategies", ())):
            return name, arguments
    raise AssertionError(f"no command of {path.name} runs it: {commands}")


@pytest.fixture
def training_alone(monkeypatch):
    """Leave out probes and figures, which take longer than a few steps."""
    monkeypatch.setattr(probe_report, "probe_encoder", lambda *_: ({}, {}))
    monkeypatch.setattr(pretraining_run, "draw_all", lambda *_: None)


@pytest.mark.once
def test_scores_without_a_modality_are_those_of_what_predict_gives_without_it(pretrained):
    found = json.loads((pretrained.folder / "run.json").read_text())["without"]
    model, data = physiokeras.load(pretrained.folder), pretrained.cohort / "prepared"
    assert set(found) == {"eeg", "ecg"}
    table = (pretrained.folder / "scores.md").read_text()
    inputs = windows(data, "test", modalities=["eeg", "ecg"], labels=["stage"])
    for missing, kept in (("eeg", "ecg"), ("ecg", "eeg")):
        columns = slice(0, 6) if kept == "eeg" else slice(6, 7)
        night = {kept: inputs[kept], "present": inputs["present"][:, columns]}
        prediction, scored = model.predict(night, task="stage"), inputs["stage"] >= 0
        expected = balanced_accuracy_score(inputs["stage"][scored], prediction.values[scored])
        np.testing.assert_allclose(found[missing]["stage"]["mapped"], expected, atol=1e-6)
        assert f"{expected:.3f}" in next(line for line in table.splitlines() if line.startswith(f"| {missing} "))


@pytest.mark.once  # on each backend, the run that `test_resume.py` interrupts ends with the same metrics
def test_settings_are_complete_and_repeat_the_run(pretrained, training_alone):
    table = tomllib.loads((pretrained.folder / "settings.toml").read_text())
    known = {item.name for item in fields(pretrain.Settings)}
    # No data and no cache were given; the others are of one invocation.
    assert known - table.keys() == {"config", "resume", "accept", "data", "cache", "coordinator", "host_index"}
    again = pretrained.folder.parent / "again"
    assert pretrain.main(["--config", str(pretrained.folder / "settings.toml"), "--out", str(again)]) == 0
    first, second = metrics(pretrained.folder), metrics(again)
    assert len(first) == len(second)
    for row, other in zip(first, second, strict=True):
        assert row.keys() == other.keys()
        np.testing.assert_allclose([float(v) for v in row.values()], [float(v) for v in other.values()], rtol=1e-4)


@pytest.mark.once
def test_spectra_learn_their_statistics_from_the_training_people_alone(
    pretrained, training_alone, small, tmp_path, capsys
):
    data = pretrained.cohort / "prepared"
    flags = f"--data {data} --modalities eeg ecg --steps 2 --interval 2 --view both --spans 1 4 --targets spectrum"
    assert pretrain.main([*flags.split(), *small, "--out", str(tmp_path / "run")]) == 0
    model = load(tmp_path / "run" / "model")
    assert (model.encoder.view, model.encoder.spans, model.targets) == ("both", (1, 4), "spectrum")
    expected = model.encoder.untrained()
    expected.adapt(windows(data, ["pretrain", "train"], modalities=["eeg", "ecg"]))
    for ours, theirs in zip(model.encoder.spectra, expected.spectra, strict=True):
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    assert "variance of log band powers explained from the others" in capsys.readouterr().out
    assert np.isfinite([float(row["loss"]) for row in metrics(tmp_path / "run")]).all()


def test_run_says_what_made_it(pretrained):
    facts = json.loads((pretrained.folder / "run.json").read_text())
    manifest = Manifest.read(pretrained.cohort / "prepared")
    assert facts["versions"]["keras"] == keras.__version__
    assert (facts["recipe"], facts["backend"], facts["seed"]) == ("pretrain", keras.config.backend(), 3)
    assert facts["data_hash"] == manifest.data_hash
    assert facts["command"].startswith("physiokeras pretrain")
    assert set(facts["scores"]) == {"pretrained", "untrained", "band power"}


def test_metrics_have_a_row_an_interval_and_end_at_the_last_step(pretrained):
    rows = metrics(pretrained.folder)
    assert [int(row["step"]) for row in rows] == [3, 5]
    assert {"loss", "loss_eeg", "loss_ecg", "val_loss", "learning_rate"} <= rows[0].keys()
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    assert float(rows[-1]["learning_rate"]) == pytest.approx(0, abs=1e-9)


def test_saved_model_gives_the_features_that_the_trained_one_gave(pretrained):
    encoder = load(pretrained.folder / "model").encoder
    inputs = windows(pretrained.cohort / "prepared", "test", modalities=list(encoder.modalities))
    features = FeatureExtractor(encoder).predict(inputs, verbose=0)
    np.testing.assert_allclose(features, pretrained.features, atol=2e-5)
    assert features.std(axis=0).max() > 0


def test_saved_probes_reach_the_written_scores(pretrained):
    name = digest(load(pretrained.folder / "model").encoder)
    written = json.loads((pretrained.folder / "run.json").read_text())["scores"]["pretrained"]
    probes = {path.stem: load_probe(path, encoder=name) for path in (pretrained.folder / "probes").glob("*.npz")}
    assert probes.keys() == written.keys() >= {"stage", "age_years"}
    stages = windows(pretrained.cohort / "prepared", "test", labels=["stage"], modalities=["ecg"])["stage"]
    scored = stages >= 0
    score = balanced_accuracy_score(stages[scored], probes["stage"].predict(pretrained.features[scored]))
    assert score == pytest.approx(written["stage"]["windows"]["balanced_accuracy"])


def test_scores_say_simulated_and_name_every_task(pretrained):
    text = (pretrained.folder / "scores.md").read_text()
    assert text.startswith("Simulated recordings: these numbers say nothing about people.")
    for task in ("stage", "arousal", "age", "age_years"):
        assert re.search(rf"^(\| {task} \(|No probe of {task}: \w)", text, re.MULTILINE)


def test_figures_show_something(pretrained):
    paths = {path.stem: path for path in (pretrained.folder / "figures").glob("*.png")}
    tasks = {f"confusion_{path.stem}" for path in (pretrained.folder / "probes").glob("*.npz")} - {
        "confusion_age_years"
    }
    assert "confusion_stage" in tasks
    without = {"spectrograms_without_eeg", "spectrograms_without_ecg"}
    assert paths.keys() == {"loss", "spectrograms", "hypnogram"} | without | tasks
    for path in paths.values() if keras.config.backend() == "torch" else ():  # laid out there alone, see `figures`
        assert matplotlib.image.imread(path)[..., :3].std() > 0.01


@pytest.mark.once
def test_backend_that_is_not_installed_is_said_in_one_sentence(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from physiokeras.recipes import pretrain\n"
        "pretrain.main(['--backend', 'torch'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "The torch backend is not installed here: pip install 'physiokeras[torch]'\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "there", "expected"),
    [
        ((), ("pretrain", "train", "test"), ("pretrain", "train")),
        ((), ("train", "test"), ("train",)),
        (("train",), ("pretrain", "train"), ("train",)),
    ],
)
def test_training_is_on_what_is_named_or_on_all_that_may_train(given, there, expected):
    settings, manifest = (
        SimpleNamespace(pretrain_on=given),
        SimpleNamespace(splits=dict.fromkeys(there, 1), folder="data"),
    )
    assert cohort.training_splits(settings, manifest) == expected


def test_test_people_are_not_pretrained_on():
    settings, manifest = SimpleNamespace(pretrain_on=("test",)), SimpleNamespace(splits={"test": 1}, folder="data")
    with pytest.raises(DataError, match="the test people are held out"):
        cohort.training_splits(settings, manifest)


def test_damaged_shard_is_named_wherever_it_is_read(pretrained, small, tmp_path, training_alone):
    shutil.copytree(pretrained.cohort / "prepared", tmp_path / "prepared")
    manifest = Manifest.read(tmp_path / "prepared")
    shard = manifest.shard(manifest.select("pretrain")[0].name)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=shard.name):
        pretrain.main(["--data", str(manifest.folder), *small, "--steps", "50", "--out", str(tmp_path / "run")])
    extractor = FeatureExtractor(load(pretrained.folder / "model").encoder)
    with pytest.raises(DataError, match=shard.name):
        extraction.features_of_windows(extractor, manifest, "pretrain")


def test_split_that_the_data_lack_is_an_error_that_lists_theirs(pretrained, small, tmp_path, training_alone):
    data = ["--data", str(pretrained.cohort / "prepared"), "--pretrain-on", "training", "--out", str(tmp_path / "run")]
    with pytest.raises(DataError, match=r"no people in the split training .*pretrain \(24 windows\)"):
        pretrain.main([*data, *small, "--modalities", "ecg"])


@pytest.mark.once
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_experiment_is_one_that_its_recipe_reads(path):
    name, arguments = command_of(path)
    settings = read_anywhere(importlib.import_module(f"physiokeras.recipes.{name}").Settings, arguments)
    if path.stem not in settings.config:
        compared = strategies_of(settings, SimpleNamespace(defaults=("eeg", "ecg")))
        settings = next(strategy.settings for strategy in compared if strategy.family == path.stem)
    for name, value in tomllib.loads(path.read_text()).items():
        assert getattr(settings, name) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.once
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_pretraining_does_a_step_with_its_network_made_small(path, pretrained, small, tmp_path, training_alone):
    if command_of(path)[0] != "pretrain":
        pytest.skip("no pretraining; its recipe's tests run it")
    data = ["--data", str(pretrained.cohort / "prepared"), "--modalities", "ecg", "emg", "--out", str(tmp_path / "run")]
    size = [*small, "--depth", "2", "--steps", "1", "--validation-steps", "1"]
    assert pretrain.main(["--config", path.stem, *data, *size]) == 0
    (row,) = metrics(tmp_path / "run")
    assert np.isfinite(float(row["loss"]))
    assert np.isfinite(float(row["val_loss"]))


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "modalities", "said"),
    [
        ("mitdb", ["ecg", "chest"], "No probe of abnormal: the data have no people in the split test."),
        ("drivedb", ["gsr"], "No probes: the data have no labels."),
    ],
)
def test_real_recordings_of_too_few_people_to_probe_pretrain(
    name, modalities, said, real_data, small, tmp_path, monkeypatch
):
    manifest = convert(real_data / name, name, tmp_path / "prepared", progress=None)
    assert (manifest.set_aside, list(manifest.splits)) == ([], ["train"])
    steps = ["--steps", "3", "--interval", "2", "--modalities", *modalities]
    data = ["--data", str(tmp_path / "prepared"), "--out", str(tmp_path / "run")]
    if name == "drivedb":  # drawing takes as long as the rest
        monkeypatch.setattr(pretraining_run, "draw_all", lambda *_: None)
    assert pretrain.main([*data, *small, *steps]) == 0
    rows = metrics(tmp_path / "run")
    assert [int(row["step"]) for row in rows] == [2, 3]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    text = (tmp_path / "run" / "scores.md").read_text()
    assert text.startswith(said)
    assert ("| dropped modality" in text) == (len(modalities) > 1)
    assert load(tmp_path / "run" / "model").encoder.modalities.keys() == set(modalities)
    assert name == "drivedb" or len(list((tmp_path / "run" / "figures").glob("*.png"))) == 4


@pytest.mark.once
@pytest.mark.skipif(keras.config.backend() == "tensorflow", reason="needs another backend")
def test_without_tensorflow_training_and_probe_are_the_same(pretrained, small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    data = ["--data", str(pretrained.cohort / "prepared"), "--modalities", "eeg", "ecg"]
    assert pretrain.main([*data, *STEPS.split(), *small, "--out", str(tmp_path / "run")]) == 0
    times = re.compile("second|time|rate")
    rows = [
        [{key: value for key, value in row.items() if not times.search(key)} for row in metrics(folder)]
        for folder in (tmp_path / "run", pretrained.folder)
    ]
    assert rows[0] == rows[1]
    runs = [json.loads((folder / "run.json").read_bytes()) for folder in (tmp_path / "run", pretrained.folder)]
    assert runs[0]["scores"] == runs[1]["scores"]
    assert [run["reader"] for run in runs] == ["numpy", "tf.data"]
