"""Files, pictures and forms of predictions, without any model."""

import csv
import io
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.evaluation.tasks import Task
from physiokeras.experiments import saved_models
from physiokeras.figures.scored_night import scored_night, thumbnail
from physiokeras.recipes.score import doubted
from physiokeras.scoring import Night, Prediction, page, presets, record_files, to_mne, to_yasa
from physiokeras.scoring.exchange import annotations_of
from physiokeras.scoring.facts import facts_of
from physiokeras.scoring.one_record import read_facts

pytestmark = pytest.mark.once

STAGES = Task("stage", "stage", classes=("W", "N1", "N2", "N3", "R"))
AROUSAL = Task("arousal", "arousal", classes=("no arousal", "arousal"))


def predicted(task, values, start=15.0, clock=None):
    """A prediction that is sure of these classes, -1 for none."""
    values = np.array(values)
    probabilities = np.where(values[:, None] < 0, np.nan, 0.8 * np.eye(len(task.classes))[values] + 0.04)
    starts = start + 30.0 * np.arange(len(values))
    return Prediction(task, probabilities, starts, 30.0, ["", "ecg"] * (len(values) // 2), np.ones(len(values)), clock)


@pytest.fixture
def predictions():
    return {"stage": predicted(STAGES, [0, 1, 2, -1, 3, 4]), "arousal": predicted(AROUSAL, [0, 1, 1, 0, 0, 1])}


def night(clock=None):
    present = np.ones((6, 2), bool)
    present[1, 0] = False
    signals = {"eeg": np.zeros((6, 4, 2), np.int16)}
    labels = {"stage": np.array([0, 0, 2, 2, -1, 4])}
    return Night("n1", signals, present, 30.0, 15.0, clock, labels)


def test_edf_annotations_open_in_mne_with_the_stages_and_events(predictions, tmp_path):
    mne = pytest.importorskip("mne")
    (tmp_path / "n1.edf").write_bytes(record_files.edf(night(datetime(2020, 12, 3, 23, 59, 50)), predictions))
    found = mne.read_annotations(tmp_path / "n1.edf")
    stages = {onset: text for onset, text in zip(found.onset, found.description, strict=True) if "stage" in text}
    texts = ["Sleep stage W", "Sleep stage N1", "Sleep stage N2", "Sleep stage ?", "Sleep stage N3", "Sleep stage R"]
    assert stages == dict(zip(15.0 + 30 * np.arange(6), texts, strict=True))
    arousals = found.description == "Windows with EEG arousal"
    assert list(zip(found.onset[arousals], found.duration[arousals], strict=True)) == [(45, 60), (165, 30)]


def test_table_has_a_row_for_each_window_with_all_that_is_known(predictions):
    head, *rows = record_files.table(night(datetime(2020, 12, 3, 23, 59, 30)), predictions)
    rows = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["clock"] for row in rows][:2] == ["2020-12-03 23:59:45", "2020-12-04 00:00:15"]
    assert [row["stage"] for row in rows] == ["W", "N1", "N2", "", "N3", "R"]
    assert [row["stage_scorer"] for row in rows] == ["W", "W", "N2", "N2", "", "R"]
    assert (rows[0]["stage_W"], rows[0]["stage_R"], rows[3]["stage_W"]) == ("0.8400", "0.0400", "")
    assert [row["quality"] for row in rows][:2] == ["1.000", "0.500"]
    assert [row["missing"] for row in rows][:2] == ["", "ecg"]
    assert "arousal_scorer" not in head


@pytest.mark.parametrize(
    ("stages", "hours", "rate"),
    [([0, 1, 2, 2, 0, 0], 0.025, 1 / 0.025), ([0] * 6, 0, np.nan), (None, 0.05, 2 / 0.05)],
)
def test_events_are_counted_in_sleep_and_per_hour_of_it(stages, hours, rate, predictions):
    model = SimpleNamespace(
        encoder=SimpleNamespace(modalities=["eeg"]), definition=SimpleNamespace(name="x"), first_facts={}
    )
    found = {"stage": predicted(STAGES, stages)} if stages else {}
    one = facts_of(model, night(), {**found, "arousal": predictions["arousal"]}, seen=None)["tasks"]["arousal"]
    np.testing.assert_allclose([one["hours"], one["per_hour"]], [hours, rate])


def test_tasks_of_people_have_no_column_of_windows(predictions):
    years, starts = Task("age_years", "age", kind="years"), 15 + 30.0 * np.arange(6)
    age = Prediction(years, np.full((6, 1), 270.0), starts, 30.0, [""] * 6, np.ones(6), None)
    head = record_files.table(night(), {**predictions, "age_years": age})[0]
    assert "stage" in head
    assert not [name for name in head if "age" in name.replace("stage", "")]


def test_a_prediction_prints_in_a_line_and_as_a_table(predictions):
    stage = predictions["stage"]
    assert repr(stage) == "Prediction(stage: 6 windows of 30 s; W 1, N1 1, N2 1, N3 1, R 1, none 1)"
    table = stage.to_frame()
    names = [f"stage_{name}" for name in stage.classes]
    assert list(table) == ["onset", "stage", *names, "missing", "distance"]
    assert table["stage"].tolist() == stage.labels
    np.testing.assert_array_equal(table["stage_N3"], stage.probabilities[:, 3])
    probable = np.array([[0.9, 0.1], [0.2, 0.8]])
    arousal = Prediction(AROUSAL, probable, np.arange(2), 30.0, ["", ""], np.ones(2)).to_frame()
    assert arousal["arousal"].tolist() == ["no arousal", "arousal"]
    assert arousal["arousal_arousal"].tolist() == [0.1, 0.8]
    years = Prediction(Task("age_years", "age", kind="years"), np.full((2, 1), 41.25), np.arange(2), 30.0, [""] * 2, 0)
    assert repr(years) == "Prediction(age_years: 2 windows of 30 s; 41.25 on average)"


def test_the_page_says_what_to_expect_of_new_people():
    scores = {"kappa": 0.5, "balanced_accuracy": 0.625, "windows": 12, "confusion": [[3, 1], [4, 4]]}
    own = {"arousal": {"windows": scores, "intervals": {"kappa": [0.4, 0.6]}}}
    (line,) = page.expected({"pretrained": own, "untrained": {}}, {"arousal": SimpleNamespace(task=AROUSAL)})
    assert line.startswith("arousal: kappa 0.50 [0.40, 0.60], balanced accuracy 0.62 on 12 windows")
    assert line.endswith("found of each class: no arousal 75%, arousal 50%")
    heads = {"arousal": SimpleNamespace(task=AROUSAL)}
    one_class = {"arousal": {"windows": {**scores, "kappa": None, "balanced_accuracy": None}}}
    for others in ({}, {"auprc": 0.3}, {"test": {"arousal": 0.3}}, {"pretrained": one_class}):
        assert list(page.expected(others, heads)) == []


def test_doubted_records_are_counted_and_the_first_explained():
    doubts = {f"n{number}": ["ecg is missing", "unsure"] for number in range(7)}
    first, *rest, last = doubted(doubts, 9)
    assert (first, last) == ("7 of 9 records are in doubt:", "  and 2 more records, on the page")
    assert rest == [f"  n{number}: ecg is missing; and 1 more" for number in range(5)]
    assert doubted({}, 9) == []


def test_unknown_date_leaves_the_time_of_day(predictions):
    head, first, *_ = record_files.table(night(datetime(1985, 1, 1, 22, 0, 0)), predictions)
    assert dict(zip(head, first, strict=True))["clock"] == "22:00:15"
    assert "clock" not in record_files.table(night(), predictions)[0]


def test_files_that_this_scoring_does_not_write_are_removed(predictions, tmp_path):
    facts = {"record": "n1", "window": 30.0, "tasks": {"stage": {"statistics": {}}, "arousal": {"resolution": 30.0}}}
    files = record_files.of_scores(tmp_path)
    files.folder.mkdir()
    for kind in files.kinds:
        files.path("n1", kind).write_text("earlier")
    record_files.write(files, night(), predictions, facts, figure=False)
    assert {path.name for path in files.folder.iterdir()} == {"n1.csv", "n1.edf", "n1.json"}
    files.remove("n1")
    assert not list(files.folder.iterdir())
    of_seconds = {**facts, "tasks": {"a": {"resolution": 1.0}}}
    assert record_files.kinds_of(of_seconds, figure=True, features=False) == ["csv", "seconds.csv", "edf"]


def test_a_scoring_that_dies_in_a_record_leaves_no_json_that_vouches_for_it(predictions, tmp_path, monkeypatch):
    facts = {"record": "n1", "window": 30.0, "tasks": {}}
    files = record_files.of_scores(tmp_path)
    files.folder.mkdir()
    record_files.write(files, night(), predictions, facts, figure=False)
    assert read_facts(files.path("n1", "json"))
    monkeypatch.setattr(record_files, "edf", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        record_files.write(files, night(), predictions, facts, figure=False)
    assert read_facts(files.path("n1", "json")) is None


def test_events_of_an_earlier_scoring_do_not_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "_template", lambda: SimpleNamespace(render=lambda **given: ""))
    model = SimpleNamespace(card={}, heads={}, definition=SimpleNamespace(name="d"))
    facts = {"record": "n1", "model": {"digest": "d"}, "set_aside": "broken"}
    (tmp_path / page.EVENTS).write_text("earlier")
    page.write(tmp_path, model, "d", [facts])
    assert {path.name for path in tmp_path.iterdir()} == {page.PAGE, page.TABLE}


def test_probabilities_are_read_back_from_the_table(predictions, tmp_path):
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows(record_files.table(night(), predictions))
    found = record_files.read_probabilities(tmp_path / "a.csv", "stage", STAGES.classes)
    np.testing.assert_allclose(found, predictions["stage"].probabilities, atol=1e-4)


def test_other_packages_take_predictions(predictions):
    mne = pytest.importorskip("mne")
    assert to_yasa(predictions["stage"]) == ["WAKE", "N1", "N2", "UNS", "N3", "REM"]
    with pytest.raises(DataError, match="takes sleep stages"):
        to_yasa(predictions["arousal"])
    found = to_mne(predictions["arousal"])
    assert isinstance(found, mne.Annotations)
    assert (found.onset.tolist(), found.duration.tolist()) == ([45, 165], [60, 30])
    assert annotations_of(predicted(AROUSAL, [0, 0])) == []
    assert len(to_mne(predicted(AROUSAL, [0, 0]))) == 0


def test_yasa_makes_a_hypnogram_of_predicted_stages(predictions):
    yasa = pytest.importorskip("yasa")
    found = yasa.Hypnogram(to_yasa(predictions["stage"]), freq="30s")
    assert found.sleep_statistics()["TST"] == 2.0


def test_figure_has_the_scorer_above_the_model_above_the_probabilities(predictions):
    stage = predictions["stage"]
    arguments = {"window": 30.0, "name": "n1", "clock": datetime(2020, 1, 1, 22), "notes": ("was in the training set",)}
    figure = scored_night(
        stage.probabilities, stage.classes, stage.starts, scored=night().labels["stage"],
        events={"arousal": [(45, 60)], "none": []}, **arguments,
    )  # fmt: skip
    assert [panel.get_ylabel() for panel in figure.axes] == ["scorer", "model", "arousal", "probability"]
    assert figure.get_suptitle() == "n1 (was in the training set)"
    alone = scored_night(stage.probabilities, stage.classes, stage.starts, **arguments)
    assert [panel.get_ylabel() for panel in alone.axes] == ["model", "probability"]


def test_thumbnail_shows_each_stage_by_its_share():
    probabilities = np.array([[0.75, 0.25], [0.75, 0.25], [np.nan, np.nan], [0.0, 1.0]])
    image = matplotlib.image.imread(io.BytesIO(thumbnail(probabilities, ("W", "R"), width=4, height=8)))[..., :3]
    colours = [tuple(np.round(image[row, 0], 2)) for row in range(8)]
    assert colours.count(colours[0]) == 6
    assert len(set(colours)) == 2
    assert (image[:, 2] == 1).all()
    assert len({tuple(pixel) for pixel in image[:, 3]}) == 1


def test_unknown_preset_is_refused_with_those_that_there_are(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no preset of that name"):
        saved_models.located("nothing")
    monkeypatch.setattr(saved_models, "PRESETS", tmp_path)
    assert len(presets.table()) == 1
    model = tmp_path / "wrist" / "model"
    model.mkdir(parents=True)
    (model / "metadata.json").write_text('{"modalities": ["pulse"], "definition": {"name": "w", "window": 30}}')
    (tmp_path / "wrist" / "probes").mkdir()
    (tmp_path / "wrist" / "probes" / "stage.npz").write_bytes(b"")
    assert saved_models.located("wrist") == tmp_path / "wrist"
    assert presets.table()[1] == ("wrist", "0.0", "pulse", "30 s", "stage", "w", "Apache-2.0")
    with pytest.raises(DataError, match="Presets: wrist"):
        saved_models.located("other")
    assert saved_models.located(Path(tmp_path)) == tmp_path


def test_events_of_a_folder_are_listed_with_onsets_and_durations_in_seconds():
    events = [{"name": "arousal", "onset": 45.0, "duration": 60.0, "probability": 0.84, "stage": "W"}]
    scored = [{"name": "arousal", "onset": 30.0, "duration": 30.0, "probability": 1.0}]
    facts = {"record": "n1", "window": 30.0, "tasks": {"arousal": {"events": events, "scorer_events": scored}}}
    assert page.events([facts, {"record": "n2", "tasks": {"arousal": {"events": []}}}]) == [
        ("record", "task", "event", "by", "onset", "duration", "resolution", "stage", "probability"),
        ("n1", "arousal", "arousal", "model", "45", "60", "30", "W", "0.84"),
        ("n1", "arousal", "arousal", "scorer", "30", "30", "30", "", ""),
    ]
