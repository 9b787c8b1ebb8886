"""Worker processes start from any kind of script, none of which they import."""

import os
import subprocess
import sys
import time

import pytest

from physiokeras.pipelines.converting import pool

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


def test_workers_end_with_a_process_that_is_killed():
    script = """
import os
from physiokeras.pipelines.converting import pool
with pool.processes(1) as executor:
    print(pool.submit(executor, os.getpid).result(), flush=True)
    os.kill(os.getpid(), 9)
"""
    # The worker writes to the same pipe, which ends when both are gone; else the call ends with a timeout.
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert done.returncode == -9
    assert done.stdout.strip().isdigit()


def test_one_worker_makes_the_next_result_and_no_more_while_the_caller_works_with_the_last(tmp_path):
    paths = [tmp_path / str(number) for number in range(5)]
    for count, (number, _) in enumerate(pool.run(os.mkdir, [(str(path),) for path in paths], 1, ahead=True), 1):
        assert number == count - 1
        made, limit = min(count + 1, 5), time.monotonic() + 30
        while not paths[made - 1].exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
        assert sum(path.exists() for path in paths) == made
    assert list(pool.run(abs, [(-1,)], 1, ahead=True)) == [(0, 1)]
