import contextlib
import re
import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from physiokeras.experiments import places
from physiokeras.experiments.settings import read
from physiokeras.pipelines import Definition, convert, simulate, stream
from physiokeras.recipes import (
    analyze,
    challenge,
    compare,
    extract,
    finetune,
    inspect,
    prepare,
    pretrain,
    probe,
    score,
    search,
)

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path):
    """Pairs of language and text of a page's code blocks."""
    return re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


BLOCKS = [block for page in PAGES for block in blocks(page)]
SHOWN = [README, *(ROOT / "docs" / f"{name}.md" for name in ("how-to/script", "how-to/resume", "streams"))]
SCRIPTS = [text for page in SHOWN for kind, text in blocks(page) if kind == "python"]
FIVE_LINES, USER, ARRAYS, SEARCH, RESUME, STREAMS, IN_MEMORY = SCRIPTS
FRAGMENTS = {"formats.md", "export.md"}
"""Pages whose scripts need a recording, scores or a model of the reader's own."""

SMALLER = {
    r'batch_size("?[:=] ?)32': r"batch_size\g<1>4",
    r"width=64": "width=8, heads=2",
    r"depth=4": "depth=1",
    r"(model = MaskedAutoencoder\(.*)\)": r"\1, decoder_width=8, decoder_depth=1, decoder_heads=1)",
    r"steps_per_epoch=100": "steps_per_epoch=1",
    r"epochs=(5|10)": "epochs=1",
    r"max_trials=5": "max_trials=1",
    r"steps=1000, interval=100": "steps=1, interval=1",
    r"\(64, ": "(4, ",  # windows of the arrays
}
"""What the scripts are run with: one small network, few steps. Everything else runs as written."""


def run(script, folder, names):
    """Run a script, made smaller, in a folder; its names."""
    for large, little in SMALLER.items():
        script = re.sub(large, little, script)
    with contextlib.chdir(folder):
        exec(compile(script, README.name, "exec"), names)
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the scripts run: it holds `PREPARED`."""
    folder = tmp_path_factory.mktemp("readme")
    source = simulate(folder / "source", 4, 1, hours=0.1, seed=1, progress=False)
    convert(source, "simulated", folder / "PREPARED", progress=None)
    return folder


@pytest.fixture(scope="module")
def user(folder):
    """What the user's script leaves."""
    return run(USER, folder, {})


def test_five_lines_train_on_arrays(folder):
    draw = np.random.default_rng(0)
    arrays = {"pulse": draw.normal(size=(4, 1920, 1)), "motion": draw.normal(size=(4, 960, 3))}
    names = run(FIVE_LINES, folder, arrays)
    assert np.isfinite(names["model"].history.history["loss"]).all()


def test_user_script_pretrains_and_probes_in_fifteen_lines(user):
    assert sum(bool(line) for line in USER.splitlines()) <= 15
    assert user["features"].shape == (12, 8)
    assert np.isfinite(user["features"]).all()
    for model in (user["model"], user["probe"]):
        assert np.isfinite(model.history.history["loss"]).all()
        assert int(model.optimizer.iterations) > 0


def test_arrays_script_trains_without_a_stream(folder):
    assert "pipelines" not in ARRAYS
    names = run(ARRAYS, folder, {})
    assert np.isfinite(names["model"].history.history["loss"]).all()


@pytest.mark.once  # searches are tried on each backend by `recipes/test_search.py`
def test_search_script_finds_a_drop_rate(folder, user):
    names = run(SEARCH, folder, dict(user))
    (trial,) = names["tuner"].oracle.get_best_trials()
    assert trial.hyperparameters.values["drop_rate"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert np.isfinite(trial.score)


def test_checkpoint_script_goes_on_where_it_was(folder, user):
    for steps in (1, 2):
        script = RESUME.replace("steps=1000, interval=100", f"steps={steps}, interval=1")
        names = run(script, folder, dict(user))
        assert names["checkpoints"].step == steps
    assert len((folder / "mine" / "metrics.csv").read_text().splitlines()) == 1 + 2


@pytest.mark.once
def test_source_script_reads_a_step(folder):
    inputs = run(STREAMS, folder, {})["inputs"]
    batches = stream(folder / "PREPARED", ["pretrain", "train"], batch_size=4, seed=0, start_step=1000)
    ((expected,),) = batches.take(1)
    assert inputs.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(inputs[name], values)


@pytest.mark.once  # on torch; TensorFlow's batches come through the host's memory
def test_windows_in_memory_train_a_model(folder):
    seen = []
    model = SimpleNamespace(fit=lambda batches, steps_per_epoch, epochs: seen.append(batches[0][0]))
    run(IN_MEMORY, folder, {"model": model})
    batches = stream(folder / "PREPARED", ["pretrain", "train"], batch_size=4, seed=0)
    for name, values in next(iter(batches))[0].items():
        np.testing.assert_array_equal(np.asarray(seen[0][name]), values)


@pytest.mark.once
def test_every_script_is_tried():
    scripted = {page for page in PAGES if any(kind == "python" for kind, _ in blocks(page))}
    assert {page.name for page in scripted - set(SHOWN)} == FRAGMENTS
    for large in SMALLER:
        assert any(re.search(large, script) for script in SCRIPTS), large


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        made_by_the_build = target.startswith("assets/") or "reference/" in target
        assert "://" in target or made_by_the_build or (page.parent / target).exists(), target


@pytest.mark.once
@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "toml" and text.startswith("name = ")])
def test_definition_is_valid(text, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    definition = Definition.read(str(tmp_path / "mine.toml"))
    assert definition.name == tomllib.loads(text)["name"]
    assert all(definition.samples(name) % definition.tokens == 0 for name in definition.modalities)


RECIPES = [analyze, compare, inspect, prepare, pretrain, extract, probe, finetune, challenge, score, search]


@pytest.mark.once
@pytest.mark.parametrize("recipe", RECIPES)
def test_commands_have_the_flags_they_are_shown_with(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "check", lambda settings: None)  # PREPARED is not here
    run = tmp_path / "runs" / "wristband"
    run.mkdir(parents=True)
    (run / "settings.toml").write_text("backend = 'jax'")
    name = recipe.__name__.split(".")[-1]
    shell = [line.strip() for kind, text in BLOCKS if kind == "bash" for line in re.split(r"\n|&&", text)]
    # The README's first command also works in a checkout that is not installed.
    shell = [line.replace("python -m physiokeras.recipes.", "physiokeras ") for line in shell]
    commands = [shlex.split(line, comments=True) for line in shell if f"{line} ".startswith(f"physiokeras {name} ")]
    assert commands
    for command in commands:
        words = command[2:]
        if words and not words[0].startswith("-"):
            words = ["--source", *words]
        settings = read(recipe.Settings, words)
        assert getattr(settings, "backend", "jax") in ("jax", keras.config.backend())
