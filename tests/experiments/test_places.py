"""Folders that hold something else than their flag says are refused before anything is read."""

import re
from dataclasses import dataclass

import pytest

from physiokeras.experiments.places import HOLDS, check
from physiokeras.experiments.settings import CommonSettings, read, setting

pytestmark = pytest.mark.once


@dataclass(frozen=True)
class Settings(CommonSettings):
    data: str | None = setting(None, "prepared data", "data", "place", holds="prepared")
    source: str | None = setting(None, "recordings", "data", "place", holds="recordings")
    run: str | None = setting(None, "run with a model", "data", "place", holds="model")
    any: str | None = setting(None, "recordings or prepared data", "data", "place", holds="readable")
    against: tuple[str, ...] = setting((), "runs", "data", "place", holds="run")


@pytest.fixture
def root(tmp_path):
    """A folder with one folder of each kind."""
    files = ("prepared/manifest.json", "cohort/prepared/manifest.json", "cohort/source/tr01.hea", "half/records/a.json")
    files += ("run/settings.toml", "run/model/metadata.json", "begun/settings.toml", "compared/settings.toml")
    files += ("compared/cells/band_power-seed-0/cell.json", "compared/cells/band_power-seed-0/settings.toml")
    files += ("compared/cells/mae-seed-0/model/metadata.json", "early/settings.toml", "early/cells/mae-seed-0/a.csv")
    files += ("cell/model_stage/metadata.json", "people/settings.toml", "night/a/b.EDF", "other/notes.txt")
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "people" / "run.json").write_text('{"recipe": "probe", "scores": {}}')
    (tmp_path / "begun" / "run.json").write_text('{"recipe": "pretrain"}')
    (tmp_path / "nothing").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("flag", "place"),
    [
        ("data", "prepared"),
        ("run", "run"),
        ("run", "cell"),
        ("any", "prepared"),
        ("any", "night/a/b.EDF"),
        ("source", "night"),
        ("source", "cohort/source"),
        ("out", "new/folder"),
    ],
)
def test_folders_that_hold_what_they_must_are_accepted(root, flag, place):
    check(Settings(**{flag: str(root / place)}))
    check(Settings(against=(str(root / "run"), str(root / "begun")), data="s3://bucket/prepared"))


@pytest.mark.parametrize(
    ("flag", "place", "said"),
    [
        ("data", "preparde", "there is no such folder. Did you mean {root}/prepared?"),
        ("data", "deep/below", "there is no such folder. {root} has no deep."),
        ("data", "cohort", "the prepared data are in its subfolder. Give {root}/cohort/prepared."),
        ("data", "half", "its conversion has not ended."),
        ("data", "night", "It holds recordings. Convert them: physiokeras prepare"),
        ("data", "run", "It holds a run."),
        ("data", "other", "It holds notes.txt."),
        ("data", "nothing", "It is empty."),
        ("data", "other/notes.txt", "this is a file. Give its folder, {root}/other."),
        ("source", "prepared", "this is prepared data. Give the folder of the recordings"),
        ("source", "nihgt.hea", "there is no such file or folder."),
        ("run", "begun", "this run has no model (yet)."),
        (
            *("run", "compared"),
            "this is a comparison. Give one of its cells with a model, such as {root}/compared/cells/mae-seed-0.",
        ),
        ("run", "compared/cells/band_power-seed-0", "this cell of a comparison has no encoder"),
        ("run", "early", "of which no cell has a model yet. Finish it: compare --resume {root}/early."),
        ("run", "people", "its probes were fitted for each person in turn and are not kept"),
        ("run", "rnu", "there is no such folder, and no preset of that name. Did you mean {root}/run?"),
        ("any", "nihgt", "there is no such folder. Did you mean {root}/night?"),
        ("any", "nothing", "the folder is empty."),
        ("run", "prepared", "It holds prepared data, which commands take as --data."),
        ("out", "other/notes.txt", "this is a file. Give a folder."),
    ],
)
def test_others_are_refused_with_what_they_hold_and_the_way_out(root, flag, place, said):
    with pytest.raises(ValueError, match=re.escape(f"--{flag} {root / place}: ")) as caught:
        check(Settings(**{flag: str(root / place)}))
    assert said.format(root=root) in str(caught.value)


def test_refusal_ends_the_command_with_one_message(root, capsys):
    with pytest.raises(SystemExit) as end:
        read(Settings, ["--against", str(root / "run"), str(root / "nothing")], prog="judge")
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(
        f"judge: error: --against {root / 'nothing'}: this is no folder of a run."
    )


def test_unknown_contents_are_refused():
    with pytest.raises(ValueError, match=f"`holds` must be one of {', '.join(HOLDS)}"):
        setting(1, "steps", holds="gold")


def test_presets_and_addresses_are_models_and_results_are_local():
    check(Settings(run="eeg_small", source="s3://bucket/recordings"))
    check(Settings(run="hf://user/name"))
    with pytest.raises(ValueError, match="--out s3://bucket/out: results are written to local folders"):
        check(Settings(out="s3://bucket/out"))
