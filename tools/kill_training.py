#!/usr/bin/env python3
"""Kill a pretraining again and again: it must go on each time and end, bit for bit, as one that nobody killed.

Kills come at random moments, then at each file operation of a save. Every run is compared with an uninterrupted one:
metrics, last checkpoint (weights, optimizer, seeds), best score, model. Run it once for each backend:

    tools/kill_training.py --backend jax [--moments 30] [--operations 60] [--folder FOLDER]
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

NETWORK = "--width 16 --depth 1 --heads 2 --dropout 0.1 --decoder-width 16 --decoder-depth 0 --decoder-heads 2"
TRAINING = "--steps 26 --interval 6 --validation-steps 1 --batch-size 4 --checkpoint-every 4 --modalities eeg ecg"
COHORT = "--people 6 --unlabelled 2 --hours 0.1 --workers 1"


def main():
    """Run the kills of one backend; exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", required=True, choices=["tensorflow", "jax", "torch"])
    parser.add_argument("--moments", type=int, default=30, help="kills at random moments")
    parser.add_argument("--operations", type=int, default=60, help="kills at file operations")
    parser.add_argument("--first", type=int, default=1, help="file operation to begin with, counted from a run's start")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="where to work; kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        prepare(args.backend)
        child(args.backend, folder / "whole", prepare_data).wait()
        began = time.monotonic()
        child(args.backend, folder / "whole").wait()
        seconds = time.monotonic() - began
        expected = result(folder / "whole")
        print(f"{args.backend}: uninterrupted {seconds:.1f} s", flush=True)
        kills = at_moments(args, folder, seconds, expected) + at_operations(args, folder, expected)
    print(f"{args.backend}: {kills} kills, every run equal to the uninterrupted one", flush=True)
    return 0


def at_moments(args, folder, seconds, expected):
    """Kill at random moments; how often."""
    draw, kills, number = random.Random(args.seed), 0, 0
    while kills < args.moments:
        run, steps = folder / f"moments-{number}", []
        while True:
            trainee = child(args.backend, run)
            # Runs go on from later and later steps; the moment may lie anywhere in what is left.
            killed = kills < args.moments and trainee.kill_after(draw.uniform(0, seconds))
            if not killed:
                trainee.wait()
                break
            kills += 1
            steps.append(max(saved(run), default=0))
        compare(run, expected)
        print(f"{args.backend}: killed {len(steps)} times at moments, last checkpoints then {steps}: equal", flush=True)
        number += 1
    return kills


def at_operations(args, folder, expected):
    """Kill a child at a file operation, the next child at the one after it, and so on; how often."""
    number, run, seen, died = 0, folder / "operations-0", [], 0
    for operation in range(args.first, args.first + args.operations):
        trainee = child(args.backend, run, operation=operation)
        if trainee.died():
            died += 1
            seen.append((run / "operation").read_text())
            continue
        compare(run, expected)
        number += 1
        run = folder / f"operations-{number}"
    child(args.backend, run).wait()
    compare(run, expected)
    print(f"{args.backend}: killed {died} times at file operations: {', '.join(seen)}: equal", flush=True)
    return died


class child:
    """A forked process that trains in a run folder, or goes on there.

    Args:
        backend: Keras backend.
        run: The run's folder.
        function: What it calls with backend and folder; its status.
        operation: Which of its file operations below the checkpoints, counted from 1, kills it.
    """

    def __init__(self, backend, run, function=None, operation=None):
        self.run = run
        self.pid = os.fork()
        if not self.pid:
            self._call(function or train, backend, operation)

    def _call(self, function, backend, operation):
        status = 1
        try:
            with open(f"{self.run}.log", "ab", buffering=0) as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            if operation is not None:
                die_at(self.run, operation)
            status = function(backend, self.run)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)

    def wait(self):
        """Wait for its end, which must be a good one."""
        self._ended_well(os.waitpid(self.pid, 0)[1])

    def kill_after(self, seconds):
        """Kill it after a time; whether it had not ended before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended_well(status)
                self.wait = lambda: None
                return False
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return True

    def died(self):
        """Whether it killed itself; otherwise it must have ended well."""
        status = os.waitpid(self.pid, 0)[1]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return True
        self._ended_well(status)
        return False

    def _ended_well(self, status):
        if status:
            text = Path(f"{self.run}.log").read_text(errors="replace")
            raise SystemExit(f"{self.run}: ended with status {status}:\n{text[-3000:]}")


def prepare(backend):
    """Import what children need, once, and compute nothing: what computes has threads, which do not survive a fork."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow  # noqa: F401

    from physiokeras.recipes import pictures, probing, training  # noqa: F401
    from physiokeras.recipes.pretrain import main  # noqa: F401


def flags(backend, run):
    """Arguments of `pretrain` for a new run."""
    return [*f"{NETWORK} {TRAINING} {COHORT} --backend {backend} --out".split(), str(run)]


def prepare_data(backend, run):
    """Simulate the cohort that all runs beside `run` share; status."""
    from physiokeras.recipes import cohort, pretrain
    from physiokeras.recipes.settings import read

    cohort.prepared(read(pretrain.Settings, flags(backend, run)))
    return 0


def train(backend, run):
    """Pretrain in a run folder without probes and figures, or go on there; status."""
    from physiokeras.recipes import pictures, pretrain, probing

    probing.probe_encoder, pictures.draw_all = (lambda *_: ({}, {})), (lambda *_: None)
    if (run / "settings.toml").exists():
        return pretrain.main(["--resume", str(run)])
    return pretrain.main(flags(backend, run))


def die_at(run, operation):
    """Let this process kill itself at one of its file operations on checkpoints and metrics."""
    count = 0
    watched = (str(run / "checkpoints"), str(run / "metrics.csv"), str(run / ".metrics"))

    def happens(event, arguments):
        nonlocal count
        if event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fsync"):
            return
        path = next((str(value) for value in arguments if isinstance(value, str | Path)), "")
        if not (run / "checkpoints").exists():
            return
        # `fsync` has no name to tell, and `rmtree` names what it removes without its folder.
        if event not in ("fsync", "os.remove", "os.rmdir") and not path.startswith(watched):
            return
        count += 1
        if count == operation:
            (run / "operation").write_text(event)
            os.kill(os.getpid(), signal.SIGKILL)

    fsync = os.fsync

    def watched_fsync(handle):
        happens("fsync", ())
        fsync(handle)

    os.fsync = watched_fsync
    sys.addaudithook(happens)


def saved(run):
    """Steps of the checkpoints of a run."""
    return [int(path.name.split("-")[1]) for path in (run / "checkpoints").glob("step-*")]


def result(run):
    """All that must be equal: metrics, checkpoints, weights."""
    facts = {path.parent.name: json.loads(path.read_text()) for path in run.glob("checkpoints/*/checkpoint.json")}
    model = json.loads((run / "model" / "metadata.json").read_text())["sha256"]
    checkpoints = {name: table["facts"] for name, table in facts.items() if int(name.split("-")[1]) == max(saved(run))}
    return {"metrics": (run / "metrics.csv").read_text(), "checkpoint": checkpoints, "model": model}


def compare(run, expected):
    """Compare a finished run with the uninterrupted one; look for leftovers; remove it."""
    found = result(run)
    for name, value in expected.items():
        if found[name] != value:
            raise SystemExit(f"{run}: {name} differ from the uninterrupted run's:\n{found[name]}\n{value}")
    left = [str(path) for path in run.rglob("*.tmp")]
    if left:
        raise SystemExit(f"{run}: leftovers: {left}")
    shutil.rmtree(run)


if __name__ == "__main__":
    sys.exit(main())
