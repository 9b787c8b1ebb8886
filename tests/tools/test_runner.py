import re
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[2] / "tools" / "test"


@pytest.fixture
def outcome(tmp_path):
    """Function that runs a test file's text under backends: exit status, rows of the summary, lines."""

    def run(text, *arguments, backends=("torch",)):
        path = tmp_path / "test_it.py"
        path.write_text(text)
        command = [sys.executable, RUNNER, *backends, path, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        rows = re.findall(r"^(\w+) +(\d+) +(\d+) +(\d+) +\d+$", result.stdout, re.MULTILINE)
        return result.returncode, {row[0]: tuple(map(int, row[1:])) for row in rows}, result.stdout.splitlines()

    return run


MIXED = """import os, pytest
def test_backend(): assert os.environ["KERAS_BACKEND"] == "torch"
def test_wrong(): assert 1 == 2
@pytest.mark.skip(reason="not here")
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.fixture
def broken(): raise OSError
def test_error(broken): pass
"""


def test_failures_errors_and_skips_are_told_apart(outcome):
    status, rows, lines = outcome(MIXED)
    assert status == 1
    assert rows == {"torch": (1, 2, 2)}
    assert re.fullmatch(r"\d+ passed, \d+ failed, 2 skipped", lines[-1])
    assert any("SKIPPED" in line and "not here" in line for line in lines)
    assert any("assert 1 == 2" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    ["import does_not_exist", "", "import os\ndef test_dies(): os._exit(0)", "import os\ndef test_dies(): os.abort()"],
)
def test_run_that_ends_early_or_finds_nothing_counts_as_failed(outcome, text):
    status, rows, _ = outcome(text)
    assert (status, rows["torch"][:2]) == (1, (0, 1))


def test_arguments_reach_pytest(outcome):
    assert outcome(MIXED, "-k", "backend")[1] == {"torch": (1, 0, 0)}


DIVIDED = """import os, pytest
@pytest.mark.once
def test_once(): assert os.environ["KERAS_BACKEND"] == "torch"
@pytest.mark.once
@pytest.mark.skip
def test_skipped_once(): pass
def test_everywhere(): assert os.environ["KERAS_BACKEND"] != "torch"
"""


def test_what_is_marked_runs_once_and_the_rest_on_every_backend(outcome):
    rows = {"tensorflow": (1, 0, 0), "once": (1, 0, 1), "jax": (1, 0, 0), "torch": (0, 1, 0)}
    status, found, lines = outcome(DIVIDED, backends=())
    assert (status, found) == (1, rows)
    assert lines[-1] == "7 passed, 1 failed, 1 skipped"  # with the four style checks


def test_backends_that_are_named_run_what_is_marked_too(outcome):
    assert outcome(DIVIDED, "-k", "once", backends=("jax", "torch"))[1] == {"jax": (0, 1, 1), "torch": (1, 0, 1)}
