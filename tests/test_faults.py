"""The list of faults in docs/faults.md: it is numbered, and each test that it names is there."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

TESTS = Path(__file__).parent
ROWS = re.findall(
    r"^\| (\d+) \| .+ \| .+ \| `(.+)::(\w+)` \|$", (TESTS.parent / "docs/faults.md").read_text(), re.MULTILINE
)


def test_kinds_of_faults_are_numbered():
    assert [int(number) for number, _, _ in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) >= 95


def test_each_fault_has_a_test():
    missing = [f"{file}::{name}" for _, file, name in ROWS if f"\ndef {name}(" not in (TESTS / file).read_text()]
    assert not missing
