import configparser
from pathlib import Path

import pytest

from physiokeras.experiments import installation
from physiokeras.recipes import doctor

pytestmark = pytest.mark.once


@pytest.fixture
def facts():
    """Facts of a machine on which all is well, without a GPU."""
    return {
        "versions": {"physiokeras": "1.0"},
        "missing": [],
        "backends": {"tensorflow": ["CPU cpu:0"], "jax": ["CPU 0 cpu"], "torch": None},
        "extras": dict.fromkeys(installation.EXTRAS, False),
        "cores": 2,
        "variables": {},
        "disk_gb": {"/here": 100.0},
    }


def test_what_every_installation_needs_is_what_setup_requires():
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    extras = set(config["options.extras_require"])
    assert set(installation.EXTRAS) == extras - {"docs", "test", "edf"}
    required = {line.split(">=")[0] for line in config["options"]["install_requires"].split() if line[0].isalpha()}
    assert set(installation.PACKAGES) == required


def test_backend_that_cannot_be_imported_is_told_from_one_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(installation._DEVICES, "json", "raise ImportError('libcuda is too old')")
    assert installation.devices("json") == "ImportError: libcuda is too old"
    assert installation.devices("no_such_backend") is None


def test_all_is_well(facts):
    assert list(installation.problems(facts)) == []
    text = "\n".join(installation.lines(facts))
    assert "Backend torch: not installed" in text
    assert "Not installed: [flac], WFDB recordings in FLAC: pip install 'physiokeras[flac]'" in text
    assert "No backend finds a GPU" in "\n".join(installation.remarks(facts))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"missing": ["wfdb"]}, "Packages are missing: wfdb"),
        ({"backends": {"jax": "no CUDA"}}, "jax backend is installed but fails: no CUDA"),
        ({"disk_gb": {"/here": 0.5}}, "only 0.5 GB free in /here"),
    ],
)
def test_each_problem_is_named_with_its_remedy(facts, changed, said):
    (found,) = installation.problems(facts | changed)
    assert said in found


def test_gpus_that_tensorflow_sees_beside_another_backend_are_named(facts):
    both = facts | {"backends": {"tensorflow": ["CPU cpu:0", "GPU gpu:0"], "jax": ["GPU 0 H100"]}}
    assert "TensorFlow sees 1 GPU(s)" in " ".join(installation.remarks(both))
    jax_alone = facts | {"backends": {"tensorflow": ["CPU cpu:0"], "jax": ["GPU 0 H100"]}}
    assert "use --backend jax" in " ".join(installation.remarks(jax_alone))


def test_command_prints_the_facts_and_says_by_its_status_whether_all_works(facts, monkeypatch, capsys):
    monkeypatch.setattr(installation, "examine", lambda backends: facts)
    assert doctor.main([]) == 0
    assert capsys.readouterr().out.endswith("No problem found.\n")
    monkeypatch.setattr(installation, "examine", lambda backends: facts | {"missing": ["keras"]})
    assert doctor.main([]) == 1
    assert "Problem: Packages are missing: keras." in capsys.readouterr().out
