#!/usr/bin/env python3
"""Kill a conversion at random moments, rerun it, and compare it byte by byte with an undisturbed conversion.

    python tools/kill_conversion.py [--kills 20] [--workers 2] [--seed 0]

Each time, the command line converts a folder; the process and its workers are killed (SIGKILL) at a random moment after
the first file appears. All files under final names are checked, and the same command finishes the folder.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main():
    """Convert undisturbed, then kill and finish repeatedly; the exit status is 1 if any byte differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from physiokeras.pipelines.simulation.simulator import simulate

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        simulate(folder / "source", arguments.people, hours=0.5, progress=False)
        command = [sys.executable, "-m", "physiokeras.recipes.prepare", "--dataset", "simulated"]
        command += ["--source", str(folder / "source"), "--workers", str(arguments.workers), "--out"]
        length = run(command, folder / "whole")
        whole = contents(folder / "whole")
        moments, bad = random.Random(arguments.seed), 0
        for number in range(arguments.kills):
            out = folder / "killed"
            shutil.rmtree(out, ignore_errors=True)
            moment = moments.uniform(0, length)
            run(command, out, moment)
            before = contents(out)
            torn = [name for name in before if name.startswith("records/") and before[name] != whole.get(name)]
            left = len(list(out.glob("records/.*")))
            run(command, out)
            differing = sorted(name for name in {*whole, *contents(out)} if whole.get(name) != contents(out).get(name))
            bad += bool(torn or differing)
            shards = sum(name.endswith(".tfrecord") for name in before)
            print(
                f"kill {number + 1} after {moment:.2f} of {length:.2f} s: {shards} shards and {left} temporary files "
                f"left; {'torn: ' + ', '.join(torn) if torn else 'none torn'}; after the rerun "
                f"{'differing: ' + ', '.join(differing) if differing else 'byte-identical'}",
                flush=True,
            )
    print(f"{arguments.kills} kills, {bad} bad")
    return int(bool(bad))


def run(command, out, moment=None):
    """Convert into a folder, killed so many seconds after its first file appears; the seconds that it worked."""
    process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and not any(out.glob("records/*")) and not any(out.glob("records/.*")):
        time.sleep(0.005)
    start = time.monotonic()
    try:
        process.wait(moment)
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return time.monotonic() - start


def contents(folder):
    """Content of all files with final names except locks, by path below the folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


if __name__ == "__main__":
    sys.exit(main())
