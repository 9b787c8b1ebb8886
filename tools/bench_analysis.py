#!/usr/bin/env python3
"""Measure time and memory of an analysis: attention with its nulls, tuning, reconstruction and features.

The paper's network (width 256, depth 8, 4 modalities of 30 tokens) reads windows of noise; time does not depend on
their content. Each part is timed after its first batch, which compiles, and extrapolated to `--windows`. Memory is the
peak of the process at half and at the end of the attention, the part that reads all windows.

    tools/bench_analysis.py --windows 2000 --measure 256
"""

import argparse
import resource
import time

import keras
import numpy as np

from physiokeras.analysis.attention import attention_sums
from physiokeras.analysis.reconstruction import source_target
from physiokeras.analysis.tuning import encoder_tuning
from physiokeras.evaluation.extraction import predict
from physiokeras.models import Encoder, FeatureExtractor, MaskedAutoencoder

CHANNELS = {"eeg": 6, "eog": 1, "emg": 1, "ecg": 1}
TIME, PATCH, BATCH, FEW = 30, 100, 32, 256


def windows(rows, seed=0):
    """Noise in the shape of the paper's windows."""
    draw = np.random.default_rng(seed)
    inputs = {
        name: (draw.standard_normal((rows, TIME * PATCH, count)) * 1600).astype("int16")
        for name, count in CHANNELS.items()
    }
    return {**inputs, "present": np.ones((rows, sum(CHANNELS.values())), bool)}


def memory():
    """Peak resident memory of the process so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stream(count, marks):
    """Batches of 32 windows of 20 people; records time and memory before each batch."""
    inputs, people = windows(BATCH), np.arange(BATCH) % 20
    for _ in range(count):
        marks.append((time.perf_counter(), time.process_time(), memory()))
        yield inputs, people
    marks.append((time.perf_counter(), time.process_time(), memory()))


def timed(function, *args, **options):
    """Wall and CPU seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    function(*args, **options)
    return time.perf_counter() - wall, time.process_time() - processor


def main():
    """Print seconds for all windows, part by part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=2000, help="number of windows to which times are extrapolated")
    parser.add_argument("--measure", type=int, default=256, help="number of windows that are analysed")
    args = parser.parse_args()
    modalities = {name: {"samples": TIME * PATCH, "channels": count} for name, count in CHANNELS.items()}
    model = MaskedAutoencoder(Encoder(modalities))
    encoder, marks, total = model.encoder, [], np.zeros(2)

    def report(name, seconds):
        nonlocal total
        total = total + seconds
        print(f"{name:15s} {seconds[0]:7.1f} s, {seconds[1]:7.1f} s of processors", flush=True)

    attention_sums(encoder, stream(max(3, args.measure // BATCH), marks))
    (wall, processor, _), (end, used, last) = marks[1], marks[-1]
    share = args.windows / (BATCH * (len(marks) - 2))
    report("attention", np.array([end - wall, used - processor]) * share)
    print(f"{'':15s} memory {marks[len(marks) // 2][2]:.0f} MB at half, {last:.0f} MB at the end")
    extractor, batch = FeatureExtractor(encoder), windows(BATCH)
    predict(extractor, batch)
    report("features", np.array(timed(predict, extractor, batch)) * args.windows / BATCH)
    # Both read few windows many times, whatever the number of windows.
    few = windows(FEW)
    report("tuning", np.array(timed(encoder_tuning, encoder, few)))  # compilation included
    quarter = windows(FEW // 4)
    model.reconstruct(quarter)
    report("reconstruction", np.array(timed(source_target, model, quarter)) * 4)
    print(f"{args.windows} windows on {keras.config.backend()}: {total[0]:.0f} s, {total[1]:.0f} s of processors")


if __name__ == "__main__":
    main()
