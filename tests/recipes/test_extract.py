import csv
import re
import shutil
from types import SimpleNamespace

import keras
import matplotlib.image
import numpy as np
import pytest

from physiokeras import catalogue
from physiokeras.errors import DataError
from physiokeras.evaluation.probe_files import load_probe
from physiokeras.models import FeatureExtractor, digest, load
from physiokeras.pipelines import Manifest, windows
from physiokeras.recipes import extract

pytestmark = pytest.mark.once  # `tests/scoring` and `test_score.py` run the same functions on each backend


def command(pretrained, source, out, *more):
    given = ["--run", str(pretrained.folder), "--source", str(source), "--out", str(out), "--workers", "1", *more]
    return extract.main([*given, "--backend", keras.config.backend()])


def table(out):
    with open(out / "predictions.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def recordings(pretrained, tmp_path_factory):
    """Two labelled recordings and an unlabelled one, with the list of people."""
    folder, source = tmp_path_factory.mktemp("recordings"), pretrained.cohort / "source"
    for path in [*sorted(source.glob("training/*"))[:2], next(source.glob("test/*"))]:
        shutil.copytree(path, folder / path.relative_to(source))
    shutil.copy(source / "age-sex.csv", folder)
    return folder


@pytest.fixture(scope="session")
def extracted(pretrained, recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("extracted") / "deep" / "features"
    assert command(pretrained, recordings, out) == 0
    return out


def test_features_are_those_of_the_windows_with_record_and_time(pretrained, recordings, extracted):
    encoder = load(pretrained.folder / "model").encoder
    found = np.load(extracted / "features.npz")
    names = sorted(path.stem for path in recordings.rglob("*.hea"))
    manifest = Manifest.read(pretrained.cohort / "prepared")
    assert sorted(set(found["record"].tolist())) == names
    assert found["columns"].shape == found["features"].shape[1:]
    assert found["columns"][[0, encoder.width, -1]].tolist() == [
        "token mean 0",
        "eeg: F3-M2 1 to 1 Hz of 1 s",
        "ecg: ECG mean of 16 s",
    ]
    for name in names:
        here = found["record"] == name
        inputs = windows(manifest, records=[name], modalities=list(encoder.modalities))
        expected = FeatureExtractor(encoder).predict(inputs, verbose=0)
        np.testing.assert_allclose(found["features"][here], expected, atol=2e-5)
        np.testing.assert_array_equal(found["seconds"][here], 30.0 * np.arange(12))


def test_a_job_with_a_folder_of_its_own_extracts_the_rows_of_the_whole(pretrained, recordings, extracted, tmp_path):
    night = sorted(recordings.glob("training/*"))[1]
    assert command(pretrained, night, tmp_path, "--no-figures") == 0
    whole, part = (np.load(out / "features.npz") for out in (extracted, tmp_path))
    here = whole["record"] == night.name
    np.testing.assert_array_equal(part["seconds"], whole["seconds"][here])
    np.testing.assert_allclose(part["features"], whole["features"][here], atol=2e-5)


def test_predictions_are_what_the_probes_make_of_the_features(pretrained, extracted):
    found, rows = np.load(extracted / "features.npz"), table(extracted)
    name = digest(load(pretrained.folder / "model").encoder)
    paths = list((pretrained.folder / "probes").glob("*.npz"))
    assert list(rows[0]) == ["record", "seconds", *sorted(path.stem for path in paths)]
    assert [row["record"] for row in rows] == found["record"].tolist()
    assert [float(row["seconds"]) for row in rows] == found["seconds"].tolist()
    for path in paths:
        probe = load_probe(path, encoder=name)
        predicted, written = probe.predict(found["features"]), [row[path.stem] for row in rows]
        if probe.task.classes:
            assert written == [probe.task.classes[index] for index in predicted]
        else:
            np.testing.assert_allclose([float(text) for text in written], predicted, atol=0.051)


def test_every_recording_has_its_hypnogram(recordings, extracted):
    paths = {path.stem.removeprefix("hypnogram_"): path for path in extracted.glob("*.png")}
    assert paths.keys() == {path.stem for path in recordings.rglob("*.hea")}
    for path in paths.values():
        assert matplotlib.image.imread(path)[..., :3].std() > 0.01


def test_bare_recordings_without_annotations_or_list_of_people_are_read(pretrained, recordings, extracted, tmp_path):
    for path in [*sorted(recordings.rglob("tr*.hea"))[:1], *sorted(recordings.rglob("tr*.mat"))]:
        if not path.stem.endswith("-arousal"):
            shutil.copy(path, tmp_path)
            shutil.copy(path.with_suffix(".mat"), tmp_path)
    names = [path.stem for path in tmp_path.glob("*.hea")]
    assert len(names) == 1
    assert command(pretrained, tmp_path, tmp_path / "out", "--no-figures") == 0
    bare, full = np.load(tmp_path / "out" / "features.npz"), np.load(extracted / "features.npz")
    np.testing.assert_allclose(bare["features"], full["features"][full["record"] == names[0]], atol=2e-5)
    assert len(table(tmp_path / "out")) == 12
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("[modalities.ecg]\nrate = 100", "[modalities.ecg]\nrate = 50"),
            "modality 'ecg': .*3000.* gives .*1500.* Leave .*modalities.ecg. out .* rate = 100",
        ),
        (
            ("window = 30", "window = 20"),
            "reads windows of 30 s in 30 patches, .* gives 20 s in 20. Write .*window = 30",
        ),
        (('"F4-M1", ', ""), "modality 'eeg': the model reads 6 channels: F3-M2, F4-M1, .*; the definition .* gives 5"),
    ],
    ids=["other samples", "other window", "other channels"],
)
def test_definition_whose_windows_the_model_cannot_read_is_refused(pretrained, recordings, tmp_path, change, message):
    text = catalogue.find("pipelines", "simulated").read_text()
    if change[0].endswith("rate = 100"):  # below half of 50 Hz
        text = text.replace("bandpass = [0.5, 40.0]", "bandpass = [0.5, 20.0]")
    assert text.count(change[0]) == 1
    (tmp_path / "other.toml").write_text(text.replace(*change))
    with pytest.raises(DataError, match=message):
        command(pretrained, recordings, tmp_path / "out", "--dataset", str(tmp_path / "other.toml"))
    assert not (tmp_path / "out").exists()


