import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from physiokeras.experiments import run_folder
from physiokeras.experiments.settings import CommonSettings, read, setting

pytestmark = pytest.mark.once


@dataclass(frozen=True)
class Settings(CommonSettings):
    steps: int = setting(10, "steps", role="extent")
    width: int = setting(64, "width", role="training")
    pooling: str = setting("mean", "pooling", role="probe")
    workers: int = setting(2, "workers", role="execution")
    data: str | None = setting(None, "data", role="place")
    resume: str | None = setting(None, "go on", role="invocation")
    accept: tuple[str, ...] = setting((), "what may differ", role="invocation")


def started(settings, **options):
    with run_folder.start(settings, recipe="pretrain", **options) as run:
        return run.folder


def test_run_folder_says_what_made_it(tmp_path):
    folder = started(Settings(out=str(tmp_path / "deep" / "run"), seed=3, backend="jax"), data_hash="abc")
    assert folder == tmp_path / "deep" / "run"
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["backend"], facts["seed"], facts["data_hash"]) == ("jax", 3, "abc")
    assert facts["command"].startswith("physiokeras pretrain")
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_written_settings_rerun_the_run(tmp_path):
    settings = Settings(out=str(tmp_path / "a"), steps=3)
    folder = started(settings)
    again = read(Settings, ["--config", str(folder / "settings.toml"), "--out", "b"])
    assert again == replace(settings, out="b", config=(str(folder / "settings.toml"),))


def test_folder_that_holds_a_run_is_refused_and_left_alone(tmp_path):
    folder = started(Settings(out=str(tmp_path)))
    before = (folder / "settings.toml").read_bytes()
    with pytest.raises(
        SystemExit, match=r"holds another run already \(pretrain, begun .* UTC, not finished\)\. Choose another"
    ):
        started(Settings(out=str(tmp_path), steps=11))
    assert (folder / "settings.toml").read_bytes() == before


def test_start_cut_short_can_be_started_again(tmp_path):
    (tmp_path / "settings.toml").write_text("steps = 1")
    started(Settings(out=str(tmp_path)))
    assert "steps = 10" in (tmp_path / "settings.toml").read_text()


def test_run_that_fails_before_it_made_anything_does_not_block_its_folder(tmp_path):
    def fail(settings, **options):
        with pytest.raises(ValueError, match="first check"), run_folder.start(settings, recipe="pretrain", **options):
            raise ValueError("first check")

    fail(Settings(out=str(tmp_path / "a")))
    started(Settings(out=str(tmp_path / "a"), width=32))
    fail(Settings(out=str(tmp_path / "b")))
    again = read(Settings, ["--resume", str(tmp_path / "b"), "--width", "32"])
    assert "width = 32" in (started(again, resume=True) / "settings.toml").read_text()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "metrics.csv").write_text("")
    fail(Settings(out=str(tmp_path / "c")))
    with pytest.raises(SystemExit, match="holds another run already"):
        started(Settings(out=str(tmp_path / "c"), width=32))


def test_resuming_accepts_settings_on_which_the_run_does_not_depend(tmp_path):
    settings = Settings(out=str(tmp_path))
    started(settings, data_hash="abc")
    again = replace(settings, resume=str(tmp_path), steps=20, workers=1, data="elsewhere")
    folder = started(again, data_hash="abc", resume=True)
    assert "steps = 20" in (folder / "settings.toml").read_text()


def test_resuming_accepts_settings_of_the_roles_that_the_command_frees(tmp_path):
    settings = Settings(out=str(tmp_path))
    started(settings)
    again = replace(settings, pooling="concatenate")
    with pytest.raises(SystemExit, match=r"--accept pooling$"):
        started(again, resume=True)
    started(again, resume=True, free=("probe",))


def test_run_says_by_which_command_it_is_resumed(tmp_path):
    with run_folder.start(Settings(out=str(tmp_path / "a b")), recipe="pretrain") as run:
        assert run.resume_command == f"physiokeras pretrain --resume '{tmp_path}/a b'"
    words = shlex.split(run.resume_command)
    assert read(Settings, words[2:]).out == str(tmp_path / "a b")


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
    assert message.endswith("--accept backend width data_hash")


def test_versions_of_other_backends_may_differ(tmp_path, monkeypatch):
    settings, found = Settings(out=str(tmp_path), backend="jax"), {"python": "3.11", "jax": "1"}
    monkeypatch.setattr(run_folder, "versions", lambda: dict(found))
    started(settings)
    found |= {"torch": "1", "tensorflow": "1"}
    started(settings, resume=True)
    found["jax"] = "2"
    with pytest.raises(SystemExit, match=r"jax: '1' then, '2' now[^$]*--accept jax$"):
        started(settings, resume=True)


