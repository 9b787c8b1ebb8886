import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings"),
]

FAULTS = """
import resource, sys
from physiokeras import memory
if sys.argv[1:]: memory.keep()
for turn in range(20):
    if turn == 2: before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b'x' * (turn + 2**26)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments):
    """Page faults of a process that allocates and frees 64 MiB again and again."""
    command = [sys.executable, "-c", FAULTS, *arguments]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def test_freed_memory_stays_with_the_process():
    assert faults() > 500 > 10 * faults("keep")