def test_recordings_without_a_modality_are_mapped_and_noted(pretrained, recordings, extracted, tmp_path, capsys):
    text, channel = catalogue.find("pipelines", "simulated").read_text(), '{ name = "ECG", alias = ["MLII"] }'
    assert text.count(channel) == 1
    (tmp_path / "other.toml").write_text(text.replace(channel, '"NOWHERE"'))
    options = ["--dataset", str(tmp_path / "other.toml"), "--no-figures"]
    assert command(pretrained, recordings, tmp_path / "out", *options) == 0
    said = capsys.readouterr().out
    assert said.count("12 windows lack ecg: their features are mapped to those of all modalities.") == 3
    found, rows = np.load(tmp_path / "out" / "features.npz"), table(tmp_path / "out")
    assert set(found["missing"]) == {row["missing"] for row in rows} == {"ecg"}
    encoder = load(pretrained.folder / "model").encoder
    manifest, name = Manifest.read(pretrained.cohort / "prepared"), found["record"][0]
    inputs = windows(manifest, records=[name], modalities=list(encoder.modalities))
    inputs["present"] = inputs["present"] & (np.arange(inputs["present"].shape[1]) < 6)
    alone = FeatureExtractor(encoder).predict(inputs, verbose=0)
    with np.load(pretrained.folder / "subset_maps.npz") as maps:
        expected = alone @ maps["into_0"] @ maps["out_0"] + maps["bias_0"]
    here = found["record"] == name
    np.testing.assert_allclose(found["features"][here], expected, atol=1e-4)
    assert np.abs(found["features"][here] - alone).max() > 0.01
    whole = np.load(extracted / "features.npz")
    assert "missing" not in table(extracted)[0]
    assert set(whole["missing"]) == {""}


