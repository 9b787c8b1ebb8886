#!/usr/bin/env python3
"""Kill a pretraining repeatedly: it must resume each time and end bit for bit like an uninterrupted one.

Processes are killed at random moments of random steps, then at each file operation of a save. Each run is compared with
an uninterrupted one: metrics, last checkpoint (weights, optimizer, seeds), best score, model. Run it on each backend:

    tools/kill_training.py --backend jax [--moments 30] [--operations 60] [--folder FOLDER]
"""

import argparse
import gc
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

NETWORK = "--width 16 --depth 1 --heads 2 --dropout 0.1 --decoder-width 16 --decoder-depth 0 --decoder-heads 2"
TRAINING = "--steps 26 --interval 6 --validation-steps 1 --batch-size 4 --checkpoint-every 4 --modalities eeg ecg"
COHORT = "--people 6 --unlabelled 2 --hours 0.1 --workers 1"
AHEAD = 6
"""Greatest number of steps of a process before it is killed at a moment, so that a run is killed several times."""


def main():
    """Run the kills on one backend; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", required=True, choices=["tensorflow", "jax", "torch"])
    parser.add_argument(
        "--moments", type=int, default=30, help="number of kills at random moments; a few come too late"
    )
    parser.add_argument("--operations", type=int, default=60, help="kills at file operations")
    parser.add_argument("--first", type=int, default=1, help="first file operation, counted from the start of a run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="working folder; not removed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        prepare(args.backend)
        child(args.backend, folder / "whole", prepare_data).wait()
        lengths = child(args.backend, folder / "whole").lengths()
        expected = result(folder / "whole")
        print(f"{args.backend}: uninterrupted {sum(lengths):.1f} s, its first step {lengths[0]:.1f} s", flush=True)
        draw, last = random.Random(args.seed), args.first + args.operations
        plans = [partial(at_moment, draw, lengths) for _ in range(args.moments)]
        plans += [partial(at_operation, number) for number in range(args.first, last)]
        kills = carry_out(args.backend, folder, plans, expected)
    print(f"{args.backend}: {kills} kills, every run equal to the uninterrupted one", flush=True)
    return 0


def carry_out(backend, folder, plans, expected):
    """Let each plan kill a process that resumes the run of the previous one; return the number of kills."""
    runs, kills, told = 0, 0, []
    run = folder / "run-0"
    for plan in [*plans, None]:
        where = plan and plan(backend, run)
        if where:
            kills += 1
            told.append(f"{where} (last checkpoint {max(saved(run), default='none')})")
            continue
        if plan is None:
            child(backend, run).wait()
        compare(run, expected)
        print(f"{backend}: equal after {len(told)} kills: {', '.join(told)}", flush=True)
        runs, told = runs + 1, []
        run = folder / f"run-{runs}"
    return kills


def at_moment(draw, lengths, backend, run):
    """Kill a process at a moment of one of its next steps; return the place, or None if it ended before.

    The step is drawn first: moments drawn over time would nearly all fall into compilation, before the first step.
    """
    done = max(saved(run), default=0)
    step = draw.randint(0, min(len(lengths) - 1 - done, AHEAD))
    killed = child(backend, run).kill_after(step, draw.uniform(0, lengths[done + step if step else 0]))
    return f"after {step} steps" if killed else None


def at_operation(number, backend, run):
    """Kill a process at one of its file operations, counted from 1; return its name, or None if it ended before."""
    return (run / "operation").read_text() if child(backend, run, operation=number).died() else None


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
        self.steps, told = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            tell_steps(told)
            self._call(function or train, backend, operation)
        os.close(told)

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

    def lengths(self):
        """Wait for its end; return the seconds until the first step, between steps, and after the last step."""
        times = [time.monotonic()]
        while os.read(self.steps, 1):
            times.append(time.monotonic())
        self.wait()
        times.append(time.monotonic())
        return [after - before for before, after in itertools.pairwise(times)]

    def kill_after(self, steps, seconds):
        """Kill it some seconds after some steps; return whether it was still running."""
        for _ in range(steps):
            os.read(self.steps, 1)  # returns nothing immediately if the process has ended
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGKILL)
        return self.died()

    def died(self):
        """Whether it was killed; otherwise it must have ended with status 0."""
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.steps)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return True
        self._ended_well(status)
        return False

    def wait(self):
        """Wait for its end, which must be with status 0."""
        if self.died():
            raise SystemExit(f"{self.run}: killed by another than this harness")

    def _ended_well(self, status):
        if status:
            text = Path(f"{self.run}.log").read_text(errors="replace")
            raise SystemExit(f"{self.run}: ended with status {status}:\n{text[-3000:]}")


def prepare(backend):
    """Import what children need, without computing: computation starts threads, which do not survive a fork."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow  # noqa: F401

    from physiokeras.experiments import training  # noqa: F401
    from physiokeras.recipes.pretrain import main  # noqa: F401

    gc.freeze()  # no child looks for garbage among what was imported


def flags(backend, run):
    """Arguments of `pretrain` for a new run."""
    return [*f"{NETWORK} {TRAINING} {COHORT} --backend {backend} --out".split(), str(run)]


def prepare_data(backend, run):
    """Simulate the cohort that all runs beside `run` share; return the status."""
    from physiokeras.experiments import cohort
    from physiokeras.experiments.settings import read
    from physiokeras.recipes import pretrain

    cohort.prepared(read(pretrain.Settings, flags(backend, run)))
    return 0


def train(backend, run):
    """Pretrain in a run folder without probes and figures, or resume it; return the status."""
    from physiokeras.evaluation import probe_report
    from physiokeras.figures import pretraining_run
    from physiokeras.recipes import pretrain

    probe_report.probe_encoder, pretraining_run.draw_all = (lambda *_: ({}, {})), (lambda *_: None)
    if (run / "settings.toml").exists():
        return pretrain.main(["--resume", str(run)])
    return pretrain.main(flags(backend, run))


def tell_steps(pipe):
    """Make this process write a byte after each step, before metrics and checkpoints are written."""
    from physiokeras.callbacks import Checkpoints

    follow = Checkpoints.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        os.write(pipe, b".")
        follow(self, batch, logs)

    Checkpoints.on_train_batch_end = on_train_batch_end


def die_at(run, operation):
    """Make this process kill itself at one of its file operations on checkpoints and metrics."""
    count = 0
    watched = (str(run / "checkpoints"), str(run / "metrics.csv"), str(run / ".metrics"))

    def happens(event, arguments):
        nonlocal count
        if event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fsync"):
            return
        path = next((str(value) for value in arguments if isinstance(value, str | Path)), "")
        if not (run / "checkpoints").exists():
            return
        # `fsync` has no file name, and `rmtree` names files without their folder.
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
    """Everything that must be equal: metrics, checkpoints, weights."""
    facts = {path.parent.name: json.loads(path.read_text()) for path in run.glob("checkpoints/*/checkpoint.json")}
    model = json.loads((run / "model" / "metadata.json").read_text())["sha256"]
    checkpoints = {name: table["facts"] for name, table in facts.items() if int(name.split("-")[1]) == max(saved(run))}
    return {"metrics": (run / "metrics.csv").read_text(), "checkpoint": checkpoints, "model": model}


def compare(run, expected):
    """Compare a finished run with the uninterrupted one, check for temporary files, and remove the run."""
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
