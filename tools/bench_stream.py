#!/usr/bin/env python3
"""Measure windows per second of the stream, relative to a plain `TFRecordDataset` on the same files.

    python tools/bench_stream.py [--records 24] [--windows 400] [--batch-size 64] [--repeats 3]

The windows are random int16, 9 channels x 3000 samples, in a temporary folder, read from a warm cache. Targets: at
least half the plain rate, and 15,000 windows/s on two cores. Training uses `shuffled`, evaluation
uses `in order`; `start` is the time to the first batch in seconds.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from physiokeras.pipelines.converting.conversion import examples
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.prepared.manifest import combine
from physiokeras.pipelines.prepared.shards import write_shard

CHANNELS = {"eeg": 6, "eog": 1, "emg": 1, "ecg": 1}


def prepare(folder, records, windows, samples=3000):
    """A prepared folder of random windows, all in the split "train"."""
    definition = Definition.from_dict(
        {
            "name": "bench",
            "window": samples / 100,
            "modalities": {
                name: {"rate": 100, "channels": [f"{name}{index}" for index in range(count)]}
                for name, count in CHANNELS.items()
            },
            "labels": {"stage": {"kind": "stages", "annotator": "x", "classes": ["W", "S"]}},
        }
    )
    (folder / "records").mkdir(parents=True)
    random, sidecars = np.random.default_rng(0), []
    for number in range(records):
        name = f"r{number:03d}"
        stored = {
            key: random.integers(-9999, 9999, (windows, samples, count), np.int16) for key, count in CHANNELS.items()
        }
        present = np.ones((windows, 9), bool)
        labels = {"stage": np.arange(windows, dtype=np.int32) % 2}
        shard = write_shard(folder / "records" / f"{name}.tfrecord", examples(name, stored, present, labels))
        sidecar = {"record": name, "seconds": 0, "sex": None, "age": None, "channels": [], "notes": []}
        sidecar |= {"present": {}, "labels": {}}
        sidecars.append({**sidecar, **shard, "sums": {key: [1, 0, 1] for key in CHANNELS}})
    names = [sidecar["record"] for sidecar in sidecars]
    splits = dict.fromkeys(names, "train")
    combine(folder, definition, sidecars, dict(zip(names, names, strict=True)), splits, {}).write()
    return folder


def rate(dataset, windows):
    """Windows per second, counted from the first element on, and seconds to the first element."""
    start, iterator = time.perf_counter(), iter(dataset)
    next(iterator)
    first, elements = time.perf_counter(), 1
    for _ in iterator:
        elements += 1
    seconds = time.perf_counter() - first
    return windows * (elements - 1) / elements / seconds, first - start


def main():
    """Print the rates side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=24)
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    from physiokeras.pipelines import steps_per_pass, stream

    with tempfile.TemporaryDirectory() as temporary:
        folder = prepare(Path(temporary) / "prepared", arguments.records, arguments.windows)
        paths = sorted(str(path) for path in (folder / "records").glob("*.tfrecord"))
        total, size = arguments.records * arguments.windows, arguments.batch_size
        steps = steps_per_pass(folder, "train", size)

        def shuffled():
            return stream(folder, "train", batch_size=size, labels=("stage",), seed=0).take(2 * steps)

        cases = {
            "bare": (lambda: tf.data.TFRecordDataset(paths), total),
            "shuffled": (shuffled, 2 * steps * size),
            "in order": (lambda: stream(folder, "train", batch_size=size, labels=("stage",)), total),
        }
        results = {name: [] for name in cases}
        for _ in range(arguments.repeats):
            for name, (dataset, windows) in cases.items():
                results[name].append(rate(dataset(), windows))
        base = sorted(run[0] for run in results["bare"])[arguments.repeats // 2]
        print(f"{total} windows of 9 x 3000 int16, batches of {size}, {os.cpu_count()} CPUs, {arguments.repeats} runs")
        for name, runs in results.items():
            speed, start = sorted(runs)[arguments.repeats // 2]
            print(f"{name:9} {speed:8.0f} windows/s  {speed / base:5.2f} x bare  start {start:.2f} s")


if __name__ == "__main__":
    main()