def test_resuming_refuses_other_code_and_versions_unless_told_to_accept_them(tmp_path, monkeypatch):
    settings = Settings(out=str(tmp_path))
    started(settings)
    monkeypatch.setattr(run_folder, "code", lambda: "changed")
    monkeypatch.setattr(run_folder, "versions", lambda: {"python": "3.99", "numpy": np.__version__, "keras": "4.0"})
    with pytest.raises(SystemExit, match=r"code: .* 'changed' now[^$]*python: .*'3.99' now[^$]*keras: .*'4.0' now"):
        started(settings, resume=True)
    with pytest.raises(SystemExit, match=r"--accept python keras$"):
        started(replace(settings, accept=("code",)), resume=True)
    folder = started(replace(settings, accept=("code", "python", "keras")), resume=True)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["code"] != "changed"
    assert [entry["code"] for entry in facts["resumed"]] == ["changed"]


def test_code_is_that_of_this_package(tmp_path):
    root = Path(run_folder.__file__).parents[1]
    copy = shutil.copytree(root, tmp_path / "physiokeras", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", "from physiokeras.experiments import run_folder; print(run_folder.code(), end='')"]

    def code():
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    assert code() == run_folder.code()
    with open(copy / "losses.py", "a") as file:
        file.write("# changed\n")
    assert code() != run_folder.code()


def test_resumed_run_takes_its_settings_from_its_folder(tmp_path):
    started(Settings(out=str(tmp_path / "a"), steps=3, width=8))
    again = read(Settings, ["--resume", str(tmp_path / "a"), "--width", "9"])
    assert (again.out, again.steps, again.width, again.resume) == (str(tmp_path / "a"), 3, 9, str(tmp_path / "a"))
    assert "\nresume" not in (tmp_path / "a" / "settings.toml").read_text()


def test_folder_without_a_run_cannot_be_resumed(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        read(Settings, ["--resume", str(tmp_path)])
    assert end.value.code == 2
    assert "holds no run to resume: there is no settings.toml" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["", "{", '{"seed": 0}', "[]"])
def test_resuming_a_damaged_run_is_refused(tmp_path, damage):
    started(Settings(out=str(tmp_path)))
    (tmp_path / "run.json").write_text(damage)
    with pytest.raises(SystemExit, match="cannot be resumed"):
        started(Settings(out=str(tmp_path)), resume=True)


def test_folder_in_use_by_another_process_is_refused(tmp_path):
    code = f"""if True:
        from physiokeras.experiments import run_folder
        from physiokeras.experiments.settings import CommonSettings
        with run_folder.start(CommonSettings(out={str(tmp_path)!r}), recipe="pretrain"):
            pass"""
    with run_folder.start(Settings(out=str(tmp_path)), recipe="pretrain"):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert "another process is writing to this folder" in other.stderr


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="no folder for the run's results there: Not a directory"):
        started(Settings(out=str(tmp_path / "file" / "run")))


def test_read_only_folder_is_refused(tmp_path, monkeypatch):
    def refuse(path, content):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(run_folder, "write_atomic", refuse)
    with pytest.raises(SystemExit, match=r"cannot be used for this run.*Read-only file system"):
        started(Settings(out=str(tmp_path)))


def test_folders_are_numbered_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(started(Settings())) for _ in range(2)] == ["runs/pretrain-1", "runs/pretrain-2"]


def test_notes_are_added_to_what_is_there(tmp_path):
    with run_folder.start(Settings(out=str(tmp_path)), recipe="pretrain") as run:
        run.note(score=0.5)
        run.note(seconds=3)
    facts = json.loads((run.folder / "run.json").read_text())
    assert (facts["score"], facts["seconds"], facts["recipe"]) == (0.5, 3, "pretrain")


def test_notes_are_json_that_others_read_too(tmp_path):
    with run_folder.start(Settings(out=str(tmp_path)), recipe="pretrain") as run:
        run.note(scores={"auroc": np.nan, "f1": np.array([0.5, np.nan]), "windows": np.int64(3)})
    text = (run.folder / "run.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["scores"] == {"auroc": None, "f1": [0.5, None], "windows": 3}


def test_folder_of_a_run_that_failed_before_it_wrote_anything_is_free_for_the_next(tmp_path):
    with pytest.raises(KeyError), run_folder.start(Settings(out=str(tmp_path)), recipe="pretrain"):
        raise KeyError("ppg")
    with run_folder.start(Settings(out=str(tmp_path)), recipe="pretrain"):
        pass
    with pytest.raises(SystemExit, match="holds another run already"):
        run_folder.refuse_taken(Settings(out=str(tmp_path)))


def test_folder_that_cannot_take_results_is_refused_before_anything_is_made(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(SystemExit, match="holds prepared data"):
        run_folder.refuse_taken(Settings(out=str(tmp_path)))
    run_folder.refuse_taken(Settings(out=str(tmp_path / "a" / "b")))
    assert not (tmp_path / "a").exists()
