import csv
import json

import keras
import numpy as np
import pytest

import physiokeras
from physiokeras.errors import DataError
from physiokeras.evaluation import arousal_seconds
from physiokeras.evaluation.challenge_score import ChallengeScore
from physiokeras.evaluation.probe_files import load_probe
from physiokeras.exporting.sources import read_source
from physiokeras.models import FeatureExtractor, load
from physiokeras.pipelines import Manifest, windows
from physiokeras.pipelines.labels import window_labels
from physiokeras.pipelines.labels.challenge import read_targets
from physiokeras.recipes import challenge
from physiokeras.scoring import score_folder


def targets(name, frames=72000):
    """A target vector with arousals, which so small a cohort hardly has."""
    draw = np.random.default_rng([ord(letter) for letter in name])
    return np.repeat(draw.choice([-1, 0, 1], frames // 500), 500).astype(np.int8)


@pytest.fixture(scope="module")
def scored(pretrained, small, tmp_path_factory):
    """Folder of a run that scored the simulated test records."""
    out = tmp_path_factory.mktemp("challenge") / "run"
    data = ["--data", str(pretrained.cohort / "prepared"), "--source", str(pretrained.cohort / "source")]
    command = ["--run", str(pretrained.folder), *data, "--out", str(out), "--draws", "20", "--seconds", "200"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arousal_seconds.Reader, "targets", lambda self, name: (targets(name), 200.0))
        assert challenge.main([*command, *small[-2:]]) == 0
    return out


def merged_tokens(encoder, inputs):
    """Mean over the present ones of EEG (6 channels) and ECG, of the tokens of each second, beside its spectra."""
    present = np.stack([inputs["present"][:, :6].any(axis=1), inputs["present"][:, 6]], axis=1)[:, :, None, None]
    made = keras.tree.map_structure(keras.ops.convert_to_numpy, encoder(inputs, return_spectra=True))
    tokens = made["tokens"].reshape(len(present), 2, 30, -1)
    merged = (tokens * present).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    merged = np.concatenate([merged, *made["spectra"].values()], axis=-1)
    return merged.reshape(-1, merged.shape[-1])


@pytest.mark.once
def test_targets_are_those_of_the_recordings(pretrained):
    manifest = Manifest.read(pretrained.cohort / "prepared")
    reader = arousal_seconds.Reader.of(manifest, pretrained.cohort / "source")
    for path in sorted((pretrained.cohort / "source").rglob("*-arousal.mat"))[:2]:
        found, rate = reader.targets(path.stem.removesuffix("-arousal"))
        assert rate == 200
        np.testing.assert_array_equal(found, read_targets(path, len(found)))


@pytest.mark.once
def test_score_is_that_of_every_sample_of_all_test_records(pretrained, scored):
    probe = load_probe(scored / "probes" / "arousal_second.npz")
    encoder = load(pretrained.folder / "model").encoder
    manifest, total = Manifest.read(pretrained.cohort / "prepared"), ChallengeScore()
    for record in manifest.select("test"):
        name = record.name
        inputs = windows(manifest.folder, records=[name], modalities=list(encoder.modalities))
        merged = merged_tokens(encoder, inputs)
        target = targets(name)
        frames = len(target)
        middles = np.arange(len(merged)) * 200 + 99.5
        total.update(target, np.interp(np.arange(frames), middles, probe.predict_proba(merged)[:, 1]))
    found = json.loads((scored / "run.json").read_text())["scores"]
    assert found["positives"] > 0
    assert found["positives"] == total.result()["positives"]
    assert found["negatives"] == total.result()["negatives"]
    for name in ("auprc", "auroc"):
        assert found[name] == pytest.approx(total.result()[name], abs=1e-3)


@pytest.mark.once
def test_run_scores_arousals_in_seconds_beside_the_stages_of_the_first_run(pretrained, scored, tmp_path):
    manifest, model = Manifest.read(pretrained.cohort / "prepared"), physiokeras.load(scored)
    name = manifest.select("test")[0].name
    (header,) = (pretrained.cohort / "source").rglob(f"{name}.hea")
    own = targets(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_labels, "arousal_targets", lambda header, label, report=None: own)
        score_folder(model, header, tmp_path, figures=False, progress=None)
    facts = json.loads((tmp_path / "records" / f"{name}.json").read_text())["tasks"]
    inputs = windows(manifest, records=[name], modalities=list(model.encoder.modalities))
    chances = load_probe(scored / "probes" / "arousal_second.npz").predict_proba(merged_tokens(model.encoder, inputs))
    with open(tmp_path / "records" / f"{name}.seconds.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["onset"]) for row in rows] == list(range(360))
    found = np.array([float(row["arousal_second_arousal"]) for row in rows])
    np.testing.assert_allclose(found, chances[:, 1], atol=2e-3)
    names = {-1: "", 0: "no arousal", 1: "arousal"}
    assert [row["arousal_second_scorer"] for row in rows] == [names[value] for value in per_second(own)]
    seconds, sure = facts["arousal_second"], model.predict(header, "arousal_second").probabilities
    np.testing.assert_allclose(sure[:, 1], found, atol=1e-4)
    assert (seconds["resolution"], facts["arousal"]["resolution"]) == (1, 30)
    assert spans(seconds["scorer_events"]) == runs(per_second(own) == 1)
    assert spans(seconds["events"]) == [run for run in runs(sure[:, 1] > 0.5) if run[1] >= 3]
    assert spans(seconds["events"])
    stage = physiokeras.load(pretrained.folder).predict(header, "stage")
    np.testing.assert_allclose(model.predict(header, "stage").probabilities, stage.probabilities, atol=1e-5)
    with open(tmp_path / "records" / f"{name}.csv", newline="") as file:
        assert [row["stage"] for row in csv.DictReader(file)] == stage.labels
    with pytest.raises(DataError, match="a probe of single seconds is not exported"):
        read_source(scored, "arousal_second", None)


def per_second(vector):
    """What most scored samples of a second are, arousal in a tie, -1 where none is scored."""
    rows = vector.reshape(-1, 200)
    ones, zeros = (rows == 1).sum(axis=1), (rows == 0).sum(axis=1)
    return np.where(ones + zeros == 0, -1, ones >= zeros)


def runs(flags):
    """Onset and length of each run of true."""
    edges = np.flatnonzero(np.diff([0, *np.asarray(flags, int), 0])).reshape(-1, 2)
    return [(begin, end - begin) for begin, end in edges.tolist()]


def spans(events):
    return [(event["onset"], event["duration"]) for event in events]


@pytest.mark.once
def test_report_has_a_row_a_record_and_says_simulated(pretrained, scored):
    assert (scored / "scores.md").read_text().startswith("Simulated")
    with open(scored / "records.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    manifest = Manifest.read(pretrained.cohort / "prepared")
    assert [row["record"] for row in rows] == [record.name for record in manifest.select("test")]


@pytest.mark.once
def test_features_of_seconds_are_tokens_merged_over_modalities(pretrained):
    manifest = Manifest.read(pretrained.cohort / "prepared")
    encoder = load(pretrained.folder / "model").encoder
    name = manifest.select("test")[0].name
    found = arousal_seconds.features_of_record(FeatureExtractor(encoder, keep_time=True), manifest, name)
    inputs = windows(manifest.folder, records=[name], modalities=list(encoder.modalities))
    np.testing.assert_allclose(found, merged_tokens(encoder, inputs), atol=2e-5)
    wide = arousal_seconds.features_of_record(FeatureExtractor(encoder, keep_time=True), manifest, name, context=1)
    np.testing.assert_array_equal(wide[1:, : found.shape[1]], wide[:-1, found.shape[1] : 2 * found.shape[1]])


@pytest.mark.once
def test_target_of_a_second_is_that_of_most_of_its_scored_samples():
    vector = np.array([1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 1], np.int8)
    assert arousal_seconds.per_token(vector, 1.0, 4, 5).tolist() == [1, 1, 0, -1, 0]


@pytest.mark.once
def test_probabilities_of_samples_run_between_the_middles_of_seconds():
    found = arousal_seconds.per_sample(np.array([0.0, 1.0]), 1.0, 4, 10)
    np.testing.assert_allclose(found, [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1])


@pytest.mark.once
def test_recordings_of_another_folder_are_refused(pretrained, tmp_path):
    (tmp_path / "x.hea").write_text("x 1 100 10\nx.dat 16 200 16 0 0 0 0 ECG\n")
    with pytest.raises(DataError, match=r"lacks 10 of the prepared records, such as t.* prepared from"):
        arousal_seconds.Reader.of(Manifest.read(pretrained.cohort / "prepared"), tmp_path)
