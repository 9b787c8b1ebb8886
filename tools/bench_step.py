#!/usr/bin/env python3
"""Measure training steps of the paper's autoencoder on each backend, relative to a hand-written PyTorch reference.

Both alternate on the same cores, a few steps each, so that changes of the machine's speed affect both. The package's
model trains by `model.fit` on a `tf.data` stream of int16 windows. Prints windows per second, the ratio of each round,
and the medians.

    tools/bench_step.py --reference ../shared/reference/torch_mae.py [--backends jax] [--rounds 5] [--steps 8]
"""

import argparse
import importlib.util
import os
import signal
import statistics
import subprocess
import sys
import time

CHANNELS = {"eeg": 6, "eog": 1, "emg": 1, "ecg": 1}
TIME, PATCH = 30, 100


def ours(args):
    """Function that trains the package's model for `args.steps` steps."""
    from physiokeras.experiments.backend import use

    use(os.environ["KERAS_BACKEND"])
    import keras
    import numpy as np
    import tensorflow

    from physiokeras.layers import ModalityDropout
    from physiokeras.models import Encoder, MaskedAutoencoder
    from physiokeras.optimizers import AdamW

    keras.config.set_dtype_policy(args.policy)
    modalities = {name: {"samples": TIME * PATCH, "channels": count} for name, count in CHANNELS.items()}
    encoder = Encoder(modalities, TIME, args.width, args.depth, 8)
    model = MaskedAutoencoder(encoder, modality_dropout=ModalityDropout(name="dropout"))
    # The commands compile a training of this size in the same way.
    by_xla = keras.config.backend() == "tensorflow"
    model.compile(AdamW(1e-4, weight_decay=0.05, beta_2=0.95), jit_compile=True if by_xla else "auto")
    rows = args.batch * args.steps
    draw = np.random.default_rng(0)
    inputs = {
        name: (draw.standard_normal((rows, TIME * PATCH, count)) * 1600).astype("int16")
        for name, count in CHANNELS.items()
    }
    inputs["present"] = np.ones((rows, sum(CHANNELS.values())), bool)
    print(f"{model.count_params()} parameters", file=sys.stderr)
    options = tensorflow.data.Options()
    options.autotune.enabled = False  # as in the package's streams
    batches = tensorflow.data.Dataset.from_tensor_slices((inputs,)).batch(args.batch).prefetch(4).with_options(options)
    return lambda: model.fit(batches, verbose=0)


def reference(args):
    """Function that trains the reference for `args.steps` steps."""
    import torch

    spec = importlib.util.spec_from_file_location("reference", args.reference)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = module.MaskedAutoencoder(args.width, args.depth).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.05, fused=device == "cuda")
    windows = [torch.randn(args.batch, TIME * PATCH, c, device=device) for c in CHANNELS.values()]

    def train():
        for _ in range(args.steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=args.policy == "mixed_bfloat16"):
                loss = model(windows)
            loss.backward()
            optimizer.step()
        loss.item()

    return train


def work(args):
    """Child process: train once for each line on standard input; print wall and CPU seconds."""
    train = ours(args) if args.child == "ours" else reference(args)
    train()
    train()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        train()
        print(time.perf_counter() - wall, time.process_time() - processor, flush=True)


def start(kind, backend, argv):
    """Start a child process and wait until it has trained its first steps."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, *argv, "--child", kind]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    while (line := child.stdout.readline()) != "ready\n":
        if not line:
            raise SystemExit(f"{kind} on {backend} ended with status {child.wait()}.")
    child.send_signal(signal.SIGSTOP)  # busy-waiting threads would occupy a core of the other process
    return child


def turn(child):
    """Wall and CPU seconds of one turn; the process is stopped before and after it."""
    child.send_signal(signal.SIGCONT)
    print("go", file=child.stdin, flush=True)
    seconds = [float(x) for x in child.stdout.readline().split()]
    child.send_signal(signal.SIGSTOP)
    return seconds


def main():
    """Compare each backend with the reference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", required=True, help="path of the reference's Python file")
    parser.add_argument("--backends", nargs="+", default=["torch", "tensorflow", "jax"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--policy", default="float32", help='Keras dtype policy, such as "mixed_bfloat16"')
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return work(args)
    windows = args.batch * args.steps
    for backend in args.backends:
        theirs, mine = (start(kind, backend, sys.argv[1:]) for kind in ("reference", "ours"))
        ratios, costs = [], []
        for _ in range(args.rounds):
            (a, a_cpu), (b, b_cpu) = turn(theirs), turn(mine)
            ratios.append(a / b)
            costs.append(a_cpu / b_cpu)
            print(f"{backend:10s} ours {windows / b:7.1f} windows/s, reference {windows / a:7.1f}: ratio {a / b:.2f}")
        theirs.kill(), mine.kill()
        print(
            f"{backend:10s} median ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f});"
            f" by processor time {statistics.median(costs):.2f}\n"
        )


if __name__ == "__main__":
    main()
