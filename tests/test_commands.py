import configparser
import importlib
import importlib.metadata
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import physiokeras
from physiokeras.__main__ import completion, main
from physiokeras.commands import COMMANDS, PURPOSES
from physiokeras.experiments import exit_status

pytestmark = pytest.mark.once

HEAVY = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "pandas",
    "sklearn",
    "scipy.signal",
    "matplotlib",
    "wfdb",
    "keras_tuner",
)


def start(*words):
    command = [sys.executable, "-m", "physiokeras", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_lists_every_command_below_its_purpose(capsys):
    assert main(["--help"]) == 0
    sections = dict(part.split(":\n", 1) for part in capsys.readouterr().out.split("\n\n") if ":\n" in part)
    for name, (purpose, summary) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", sections[PURPOSES[purpose]], re.MULTILINE)


def test_help_imports_no_framework_and_no_library_of_numbers_but_numpy():
    helps = "\n".join(
        f"import physiokeras.recipes.{name} as command\n"
        "try: command.main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0"
        for name in COMMANDS
    )
    code = f"import sys\n{helps}\nprint('imported:', [name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_front_door_and_module_start_the_same_command(tmp_path):
    words = ["--out", str(tmp_path / "none"), "--hours", "0"]
    done = start("simulate", *words)
    module = [sys.executable, "-m", "physiokeras.recipes.simulate", *words]
    other = subprocess.run(module, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (other.returncode, other.stderr)
    assert "Received: hours=0" in done.stderr


def test_messages_name_the_command_as_it_was_started():
    done = start("pretrain", "--stps", "3")
    assert done.returncode == 2
    assert done.stderr.startswith("physiokeras pretrain: error: unknown flag --stps. Did you mean `--steps`?")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["pretain"], "Did you mean `pretrain`?"), (["--seed", "1"], "the command comes first"), (["xyz"], "no command")],
)
def test_unknown_commands_are_refused_with_a_way_out(words, said, capsys):
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_version_is_that_of_the_installed_package(monkeypatch, capsys):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"1.2.3 of {name}")
    assert physiokeras.__version__ == "1.2.3 of physiokeras"
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "physiokeras 1.2.3 of physiokeras\n"


def test_entry_point_is_the_front_door():
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
    name, _, target = config["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, _, function = target.partition(":")
    assert name == "physiokeras"
    assert getattr(importlib.import_module(module), function) is main


def test_completion_knows_commands_flags_and_values():
    pytest.importorskip("shtab")
    script = completion("bash")
    for word in (*COMMANDS, "--mask-ratio", "dirichlet"):
        assert word in script
    with pytest.raises(SystemExit, match="one of bash, zsh, tcsh"):
        completion("fish")


def test_letters_that_a_terminal_lacks_end_no_command(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    with pytest.raises(SystemExit):
        exit_status.run(lambda: print("night \u0142: 4 windows", flush=True))
    assert written.getvalue().decode().rstrip() == r"night \u0142: 4 windows"
