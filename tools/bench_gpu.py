#!/usr/bin/env python3
"""Measure training steps of the autoencoder on a GPU, on JAX and PyTorch, relative to a hand-written PyTorch reference.

The package's models train by `fit`, on batches on the device and on int16 batches from the host; the difference is the
cost of the input. The reference trains on float windows on the device. Each job runs in a separate process, the most
important first. A failed job is reported and the next one runs; no job starts after `--budget` seconds. TensorFlow is
not needed. Results are in OUT/results.json, tables in OUT/tables.md, messages in OUT/*.log.

    tools/bench_gpu.py --out OUT [--reference ../shared/reference/torch_mae.py] [--data windows.npz] [--profile]
    tools/bench_gpu.py --out OUT --engines jax torch --policies float32 --widths 512 --batches 64 128

Without `--engines`, `--policies`, `--widths` and `--batches` it runs a default plan, which takes about four minutes on
an H100. `--data` is a file of `tools/gpu_windows.py`; `--tiny` is for a machine without GPU.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from gpu_plan import ENGINES, POLICIES, plan
from gpu_tables import describe, tables

CHILD = "import runpy, sys; sys.modules['tensorflow'] = None; runpy.run_module('gpu_steps', run_name='__main__')"
"""A process's program: what it runs must run where TensorFlow is not installed."""


class Child:
    """A process for one job; it imports its framework immediately and starts the job on request."""

    def __init__(self, job, folder):
        name = job["name"]
        self.job, self.log = job, folder / ("-".join(map(str, name.values())) + ".log")
        tools = Path(__file__).resolve().parent
        path = os.pathsep.join(filter(None, [str(tools), str(tools.parent), os.environ.get("PYTHONPATH")]))
        environment = {
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # so that memory in use is reported
            **({"OMP_NUM_THREADS": "1"} if job["tiny"] else {}),  # busy-waiting threads would take cores
            **os.environ,
            "KERAS_BACKEND": "jax" if name["engine"] == "jax" else "torch",
            "PYTHONPATH": path,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,  # compilers start processes of their own, which end with it
            )

    def rows(self, limit):
        """Results of the job, which is stopped after `limit` seconds."""
        late = ""
        try:
            text, _ = self.process.communicate(json.dumps(self.job) + "\n", timeout=limit)
        except subprocess.TimeoutExpired:
            self.stop()
            text, _ = self.process.communicate()
            late = f"stopped after {limit:.0f} s"
        rows = [json.loads(line[4:]) for line in text.splitlines() if line.startswith("ROW ")]
        status = self.process.returncode
        if late or status:
            last = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()][-1:]
            rows.append({**self.job["name"], "error": late or f"ended with status {status}: {' '.join(last)[:300]}"})
        return rows

    def stop(self):
        """End the process and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def card():
    """Name, memory and driver of the GPU, or "CPU"."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "CPU"


def work(args, jobs, folder):
    """Run the jobs one after another, write the results after each, and return them."""
    found = {"card": card(), "rows": [], "skipped": [], "jobs": jobs}
    start, ahead = time.monotonic(), (os.cpu_count() or 1) >= 8  # two processes would compete for few cores
    waiting = None
    for number, one in enumerate(jobs):
        begun = time.monotonic() - start
        if begun > args.budget - min(15, args.budget / 10):
            found["skipped"] += [other["name"] | {"batches": other["batches"]} for other in jobs[number:]]
            break
        child = waiting or Child(one, folder)
        waiting = Child(jobs[number + 1], folder) if ahead and number + 1 < len(jobs) else None
        rows = child.rows(min(args.limit, args.budget - begun + 5))
        found["rows"] += [{**row, "took": time.monotonic() - start - begun} for row in rows]
        for row in rows:
            print(f"{time.monotonic() - start:5.0f} s  {describe(row)}", flush=True)
        (folder / "results.json").write_text(json.dumps(found, indent=1))
        (folder / "tables.md").write_text(tables(found))
    if waiting:
        waiting.stop()
    return found


def main():
    """Run the plan and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder for results, tables and logs")
    parser.add_argument("--reference", help="Python file of the reference; without it the reference is left out")
    parser.add_argument("--data", help="file of windows for a short training; without it the training is left out")
    parser.add_argument("--profile", action="store_true", help="also measure parts, kernels and kinds of attention")
    parser.add_argument("--budget", type=float, default=240, help="seconds after which no job starts")
    parser.add_argument("--limit", type=float, default=90, help="greatest number of seconds per job")
    parser.add_argument(
        "--seconds", type=float, default=0.6, help="seconds of each of the three measurements of a step"
    )
    parser.add_argument("--engines", nargs="+", choices=ENGINES)
    parser.add_argument("--policies", nargs="+", choices=POLICIES)
    parser.add_argument("--widths", nargs="+", type=int)
    parser.add_argument("--batches", nargs="+", type=int)
    parser.add_argument("--tiny", action="store_true", help="a network, windows and batches for a test on a CPU")
    args = parser.parse_args()
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    found = work(args, plan(args), folder)
    (folder / "results.json").write_text(json.dumps(found, indent=1))
    (folder / "tables.md").write_text(tables(found))
    print("\n" + tables(found), flush=True)


if __name__ == "__main__":
    main()
