"""The command that scores a folder, and the model that it loads."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
from scipy.special import softmax

import physiokeras
from physiokeras import catalogue
from physiokeras.errors import DataError
from physiokeras.evaluation.probe_files import load_probe
from physiokeras.models import FeatureExtractor, LinearProbe, load, save
from physiokeras.models.saving import metadata
from physiokeras.pipelines import Manifest, stream, windows
from physiokeras.pipelines.readers.records import read_header, read_signal
from physiokeras.recipes import score
from physiokeras.scoring import score_folder


def command(model, source, out, *more):
    given = ["--model", str(model), "--source", str(source), "--out", str(out)]
    return score.main([*given, "--backend", keras.config.backend(), *more])


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def numbers(path, task, classes):
    return np.array([[float(row[f"{task}_{name}"]) for name in classes] for row in rows(path)])


@pytest.fixture(scope="module")
def recordings(pretrained, tmp_path_factory):
    """Two labelled recordings of which one was trained on, and a broken one."""
    folder, source = tmp_path_factory.mktemp("nights"), pretrained.cohort / "source"
    manifest = Manifest.read(pretrained.cohort / "prepared")
    names = {split: manifest.select(split)[0].name for split in ("train", "test")}
    for name in names.values():
        shutil.copytree(source / "training" / name, folder / "training" / name)
    broken = shutil.copytree(next((source / "test").iterdir()), folder / "broken")
    (signals,) = broken.glob("*.mat")
    signals.write_bytes(signals.read_bytes()[:-1000])
    return folder, names, signals.stem


@pytest.fixture(scope="module")
def scored(pretrained, recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored") / "deep" / "scores"
    assert command(pretrained.folder, recordings[0], out) == 1  # one is broken
    return out


def test_probabilities_are_what_the_probe_makes_of_prepared_windows(pretrained, recordings, scored):
    manifest, encoder = Manifest.read(pretrained.cohort / "prepared"), load(pretrained.folder / "model").encoder
    for name in recordings[1].values():
        inputs = windows(manifest, records=[name], modalities=list(encoder.modalities))
        features = FeatureExtractor(encoder).predict(inputs, verbose=0)
        for task in ("stage", "arousal"):
            probe = load_probe(pretrained.folder / "probes" / f"{task}.npz")
            found = numbers(scored / "records" / f"{name}.csv", task, probe.task.classes)
            np.testing.assert_allclose(found, probe.predict_proba(features), atol=2e-3)
        assert [float(row["onset"]) for row in rows(scored / "records" / f"{name}.csv")] == [30 * i for i in range(12)]


def test_broken_record_is_set_aside_by_name_and_the_others_are_scored(recordings, scored):
    table = {row["record"]: row for row in rows(scored / "statistics.csv")}
    _, names, broken = recordings
    assert table.keys() == {*names.values(), broken}
    assert "bytes" in table[broken]["set_aside"]
    page = (scored / "index.html").read_text()
    assert "1 recordings that could not be scored" in page
    assert page.index(broken) > page.index(names["test"])
    assert "http" not in page


def test_record_that_was_trained_on_is_known_whatever_its_name(pretrained, recordings, scored, tmp_path):
    source, names, _ = recordings
    table = {row["record"]: row for row in rows(scored / "statistics.csv")}
    assert (table[names["train"]]["seen_in"], table[names["test"]]["seen_in"]) == ("train", "none")
    page = (scored / "index.html").read_text()
    assert page.count('class="tag"') == 1
    for path in (source / "training" / names["train"]).glob(f"{names['train']}.*"):
        renamed = path.read_bytes().replace(names["train"].encode(), b"somebody") if path.suffix == ".hea" else None
        (tmp_path / f"somebody{path.suffix}").write_bytes(renamed or path.read_bytes())
    assert command(pretrained.folder, tmp_path, tmp_path / "out", "--no-figures") == 0
    assert rows(tmp_path / "out" / "statistics.csv")[0]["seen_in"] == "train"


def test_annotations_open_in_mne(recordings, scored):
    mne = pytest.importorskip("mne")
    name = recordings[1]["test"]
    found = mne.read_annotations(scored / "records" / f"{name}.edf")
    stages = [f"Sleep stage {row['stage']}" for row in rows(scored / "records" / f"{name}.csv")]
    by_onset = dict(zip(found.onset[np.char.startswith(found.description, "Sleep")], stages, strict=False))
    assert [text for _, text in sorted(by_onset.items())] == stages
    assert [text for text in found.description if text.startswith("Sleep")] == stages


@pytest.mark.once
def test_rerun_scores_only_what_is_missing_or_changed(pretrained, recordings, scored, tmp_path, capsys):
    out, (source, names, broken) = shutil.copytree(scored, tmp_path / "out"), recordings
    before = {path.name: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
    assert command(pretrained.folder, source, out) == 1
    assert "0 scored, 2 were scored already, 1 set aside" in capsys.readouterr().out
    after = {path.name: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
    assert {name for name in before if before[name] != after[name]} == {f"{broken}.json"}
    (out / "records" / f"{names['test']}.csv").unlink()
    stale = out / "records" / f"{names['test']}.npz"
    stale.touch()  # as of a model before
    command(pretrained.folder, source, out)
    assert "1 scored, 1 were scored already" in capsys.readouterr().out
    assert not stale.exists()
    for kind in ("csv", "json", "edf"):
        path = f"records/{names['test']}.{kind}"
        assert (out / path).read_bytes() == (scored / path).read_bytes()


@pytest.mark.once
def test_parts_make_the_same_as_the_whole_from_prepared_data_too(pretrained, recordings, scored, tmp_path):
    prepared = pretrained.cohort / "prepared"
    for part in ("0", "1"):
        assert (
            command(pretrained.folder, prepared, tmp_path, "--shard-index", part, "--num-shards", "2", "--no-figures",
                    "--features") == 0
        )  # fmt: skip
    model = physiokeras.load(pretrained.folder)
    for name in Manifest.read(prepared).records[0].name, recordings[1]["test"]:
        with np.load(tmp_path / "records" / f"{name}.npz") as found:
            inputs = windows(prepared, records=[name], modalities=list(model.encoder.modalities))
            np.testing.assert_allclose(found["features"], model.features(inputs), atol=1e-4)
            assert found["onset"].tolist() == [30.0 * window for window in range(12)]
            assert set(found["missing"]) == {""}
    assert len(rows(tmp_path / "statistics.csv")) == len(Manifest.read(prepared).records)
    for name in recordings[1].values():
        ours, theirs = (rows(folder / "records" / f"{name}.csv") for folder in (tmp_path, scored))
        assert [row["stage_scorer"] for row in ours] == [row["stage_scorer"] for row in theirs]
        classes = load_probe(pretrained.folder / "probes" / "stage.npz").task.classes
        found = [numbers(folder / "records" / f"{name}.csv", "stage", classes) for folder in (tmp_path, scored)]
        np.testing.assert_allclose(*found, atol=2e-3)
    seen = {row["record"]: row["seen_in"] for row in rows(tmp_path / "statistics.csv")}
    assert {name: record.split if record.split != "test" else "none" for name, record in
            ((record.name, record) for record in Manifest.read(prepared).records)} == seen  # fmt: skip


def test_missing_modality_is_mapped_and_noted(pretrained, recordings, tmp_path):
    text, channel = catalogue.find("pipelines", "simulated").read_text(), '{ name = "ECG", alias = ["MLII"] }'
    (tmp_path / "other.toml").write_text(text.replace(channel, '"NOWHERE"'))
    source, names, _ = recordings
    night = source / "training" / names["test"]
    options = ["--definition", str(tmp_path / "other.toml"), "--no-figures"]
    assert command(pretrained.folder, night, tmp_path / "out", *options) == 0
    facts = json.loads((tmp_path / "out" / "records" / f"{names['test']}.json").read_text())
    assert facts["doubts"][0] == "ecg is missing"
    assert "12 windows lack ecg: their features are mapped" in facts["note"]
    manifest, encoder = Manifest.read(pretrained.cohort / "prepared"), load(pretrained.folder / "model").encoder
    inputs = windows(manifest, records=[names["test"]], modalities=list(encoder.modalities))
    inputs["present"] = inputs["present"] & (np.arange(inputs["present"].shape[1]) < 6)
    with np.load(pretrained.folder / "subset_maps.npz") as maps:
        alone = FeatureExtractor(encoder).predict(inputs, verbose=0)
        features = alone @ maps["into_0"] @ maps["out_0"] + maps["bias_0"]
    probe = load_probe(pretrained.folder / "probes" / "stage.npz")
    path = tmp_path / "out" / "records" / f"{names['test']}.csv"
    np.testing.assert_allclose(numbers(path, "stage", probe.task.classes), probe.predict_proba(features), atol=5e-3)
    assert {row["missing"] for row in rows(path)} == {"ecg"}
    only_eeg = {name: inputs[name] for name in ("eeg",)}
    arrays = physiokeras.load(pretrained.folder).predict(only_eeg, "stage")
    np.testing.assert_allclose(arrays.probabilities, probe.predict_proba(features), atol=5e-3)


@pytest.mark.once
def test_model_reads_paths_arrays_streams_and_raws_alike(pretrained, recordings):
    mne = pytest.importorskip("mne")
    model, (source, names, _) = physiokeras.load(pretrained.folder / "model"), recordings
    name = names["test"]
    path, manifest = source / "training" / name / f"{name}.hea", Manifest.read(pretrained.cohort / "prepared")
    expected = model.predict(path)
    inputs = windows(manifest, records=[name], modalities=list(model.encoder.modalities))
    batches = stream(manifest, records=[name], batch_size=5, modalities=list(model.encoder.modalities))
    header = read_header(path)
    units = {"uV": 1e-6, "mV": 1e-3}
    signals = [read_signal(header, i) * units.get(signal.unit, 1) for i, signal in enumerate(header.signals)]
    kinds = ["eeg" if signal.unit in units else "misc" for signal in header.signals]
    info = mne.create_info([signal.name for signal in header.signals], header.rate, kinds)
    raw = mne.io.RawArray(np.array(signals, float), info, verbose="error")
    for x in (str(path), inputs, batches, raw):
        found = model.predict(x, task="stage")
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=2e-3)
        assert found.labels == expected.labels
    np.testing.assert_allclose(model.features(inputs), model.features(path), atol=1e-3)
    thrice = {key: np.concatenate([values] * 3) for key, values in inputs.items()}
    # Three calls, the last padded: a window's features do not depend on the others.
    np.testing.assert_allclose(model.features(thrice), np.tile(model.features(inputs), (3, 1)), rtol=1e-5, atol=1e-5)
    assert model.tasks == ("age_years", "arousal", "stage")
    assert model.card["modalities"] == {name: dict(sizes) for name, sizes in model.encoder.modalities.items()}
    assert physiokeras.load(pretrained.folder).digest == model.digest


@pytest.mark.once
def test_data_that_a_model_cannot_read_is_refused(pretrained, tmp_path):
    model = physiokeras.load(pretrained.folder)
    for x, message in (
        ({}, "the model reads, of each window, eeg .*ecg"),
        ({"eeg": np.zeros((2, 10, 6))}, "modality 'eeg' must have the shape"),
        ({"eeg": np.zeros((2, 3000, 6)), "present": np.ones((2, 7), bool)}, '"present" must have the shape .2, 6.'),
        ({"eeg": np.zeros((2, 3000, 6)), "ecg": np.zeros((3, 3000, 1))}, "must have the shape"),
        (np.zeros(3), "expected a path, an mne.io.Raw, what from_arrays returns"),
    ):
        with pytest.raises(DataError, match=message):
            model.predict(x)
    with pytest.raises(DataError, match=r"no task 'nothing'. Its tasks: age_years, arousal, stage"):
        model.predict({"eeg": np.zeros((2, 3000, 6))}, task="nothing")
    with pytest.raises(DataError, match="no such folder, and no preset"):
        physiokeras.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no model"):
        physiokeras.load(tmp_path)
    shutil.copytree(pretrained.folder / "model", tmp_path / "run" / "model")
    with pytest.raises(DataError, match=r"has no probes; fit them with `physiokeras probe` --run"):
        command(tmp_path / "run", pretrained.cohort / "source", tmp_path / "out")


@pytest.mark.once
def test_wrong_places_and_other_definitions_are_said(pretrained, recordings, tmp_path, capsys, monkeypatch):
    model, (folder, names, _) = physiokeras.load(pretrained.folder), recordings
    with pytest.raises(DataError, match=r"nope\.edf: there is no such file"):
        model.predict(tmp_path / "nope.edf")
    (tmp_path / "night.edf").touch()
    with pytest.raises(DataError, match=r"no record matches .* It holds night.edf.*--dataset OTHER\.toml"):
        score_folder(model, tmp_path, tmp_path / "out")
    (header,) = folder.glob(f"training/{names['test']}/*.hea")
    assert score_folder(model, header, tmp_path / "one", figures=False, progress=None).scored == [names["test"]]
    with pytest.raises(DataError, match=r"is no recording: its name must end in one of \.hea, \.edf"):
        score_folder(model, header.with_suffix(".mat"), tmp_path / "one")
    monkeypatch.setattr(score, "use", None)
    with pytest.raises(SystemExit):
        command(pretrained.folder, tmp_path / "nihgt.edf", tmp_path / "out")
    assert f"Did you mean {tmp_path / 'night.edf'}?" in capsys.readouterr().err


@pytest.mark.once
def test_supervised_cell_of_a_comparison_has_a_network_for_each_task(pretrained, recordings, tmp_path):
    encoder, (source, names, _) = load(pretrained.folder / "model").encoder, recordings
    facts = {"definition": metadata(pretrained.folder / "model")["definition"], "data_hash": "0", "pooling": "mean"}
    networks = {}
    for task, count in (("stage", 5), ("arousal", 2)):
        networks[task] = LinearProbe(encoder, {task: count}, frozen=False)
        save(networks[task], tmp_path / "cell" / f"model_{task}", **facts)
    assert command(tmp_path / "cell", source / "training" / names["test"], tmp_path / "out", "--no-figures") == 0
    path = tmp_path / "out" / "records" / f"{names['test']}.csv"
    inputs = windows(pretrained.cohort / "prepared", records=[names["test"]], modalities=list(encoder.modalities))
    for task, classes in (("stage", ("W", "N1", "N2", "N3", "R")), ("arousal", ("no arousal", "arousal"))):
        expected = softmax(np.asarray(networks[task].predict(inputs, verbose=0)[task], float), axis=1)
        np.testing.assert_allclose(numbers(path, task, classes), expected, atol=2e-3)
