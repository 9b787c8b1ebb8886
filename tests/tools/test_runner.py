import re
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[2] / "tools" / "test"


@pytest.fixture
def outcome(tmp_path):
    """Function that runs a test file's text under one backend: exit status, row of the summary, last line."""

    def run(text, *arguments):
        path = tmp_path / "test_it.py"
        path.write_text(text)
        result = subprocess.run(
            [sys.executable, RUNNER, "torch", path, *arguments], capture_output=True, text=True, check=False
        )
        row = re.search(r"^torch +(\d+) +(\d+) +(\d+) +\d+$", result.stdout, re.MULTILINE)
        return result.returncode, tuple(map(int, row.groups())), result.stdout.splitlines()

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
    status, row, lines = outcome(MIXED)
    assert status == 1
    assert row == (1, 2, 2)
    assert re.fullmatch(r"\d+ passed, \d+ failed, 2 skipped", lines[-1])
    assert any("SKIPPED" in line and "not here" in line for line in lines)
    assert any("assert 1 == 2" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    ["import does_not_exist", "", "import os\ndef test_dies(): os._exit(0)", "import os\ndef test_dies(): os.abort()"],
)
def test_run_that_ends_early_or_finds_nothing_counts_as_failed(outcome, text):
    status, (passed, failed, _), _ = outcome(text)
    assert (status, passed, failed) == (1, 0, 1)


def test_arguments_reach_pytest(outcome):
    assert outcome(MIXED, "-k", "backend")[1] == (1, 0, 0)
