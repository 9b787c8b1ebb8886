#!/usr/bin/env python3
"""Does pretraining help? Probe scores of pretrained and untrained encoders over several seeds, simulated people.

Each seed simulates a cohort of its own, pretrains, and probes people held out; the same encoder untrained beside it.
Prints each seed's scores, then the mean difference with its 95 % interval over seeds (Student's t).

    tools/bench_pretraining.py --out runs/bench --seeds 5 [--backend jax] [further flags of pretrain]
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from scipy.stats import t

SHOWN = [("stage", "balanced_accuracy"), ("stage", "auroc"), ("arousal", "auroc"), ("age", "auroc")]


def scores(folder, seed, backend, flags):
    """Scores of one seed: dict of "pretrained" and "untrained" -> task -> numbers; an earlier run is read."""
    run = Path(folder) / f"seed-{seed}"
    if not (run / "scores.md").exists():
        command = [sys.executable, "-m", "physiokeras.recipes.pretrain", "--backend", backend, "--seed", str(seed)]
        subprocess.run([*command, "--out", str(run), *flags], check=True, stdout=subprocess.DEVNULL)
    return json.loads((run / "run.json").read_text())["scores"]


def main():
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder for the runs; finished ones are read, not repeated")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backend", default="jax")
    args, flags = parser.parse_known_args()
    found = []
    for seed in range(args.seeds):
        found.append(scores(args.out, seed, args.backend, flags))
        for task, score in SHOWN:
            pretrained, untrained = (found[-1][kind][task]["windows"][score] for kind in ("pretrained", "untrained"))
            print(
                f"seed {seed} {task:8s} {score:18s} pretrained {pretrained:.3f} untrained {untrained:.3f}", flush=True
            )
    print("\nmean difference over seeds, with 95 % interval; simulated recordings")
    for task, score in SHOWN:
        gains = [run["pretrained"][task]["windows"][score] - run["untrained"][task]["windows"][score] for run in found]
        mean, error = statistics.mean(gains), statistics.stdev(gains) / len(gains) ** 0.5
        reach = t.ppf(0.975, len(gains) - 1) * error
        print(f"{task:8s} {score:18s} {mean:+.3f} [{mean - reach:+.3f}, {mean + reach:+.3f}]")


if __name__ == "__main__":
    main()
