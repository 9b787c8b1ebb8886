"""Worker processes start from any kind of script, none of which they import."""

import subprocess
import sys

import pytest

SCRIPT = """
from physiokeras.pipelines.converting import pool
print("script begins", flush=True)
print(dict(pool.run(abs, [(-1,), (-2,), (-3,)], workers=2)))
"""


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_script_without_guard_runs_once_and_ends(source, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, *([str(script)] if source == "file" else ["-"])]
    done = subprocess.run(
        command, input=None if source == "file" else SCRIPT, capture_output=True, text=True, timeout=60, check=True
    )
    first, results = done.stdout.splitlines()
    assert first == "script begins"
    assert dict(sorted(eval(results).items())) == {0: 1, 1: 2, 2: 3}
