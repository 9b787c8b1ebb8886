import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is what is spoken to"),
]

ADDRESSES = """
import resource, sys
from physiokeras import memory
if 'keep' in sys.argv: memory.keep()
blocks = [bytes(size * 50) for size in range(1, 3000)] + [bytes(2**23), bytes(2**10)]
del blocks[-2], blocks[::2]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
memory.start_afresh()
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
places = [id(block) for block in [bytes(size * 51) for size in range(1, 2000)]]
block = b'x' * 2**26
place, inside = id(block) + 2**25, False
for line in open('/proc/self/smaps'):
    bounds = line.split()[0].split('-')
    if len(bounds) == 2:
        inside = int(bounds[0], 16) <= place < int(bounds[1], 16)
        first, last = int(bounds[0], 16), int(bounds[-1], 16)
    if inside and line.startswith('VmFlags'):
        print(grown, 'hg' in line.split(), sum(first <= place < last for place in places))
"""


def run(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True, text=True).stdout


def test_freed_memory_stays_with_the_process():
    code = (
        "import resource, sys; from physiokeras import memory\n"
        "if sys.argv[1:]: memory.keep()\n"
        "for turn in range(20):\n"
        "    if turn == 2: before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    b'x' * (turn + 2**26)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    faults = int(run(code)), int(run(code, "keep"))
    assert faults[0] > 500 > 10 * faults[1]


def test_fresh_memory_is_unbroken_in_huge_pages_and_costs_nothing_before_it_is_used():
    grown, huge, inside = run(ADDRESSES, "keep").split()
    assert int(grown) < 10_000
    assert huge == "True"
    # but for those before the first whole huge page
    assert int(inside) > 1650


def test_nothing_is_done_about_memory_that_is_not_kept():
    assert run(ADDRESSES).split()[1] == "False"
