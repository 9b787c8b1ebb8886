import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from physiokeras.recipes import run
from physiokeras.recipes.settings import CommonSettings, read, setting


@dataclass(frozen=True)
class Settings(CommonSettings):
    steps: int = setting(10, "steps")
    width: int = setting(64, "width")
    resume: bool = setting(False, "go on")


def started(settings, **options):
    with run.start(settings, recipe="pretrain", **options) as folder:
        return folder


def test_run_folder_says_what_made_it(tmp_path):
    folder = started(Settings(out=str(tmp_path / "deep" / "run"), seed=3, backend="jax"), data_hash="abc")
    assert folder == tmp_path / "deep" / "run"
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["backend"], facts["seed"], facts["data_hash"]) == ("jax", 3, "abc")
    assert facts["command"].startswith("python -m physiokeras.recipes.pretrain")
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_written_settings_rerun_the_run(tmp_path):
    settings = Settings(out=str(tmp_path / "a"), steps=3)
    folder = started(settings)
    again = read(Settings, ["--config", str(folder / "settings.toml"), "--out", "b"])
    assert again == replace(settings, out="b", config=str(folder / "settings.toml"))


def test_folder_that_holds_a_run_is_refused_and_left_alone(tmp_path):
    folder = started(Settings(out=str(tmp_path)))
    before = (folder / "settings.toml").read_bytes()
    with pytest.raises(SystemExit, match=r"holds another run already\. Choose another folder with --out"):
        started(Settings(out=str(tmp_path), steps=11))
    assert (folder / "settings.toml").read_bytes() == before


def test_start_cut_short_can_be_started_again(tmp_path):
    (tmp_path / "settings.toml").write_text("steps = 1")
    started(Settings(out=str(tmp_path)))
    assert "steps = 10" in (tmp_path / "settings.toml").read_text()


def test_resuming_accepts_the_same_run_and_free_settings(tmp_path):
    settings = Settings(out=str(tmp_path))
    started(settings, data_hash="abc")
    folder = started(replace(settings, resume=True, steps=20), data_hash="abc", resume=True, free=("steps",))
    assert "steps = 20" in (folder / "settings.toml").read_text()


def test_resuming_shows_every_difference(tmp_path):
    settings = Settings(out=str(tmp_path), backend="jax")
    started(settings, data_hash="abc")
    with pytest.raises(SystemExit) as stop:
        started(replace(settings, width=32, backend="torch"), data_hash="xyz", resume=True)
    message = str(stop.value)
    assert "width: 64 then, 32 now" in message
    assert "backend: 'jax' then, 'torch' now" in message
    assert "data_hash: 'abc' then, 'xyz' now" in message
    assert "steps" not in message


@pytest.mark.parametrize("damage", ["", "{", '{"seed": 0}', "[]"])
def test_resuming_a_damaged_run_is_refused(tmp_path, damage):
    started(Settings(out=str(tmp_path)))
    (tmp_path / "run.json").write_text(damage)
    with pytest.raises(SystemExit, match="cannot be resumed"):
        started(Settings(out=str(tmp_path)), resume=True)


def test_folder_in_use_by_another_process_is_refused(tmp_path):
    code = f"""if True:
        from physiokeras.recipes import run
        from physiokeras.recipes.settings import CommonSettings
        with run.start(CommonSettings(out={str(tmp_path)!r}), recipe="pretrain"):
            pass"""
    with run.start(Settings(out=str(tmp_path)), recipe="pretrain"):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert "another process writes to this folder now" in other.stderr


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="no folder for the run's results there: Not a directory"):
        started(Settings(out=str(tmp_path / "file" / "run")))


def test_read_only_folder_is_refused(tmp_path, monkeypatch):
    def refuse(path, content):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(run, "write_atomic", refuse)
    with pytest.raises(SystemExit, match=r"cannot be used for this run.*Read-only file system"):
        started(Settings(out=str(tmp_path)))


def test_folders_are_numbered_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(started(Settings())) for _ in range(2)] == ["runs/pretrain-1", "runs/pretrain-2"]


def test_notes_are_added_to_what_is_there(tmp_path):
    folder = started(Settings(out=str(tmp_path)))
    run.note(folder, score=0.5)
    run.note(folder, seconds=3)
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["score"], facts["seconds"], facts["recipe"]) == (0.5, 3, "pretrain")


def test_notes_are_json_that_others_read_too(tmp_path):
    folder = started(Settings(out=str(tmp_path)))
    run.note(folder, scores={"auroc": np.nan, "f1": np.array([0.5, np.nan]), "windows": np.int64(3)})
    text = (folder / "run.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["scores"] == {"auroc": None, "f1": [0.5, None], "windows": 3}
