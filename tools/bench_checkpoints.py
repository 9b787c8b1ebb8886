#!/usr/bin/env python3
"""Measure the cost of checkpoints and check for leaks: time of steps and of saves, memory, open files.

    tools/bench_checkpoints.py --backend jax                             the demo's network, a save every 5 steps
    tools/bench_checkpoints.py --backend jax --size paper --steps 12     the paper's network

Prints the share of time that saves take at the default interval of 500 steps, and the memory and files of the process.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

SIZES = {
    "demo": {"width": 64, "depth": 4, "heads": 4, "decoder": 64},
    "paper": {"width": 256, "depth": 8, "heads": 8, "decoder": 128},
}
INTERVAL = 500


def main():
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", required=True, choices=["tensorflow", "jax", "torch"])
    parser.add_argument("--size", default="demo", choices=SIZES)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args()
    os.environ["KERAS_BACKEND"] = args.backend
    import keras
    import numpy as np

    from physiokeras import callbacks
    from physiokeras.layers import ModalityDropout
    from physiokeras.models import Encoder, MaskedAutoencoder

    class Timed(callbacks.Checkpoints):
        """Times each step and each save separately; records memory and open files after each save."""

        steps, saves, held, last = [], [], [], None

        def on_train_batch_begin(self, batch, logs=None):
            self.last = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            self.steps.append(time.perf_counter() - self.last)
            super().on_train_batch_end(batch, logs)

        def _save(self, metrics=False):
            began, before = time.perf_counter(), self._saved
            super()._save(metrics)
            if self._saved != before:
                self.saves.append(time.perf_counter() - began)
                self.held.append((resident(), len(os.listdir("/proc/self/fd"))))

    size = SIZES[args.size]
    modalities = {name: {"samples": 3000, "channels": count} for name, count in (("eeg", 6), ("eog", 1), ("ecg", 1))}
    encoder = Encoder(modalities, width=size["width"], depth=size["depth"], heads=size["heads"])
    model = MaskedAutoencoder(encoder, modality_dropout=ModalityDropout(name="dropout"), decoder_width=size["decoder"])
    model.compile(keras.optimizers.AdamW(1e-4))
    draw = np.random.default_rng(0)
    inputs = {k: draw.normal(size=(args.batch, 3000, m["channels"])).astype("float32") for k, m in modalities.items()}
    inputs["present"] = np.ones((args.batch, 8), bool)

    def batches():
        while True:
            yield (inputs,)

    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Timed(folder, every=args.every)
        model.fit(batches(), steps_per_epoch=args.steps, callbacks=[checkpoints], verbose=0, shuffle=False)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / len(os.listdir(folder)) / 2**20
        names = sorted(os.listdir(folder))
    print(f"{args.backend}, {args.size}, {model.count_params():,} parameters, batch of {args.batch}")
    report(checkpoints, args.every, size)
    print(f"{len(checkpoints.saves)} saves; left: {', '.join(names)}")


def report(checkpoints, every, megabytes):
    """Print the time of steps and saves, and memory and open files half-way and at the end.

    Args:
        checkpoints: `Timed`.
        every: Steps between two saves.
        megabytes: Size of a checkpoint.
    """
    step, save = statistics.median(checkpoints.steps[3:]), statistics.median(checkpoints.saves)
    # On JAX, the step after a save reads the variables again.
    after = [s for i, s in enumerate(checkpoints.steps) if i > 3 and i % every == 0]
    print(f"step {step * 1e3:.1f} ms, after a save {statistics.median(after or [step]) * 1e3:.1f} ms")
    print(f"save {save * 1e3:.1f} ms (worst {max(checkpoints.saves) * 1e3:.1f} ms) of {megabytes:.1f} MB")
    print(f"share of the time at every {INTERVAL} steps: {save / (save + INTERVAL * step):.3%}")
    half = len(checkpoints.held) // 2
    for name, (memory, count) in (("half-way", checkpoints.held[half]), ("at the end", checkpoints.held[-1])):
        print(f"{name}: {memory:.0f} MB resident, {count} open files")


def resident():
    """Memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
