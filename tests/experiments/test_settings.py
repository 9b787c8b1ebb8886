import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from physiokeras.experiments.settings import CommonSettings, read, setting, to_toml

pytestmark = pytest.mark.once


@dataclass(frozen=True)
class Settings(CommonSettings):
    """Train something."""

    mask_ratio: float = setting(0.7, "share of tokens hidden, 70% in the paper", "masking")
    scheme: Literal["uniform", "block"] = setting("uniform", "how tokens are chosen", "masking")
    steps: int = setting(100, "training steps")
    quick: bool = setting(False, "take few steps")
    dropped: int | None = setting(1, "modalities dropped at a time")
    data: str | None = setting(None, "prepared folder")
    modalities: tuple[str, ...] = setting(("eeg", "ecg"), "which to use")
    widths: tuple[int, int] = setting((4, 8), "two widths")
    folds: tuple[int, ...] | None = setting(None, "which folds")

    def __post_init__(self):
        if not 0 <= self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie in [0, 1). Received: {self.mask_ratio}.")


def toml(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def message_of(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        read(Settings, argv, prog="train")
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_defaults_hold_where_nothing_is_given(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert read(Settings, []) == Settings(backend="tensorflow")


def test_keras_backend_variable_sets_the_default_backend(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert read(Settings, []).backend == "jax"
    assert read(Settings, ["--backend", "torch"]).backend == "torch"


def test_command_line_wins_over_file_and_file_over_defaults(tmp_path):
    config = toml(tmp_path, 'steps = 7\nmask_ratio = 0.5\nmodalities = ["eog"]')
    settings = read(Settings, ["--config", config, "--mask-ratio", "0.25"])
    assert (settings.steps, settings.mask_ratio, settings.modalities) == (7, 0.25, ("eog",))
    assert (settings.scheme, settings.config) == ("uniform", (config,))


def test_later_files_win_over_earlier_ones(tmp_path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('steps = 7\nscheme = "block"')
    second.write_text("steps = 8\nmask_ratio = 0.5")
    settings = read(Settings, ["--config", str(first), str(second), "--mask-ratio", "0.25"])
    assert (settings.steps, settings.scheme, settings.mask_ratio) == (8, "block", 0.25)
    (tmp_path / "settings.toml").write_text(to_toml(settings))
    again = read(Settings, ["--config", str(tmp_path / "settings.toml")])
    assert replace(again, config=None) == replace(settings, config=None)


def test_command_may_have_a_config_of_its_own_by_default(tmp_path):
    @dataclass(frozen=True)
    class Configured(Settings):
        config: tuple[str, ...] | None = setting((toml(tmp_path, "steps = 7"),), "settings file", "run")

    assert read(Configured, []).steps == 7
    assert read(Configured, ["--steps", "8"]).steps == 8
    assert read(Configured, ["--config", "none"]).steps == 100
    (tmp_path / "settings.toml").write_text(to_toml(read(Configured, ["--steps", "9"])))
    assert read(Configured, ["--config", str(tmp_path / "settings.toml")]).steps == 9


def test_every_type_is_read_from_flags():
    words = "--quick --dropped none --modalities a b --widths 1 2 --folds 3 4 --data x --scheme block --out o"
    argv = words.split()
    expected = {"dropped": None, "modalities": ("a", "b"), "widths": (1, 2), "folds": (3, 4)}
    assert read(Settings, argv) == Settings(quick=True, data="x", scheme="block", out="o", **expected)
    assert read(Settings, ["--modalities", "--folds", "none", "--no-quick"]) == Settings(modalities=(), folds=None)


def test_integer_in_toml_serves_as_float_and_true_does_not_serve_as_integer(tmp_path, capsys):
    settings = read(Settings, ["--config", toml(tmp_path, "mask_ratio = 0")])
    assert type(settings.mask_ratio) is float
    assert "`steps` must be an integer. Received: True (bool)" in message_of(
        capsys, "--config", toml(tmp_path, "steps = true")
    )


def test_written_settings_rerun_the_run_exactly(tmp_path):
    chosen = replace(
        Settings(), dropped=None, folds=(2,), mask_ratio=0.1 + 0.2, seed=5, backend="jax", modalities=(), quick=True
    )
    path = tmp_path / "settings.toml"
    path.write_text(to_toml(chosen, note="Rerun me.\n\nSoon."))
    assert path.read_text().startswith("# Rerun me.\n#\n# Soon.\n")
    assert replace(read(Settings, ["--config", str(path)]), config=None) == chosen


def test_written_settings_do_not_depend_on_the_file_they_came_from(tmp_path):
    config = toml(tmp_path, "steps = 7")
    (tmp_path / "settings.toml").write_text(to_toml(read(Settings, ["--config", config])))
    (tmp_path / "mine.toml").unlink()
    assert read(Settings, ["--config", str(tmp_path / "settings.toml")]).steps == 7


def test_unknown_key_names_file_closest_and_all_known(tmp_path, capsys):
    message = message_of(capsys, "--config", toml(tmp_path, "mask_ration = 0.5"))
    assert "mine.toml: unknown key `mask_ration`. Did you mean `mask_ratio`?" in message
    assert all(name in message for name in ("backend", "folds", "modalities", "widths"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('steps = "many"', "`steps` must be an integer. Received: 'many' (str)"),
        ("steps = 1.5", "`steps` must be an integer. Received: 1.5 (float)"),
        ('scheme = "diagonal"', "`scheme` must be one of 'uniform', 'block'. Received: 'diagonal' (str)"),
        ('modalities = "eeg"', "`modalities` must be a list, each a string. Received: 'eeg' (str)"),
        ("widths = [1, 2, 3]", "`widths` must be a list of 2 values, each an integer. Received: [1, 2, 3]"),
        ("widths = [1, 2.5]", "`widths` must be a list of 2 values, each an integer. Received: [1, 2.5]"),
        ("dropped = 0.5", '`dropped` must be an integer (or "none"). Received: 0.5'),
        ("[steps]\na = 1", "`steps` must be an integer. Received: {'a': 1} (dict)"),
        ('config = "demo"', "unknown key `config`"),
        ("mask_ratio = 1.0", "mask_ratio must lie in [0, 1). Received: 1.0"),
        ("steps = ", "not a TOML file"),
    ],
)
def test_wrong_value_in_file_names_key_expected_and_received(tmp_path, capsys, text, expected):
    assert expected in message_of(capsys, "--config", toml(tmp_path, text))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--mask-ration", "0.5"], "unknown flag --mask-ration. Did you mean `--mask-ratio`?"),
        (["--mask-rati=0.5"], "unknown flag --mask-rati."),
        (["demo"], "'demo' belongs to no flag"),
        (["--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["--scheme", "diagonal"], "argument --scheme: invalid choice"),
        (["--config", "nowhere.toml"], "nowhere.toml: no such file"),
        (["--config", "no-such-name"], "No experiment named 'no-such-name'"),
        (["--mask-ratio", "2"], "mask_ratio must lie in [0, 1). Received: 2.0"),
    ],
)
def test_wrong_flag_is_one_short_message(capsys, argv, expected):
    message = message_of(capsys, *argv)
    assert expected in message
    assert message.count("\n") <= 2


def test_setting_without_default_must_be_given(capsys):
    @dataclass(frozen=True)
    class Needy(CommonSettings):
        source: str = setting(help="folder of recordings")

    assert read(Needy, ["--source", "x"]).source == "x"
    with pytest.raises(SystemExit):
        read(Needy, [])
    assert "--source must be given" in capsys.readouterr().err


def test_help_shows_every_default(capsys):
    with pytest.raises(SystemExit) as stop:
        read(Settings, ["--help"], prog="train")
    shown = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 0
    assert "share of tokens hidden, 70% in the paper (default: 0.7)" in shown
    assert "take few steps (default: off)" in shown
    assert "which to use (default: eeg ecg)" in shown
    assert "prepared folder (default: none)" in shown


def test_help_is_fast_and_imports_nothing_heavy():
    code = """if True:
        import sys
        from physiokeras.experiments.settings import CommonSettings, read
        try:
            read(CommonSettings, ["--help"])
        except SystemExit:
            pass
        heavy = {"keras", "tensorflow", "jax", "torch", "numpy", "scipy", "sklearn", "matplotlib"} & set(sys.modules)
        assert not heavy, heavy"""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    assert time.perf_counter() - begin < 5  # about 0.1 s on an idle machine
