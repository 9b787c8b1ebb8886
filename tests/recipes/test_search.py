import csv
import json

import matplotlib.image
import numpy as np
import pytest

from physiokeras.evaluation import folds
from physiokeras.experiments.run_folder import Run
from physiokeras.experiments.settings import read
from physiokeras.pipelines import Manifest, convert, simulate
from physiokeras.recipes import search
from physiokeras.search import grid, tuner
from physiokeras.search.space import Dimension


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Folder of a tiny simulated cohort with people in every split."""
    folder = tmp_path_factory.mktemp("cohort")
    source = simulate(folder / "source", 8, 0, hours=0.1, seed=3, progress=False)
    convert(source, "simulated", folder / "prepared", progress=None)
    return folder / "prepared"


@pytest.fixture
def flags(prepared, small, tmp_path):
    """Flags of a search on the tiny cohort, in a folder of its own."""
    data = ["--data", str(prepared), "--modalities", "ecg"]
    return [*data, *small, "--steps", "9", "--interval", "9", "--validation-steps", "1", "--out", str(tmp_path / "run")]


@pytest.fixture
def surface(monkeypatch):
    """Scores by a formula instead of a training; the settings of each call."""
    calls = []

    def score(run, folder, settings, task, manifest):
        calls.append(settings)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "score.json").write_text(json.dumps({"score": 0, "steps": settings.steps}))
        return settings.mask_ratio - settings.drop_rate**2 + 1e-3 * (settings.seed % 7)

    monkeypatch.setattr(tuner, "score", score)
    monkeypatch.setattr(grid, "score", score)
    return calls


@pytest.mark.once
@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_search_reports_the_best_of_its_trials(tuner, flags, surface, tmp_path):
    space = ["--space", "drop_rate=0:1", "mask_ratio=0.3:0.9:0.1", "drop_per=batch,sample"]
    assert search.main([*flags, "--tuner", tuner, "--trials", "4", *space]) == 0
    rows = table(tmp_path / "run" / "trials.csv")
    assert len(rows) == len(surface) >= 4
    assert {call.drop_per for call in surface} <= {"batch", "sample"}
    assert all(0 <= call.drop_rate <= 1 and 0.3 <= call.mask_ratio <= 0.9 for call in surface)
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    best = json.loads((tmp_path / "run" / "run.json").read_text())["best"]
    assert best["score"] == pytest.approx(max(c.mask_ratio - c.drop_rate**2 + 1e-3 * (c.seed % 7) for c in surface))
    assert {call.steps for call in surface} == ({1, 3, 9} if tuner == "hyperband" else {9})
    assert (tmp_path / "run" / "scores.md").read_text().startswith("Simulated")
    assert matplotlib.image.imread(tmp_path / "run" / "trials.png")[..., :3].std() > 0.01


@pytest.mark.once
def test_search_that_was_ended_goes_on_with_the_trial_that_was_running(flags, surface, tmp_path, monkeypatch):
    whole = tuner.score

    def ended(*arguments):
        if len(surface) == 1:
            raise KeyboardInterrupt
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tuner, "score", ended)
        with pytest.raises(KeyboardInterrupt):
            search.main([*flags, "--trials", "3"])
    assert search.main([*flags, "--trials", "3"]) == 0
    assert len(surface) == len(table(tmp_path / "run" / "trials.csv")) == 3
    assert len({call.drop_rate for call in surface}) == 3
    assert search.main(["--resume", str(tmp_path / "run"), "--trials", "4"]) == 0
    assert len(surface) == 4


@pytest.mark.once
def test_grid_runs_every_cell_with_every_seed_and_tests_the_interaction(flags, surface, tmp_path):
    space = ["--grid", "--seeds", "2", "--space", "mask_ratio=0.9,0.5", "drop_rate=0,0.5,1"]
    assert search.main([*flags, *space]) == 0
    rows = table(tmp_path / "run" / "grid.csv")
    assert len(rows) == len(surface) == 12
    assert len({call.seed for call in surface}) == 2
    text = (tmp_path / "run" / "scores.md").read_text()
    assert "F(2, 5)" in text
    assert "adds +0.000 [+0.000, +0.000] more" in text.replace("-0.000", "+0.000")
    assert matplotlib.image.imread(tmp_path / "run" / "grid.png")[..., :3].std() > 0.01


@pytest.mark.once
def test_trial_is_scored_on_validation_people_and_run_once(flags, tmp_path, monkeypatch):
    settings = read(search.Settings, [*flags, "--steps", "2"])
    manifest = Manifest.read(settings.data)
    task, seen = folds.task_of(manifest), []
    original = tuner.score_task

    def spy(task, features, *arguments, **options):
        seen.append(features.people)
        return original(task, features, *arguments, **options)

    monkeypatch.setattr(tuner, "score_task", spy)
    run = Run(tmp_path, "search")
    value = tuner.score(run, tmp_path / "trial", settings, task, manifest)
    assert 0 <= value <= 1
    assert set(seen[0]) == {record.person for record in manifest.select("validation")}
    monkeypatch.setattr(tuner, "build_model", None)
    assert tuner.score(run, tmp_path / "trial", settings, task, manifest) == value
    assert not (tmp_path / "trial" / "checkpoints").exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("drop_rate=0:1", ("drop_rate", float, (), 0.0, 1.0, None)),
        ("drop-count=1:3:1", ("drop_count", int, (), 1, 3, 1)),
        ("mask_ratio=0.9,0.5", ("mask_ratio", float, (0.5, 0.9), None, None, None)),
        ("drop_from=input,output", ("drop_from", str, ("input", "output"), None, None, None)),
        ("loss_on_dropped=true,off", ("loss_on_dropped", bool, (True, False), None, None, None)),
    ],
)
def test_space_is_read_as_it_is_written(text, expected):
    found = Dimension.parse(text)
    assert (found.name, found.kind, found.values, found.low, found.high, found.step) == expected


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop_rat=0:1", "A search cannot vary `drop_rat`. Did you mean `drop_rate`"),
        ("seed=1,2", "A search cannot vary"),
        ("backend=jax,torch", "A search cannot vary"),
        ("modalities=eeg,ecg", "A search cannot vary"),
        ("drop_weights=1,2", "it holds several values. In a script, KerasTuner can search each"),
        ("drop_rate", "Write a range as drop_rate=LOW:HIGH"),
        ("drop_rate=1:0", "cannot be searched"),
        ("drop_from=input,side", "among input, output, context"),
        ("drop_from=0:1", "cannot be searched"),
    ],
)
def test_space_that_cannot_be_searched_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        Dimension.parse(text)


@pytest.mark.once
def test_former_flag_and_key_of_the_task_still_work(tmp_path, capsys):
    (tmp_path / "old.toml").write_text('label = "arousal"')
    assert read(search.Settings, ["--label", "stage"]).task == "stage"
    assert read(search.Settings, ["--config", str(tmp_path / "old.toml")]).task == "arousal"
    with pytest.raises(SystemExit):
        read(search.Settings, ["--help"])
    shown = capsys.readouterr().out
    assert "--task" in shown
    assert "--label " not in shown


@pytest.mark.once
def test_grid_needs_two_lists_of_values(capsys):
    with pytest.raises(SystemExit):
        read(search.Settings, ["--grid", "--space", "drop_rate=0:1", "mask_ratio=0.5,0.7"])
    assert "A grid needs two settings with two or more values" in capsys.readouterr().err


@pytest.mark.once
def test_one_seed_says_that_it_tells_no_interaction():
    dimensions = [Dimension.parse("mask_ratio=0.5,0.9"), Dimension.parse("drop_rate=0,1")]
    assert grid.sentence(np.zeros((1, 2, 2)), *dimensions).startswith("With one seed")
