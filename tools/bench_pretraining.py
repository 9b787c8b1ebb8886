#!/usr/bin/env python3
"""Compare probe scores of pretrained and untrained encoders over several seeds, on simulated people.

Each seed simulates its own cohort, pretrains, and probes the encoder and the same encoder untrained on held-out people.
Prints the scores of each seed and the mean difference. Also prints the share of each dropped modality's variance that
the others explain, and the same share with sources from other windows. Intervals are 95 % over seeds (Student's t).

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


def results(folder, seed, backend, flags):
    """Content of one seed's `run.json`; a finished run is not repeated."""
    run = Path(folder) / f"seed-{seed}"
    if not (run / "scores.md").exists():
        command = [sys.executable, "-m", "physiokeras.recipes.pretrain", "--backend", backend, "--seed", str(seed)]
        subprocess.run([*command, "--out", str(run), *flags], check=True, stdout=subprocess.DEVNULL)
    return json.loads((run / "run.json").read_text())


def over_seeds(numbers):
    """Mean and its interval, as text."""
    mean, error = statistics.mean(numbers), statistics.stdev(numbers) / len(numbers) ** 0.5
    reach = t.ppf(0.975, len(numbers) - 1) * error
    return f"{mean:+.3f} [{mean - reach:+.3f}, {mean + reach:+.3f}]"


def main():
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder for the runs; finished ones are read, not repeated")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backend", default="jax")
    args, flags = parser.parse_known_args()
    found = []
    for seed in range(args.seeds):
        found.append(results(args.out, seed, args.backend, flags))
        for task, score in SHOWN:
            pretrained, untrained = (
                found[-1]["scores"][kind][task]["windows"][score] for kind in ("pretrained", "untrained")
            )
            print(
                f"seed {seed} {task:8s} {score:18s} pretrained {pretrained:.3f} untrained {untrained:.3f}", flush=True
            )
    print("\nmeans over seeds, with 95 % intervals; simulated recordings")
    for task, score in SHOWN:
        pairs = [[run["scores"][kind][task]["windows"][score] for kind in ("pretrained", "untrained")] for run in found]
        print(f"{task:8s} {score:18s} pretrained - untrained {over_seeds([a - b for a, b in pairs])}")
    for name in found[0]["reconstruction"]:
        told = {kind: [run["reconstruction"][name][kind] for run in found] for kind in ("explained", "shuffled")}
        print(f"{name} dropped: explained {over_seeds(told['explained'])}, shuffled {over_seeds(told['shuffled'])}")


if __name__ == "__main__":
    main()