def test_recordings_without_a_modality_are_noted_where_a_run_has_no_maps(pretrained, recordings, tmp_path, capsys):
    text = (
        catalogue.find("pipelines", "simulated").read_text().replace('{ name = "ECG", alias = ["MLII"] }', '"NOWHERE"')
    )
    (tmp_path / "other.toml").write_text(text)
    for part in ("model", "probes"):
        shutil.copytree(pretrained.folder / part, tmp_path / "run" / part)
    older = SimpleNamespace(folder=tmp_path / "run")
    options = ["--dataset", str(tmp_path / "other.toml"), "--no-figures"]
    assert command(older, recordings, tmp_path / "out", *options) == 0
    assert re.search(r"12 windows lack ecg: no map is for that in .*subset_maps\.npz", capsys.readouterr().out)
    assert {row["missing"] for row in table(tmp_path / "out")} == {"ecg"}


def test_modality_that_the_definition_lacks_is_missing(pretrained, recordings, extracted, tmp_path):
    text = catalogue.find("pipelines", "simulated").read_text()
    (tmp_path / "other.toml").write_text(text.replace("[modalities.eeg]", "[modalities.brain]"))
    options = ["--dataset", str(tmp_path / "other.toml"), "--no-figures"]
    assert command(pretrained, recordings, tmp_path / "out", *options) == 0
    assert {row["missing"] for row in table(tmp_path / "out")} == {"eeg"}
    with np.load(tmp_path / "out" / "features.npz") as found, np.load(extracted / "features.npz") as full:
        assert found["features"].shape == full["features"].shape
        assert np.abs(found["features"] - full["features"]).max() > 0.01


def test_a_model_without_probes_gives_the_features_alone(pretrained, recordings, extracted, tmp_path):
    shutil.copytree(pretrained.folder / "model", tmp_path / "run" / "model")
    assert command(SimpleNamespace(folder=tmp_path / "run"), recordings, tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir() if path.name[0] != "."} == {"features.npz", "features"}
    with np.load(tmp_path / "out" / "features.npz") as found, np.load(extracted / "features.npz") as full:
        assert found.files == full.files
        np.testing.assert_allclose(found["features"], full["features"], atol=2e-5)


def test_a_rerun_reads_only_what_is_missing_or_failed_and_jobs_share_the_work(
    pretrained, recordings, extracted, tmp_path, capsys
):
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(recordings, source)
    signals = next(path for path in source.rglob("tr*.mat") if not path.stem.endswith("-arousal"))
    whole = signals.read_bytes()
    signals.write_bytes(whole[:1000])
    jobs = [["--num-shards", "2", "--shard-index", str(index)] for index in (0, 1)]
    assert sorted(command(pretrained, source, out, "--no-figures", *job) for job in jobs) == [0, 1]
    assert f"{signals.stem}: set aside: " in capsys.readouterr().out
    assert signals.stem not in np.load(out / "features.npz")["record"]
    signals.write_bytes(whole)
    assert command(pretrained, source, out, "--no-figures") == 0
    assert "3 records, 1 to extract" in capsys.readouterr().out
    assert (out / "predictions.csv").read_bytes() == (extracted / "predictions.csv").read_bytes()
    with np.load(out / "features.npz") as found, np.load(extracted / "features.npz") as full:
        for name in full.files:
            np.testing.assert_array_equal(found[name], full[name])
    assert command(pretrained, source, out) == 0
    assert "3 records, 3 to extract" in capsys.readouterr().out
    (out / f"hypnogram_{signals.stem}.png").unlink()
    assert command(pretrained, source, out, "--no-figures") == 0
    assert "3 records, 0 to extract" in capsys.readouterr().out
    assert command(pretrained, source, out) == 0
    assert "3 records, 1 to extract" in capsys.readouterr().out
    assert len(list(out.glob("hypnogram_*.png"))) == 3
