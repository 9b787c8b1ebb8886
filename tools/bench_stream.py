#!/usr/bin/env python3
"""Measure windows per second of the stream, beside reading the same bytes and a plain `TFRecordDataset`.

    python tools/bench_stream.py [--records 24] [--windows 400] [--batch-size 64] [--repeats 3]

The windows are random int16, 9 channels x 3000 samples, in a temporary folder, read from a warm cache. `read` reads the
files into one buffer by plain calls; `bare` is a plain `TFRecordDataset`. Training uses `shuffled`, evaluation uses
`in order`; `source` rows are the same batches as NumPy arrays, without TensorFlow; `memory` is `shuffled` from windows
that were read into the host's memory before (`pretrain --cache host`). `start` is the time to the first
batch in seconds; processor time is that of all threads. The cases alternate, and the medians are printed.
"""

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from physiokeras.pipelines.converting.conversion import examples
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.prepared.combining import combine
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
    """Windows per second from the first element on, microseconds of processor time a window, seconds to the first."""
    start, used = time.perf_counter(), time.process_time()
    iterator = iter(dataset)
    next(iterator)
    first, elements = time.perf_counter(), 1
    for _ in iterator:
        elements += 1
    seconds = time.perf_counter() - first
    processor = 1e6 * (time.process_time() - used) / windows
    return windows * (elements - 1) / elements / seconds, processor, first - start


def read(paths, size=1 << 20):
    """Read files as a stream of bytes does that looks at nothing; yields once a buffer."""
    buffer = bytearray(size)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                yield


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

    from physiokeras.pipelines import WindowsInMemory, source, steps_per_pass, stream

    with tempfile.TemporaryDirectory() as temporary:
        folder = prepare(Path(temporary) / "prepared", arguments.records, arguments.windows)
        paths = sorted(str(path) for path in (folder / "records").glob("*.tfrecord"))
        total, size = arguments.records * arguments.windows, arguments.batch_size
        steps = steps_per_pass(folder, "train", size)
        kept = WindowsInMemory(folder, "train", labels=("stage",))

        options = {"batch_size": size, "labels": ("stage",)}
        cases = {
            "read": (lambda: read(paths), total),
            "bare": (lambda: tf.data.TFRecordDataset(paths), total),
            "shuffled": (lambda: stream(folder, "train", seed=0, **options).take(2 * steps), 2 * steps * size),
            "in order": (lambda: stream(folder, "train", **options), total),
            "memory, shuffled": (lambda: kept.stream(size, 0).take(2 * steps), 2 * steps * size),
            "source, shuffled": (
                lambda: itertools.islice(source(folder, "train", seed=0, **options), 2 * steps),
                2 * steps * size,
            ),
            "source, in order": (lambda: source(folder, "train", **options), total),
        }
        results = {name: [] for name in cases}
        for _ in range(arguments.repeats):
            for name, (dataset, windows) in cases.items():
                results[name].append(rate(dataset(), windows))
        medians = {name: np.median(runs, axis=0) for name, runs in results.items()}
        print(f"{total} windows of 9 x 3000 int16, batches of {size}, {os.cpu_count()} CPUs, {arguments.repeats} runs")
        print(f"{'':16} windows/s  x bare  x read  processor us/window  start s")
        for name, (speed, processor, start) in medians.items():
            ratios = (speed / medians[other][0] for other in ("bare", "read"))
            print(f"{name:16} {speed:9.0f}  {next(ratios):6.2f}  {next(ratios):6.2f}  {processor:19.1f}  {start:7.3f}")


if __name__ == "__main__":
    main()
