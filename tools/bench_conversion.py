#!/usr/bin/env python3
"""Measure time and memory of converting a full-size record, relative to plain NumPy and SciPy.

    tools/bench_conversion.py [--hours 8] [--repeats 3] [--folder DIR]
    tools/bench_conversion.py --records 8 [--repeats 3] [--folder DIR]

The record is simulated (13 channels at 200 Hz). "floor" reads it, resamples its nine EEG, EOG, EMG and ECG channels to
half their rate, applies a band-pass, percentiles and int16 scaling, and writes nothing. "nine" converts the same nine
channels including labels and a shard on disk; "all" converts all 13. Each run is a separate process.
Target: nine at most 1.5 times the floor, and a peak of resident memory under 450 MB.

With `--records` it converts that many records by the command line, alternating between one and two workers, and sums
the memory of all processes. Target: at least 1.7 times faster, under 900 MB. If other jobs use the cores, CPU time is
more informative than wall time: the cost of a second worker is the difference between the two.
"""

import argparse
import dataclasses
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def floor(header, out):
    """The minimal work of any conversion, in NumPy and SciPy."""
    import numpy as np
    from scipy import signal

    start = time.perf_counter()
    digital = np.memmap(header.with_suffix(".mat"), "<i2", "r", offset=24).reshape(-1, 13)
    sections = signal.butter(4, (0.3, 35.0), "bandpass", fs=100, output="sos")
    kept = []
    for channel in (0, 1, 2, 3, 4, 5, 6, 7, 12):
        values = signal.resample_poly(digital[:, channel].astype(np.float32), 1, 2)
        values = signal.sosfiltfilt(sections, values)
        low, middle, high = np.percentile(values, (25, 50, 75))
        scaled = np.clip((values - middle) / (high - low), -20, 20)
        kept.append(np.rint(scaled * (32767 / 20)).astype(np.int16))
    return time.perf_counter() - start


def nine(header, out):
    """The package's conversion of the same nine channels."""
    return _ours(header, out, ("eeg", "eog", "emg", "ecg"))


def everything(header, out):
    """The package's conversion of all 13 channels."""
    return _ours(header, out, None)


def _ours(header, out, names):
    from scipy import signal  # noqa: F401  which conversion loads when it needs it: no part of the floor's time either

    from physiokeras.pipelines.converting.conversion import convert_record
    from physiokeras.pipelines.definitions.definition import Definition
    from physiokeras.pipelines.people.people import read_people

    definition = Definition.read("simulated")
    people = read_people(header.parents[2], definition)
    if names:
        chosen = {name: definition.modalities[name] for name in names}
        definition = dataclasses.replace(definition, modalities=chosen)
    (out / "records").mkdir(exist_ok=True)
    start = time.perf_counter()
    convert_record(header, definition, people, out)
    return time.perf_counter() - start


RUNS = {"floor": floor, "nine": nine, "all": everything}


def parallel(folder, records, hours, repeats):
    """Compare one worker with two on the same records: seconds and peak memory of all processes."""
    from physiokeras.pipelines.simulation.simulator import simulate

    simulate(folder / "source", people=records, hours=hours, workers=2)
    print(f"{records} simulated records of {hours:g} h")
    gains = []
    for _ in range(repeats):
        one, two = (prepare(folder, workers) for workers in (1, 2))
        gains.append(one / two)
        print(f"two workers {gains[-1]:.2f} times as fast", flush=True)
    print(f"median of {repeats} pairs: {statistics.median(gains):.2f} ({min(gains):.2f} to {max(gains):.2f})")


def prepare(folder, workers):
    """Convert the records by the command line; return seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [sys.executable, "-m", "physiokeras.recipes.prepare", "--dataset", "simulated", "--no-report"]
        command += ["--source", str(folder / "source"), "--out", out, "--workers", str(workers)]
        start, peak, used = time.perf_counter(), 0, processor_seconds()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            time.sleep(0.05)
        seconds, used = time.perf_counter() - start, processor_seconds() - used
    if process.returncode:
        sys.exit(process.returncode)
    print(f"{workers} worker(s) {seconds:6.1f} s  {used:6.1f} s CPU  {peak:5.0f} MB peak", flush=True)
    return seconds


def processor_seconds():
    """CPU time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def memory_of(process):
    """Memory of a process and its children in MB, with shared memory counted once (PSS)."""
    total, waiting = 0, [process]
    while waiting:
        one = waiting.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(rollup.split("Pss:")[1].split()[0])
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except (OSError, IndexError):
            continue  # it has just ended
    return total / 1024


def main():
    """Simulate the record, run all cases, and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--records", type=int, help="compare one worker with two on this number of records")
    parser.add_argument("--folder", type=Path, help="where the record is kept; default: a temporary folder")
    parser.add_argument("--run", choices=RUNS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        header = next((arguments.folder / "source" / "training").glob("*/*.hea"))
        seconds = RUNS[arguments.run](header, arguments.folder)
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if arguments.records:
            parallel(folder, arguments.records, arguments.hours, arguments.repeats)
            return
        from physiokeras.pipelines.simulation.simulator import simulate

        simulate(folder / "source", people=1, hours=arguments.hours)
        results = {name: [] for name in RUNS}
        for _ in range(arguments.repeats):
            for name in RUNS:
                command = [sys.executable, __file__, "--run", name, "--folder", str(folder)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                results[name].append([float(number) for number in output.split()])
    base = sorted(seconds for seconds, _ in results["floor"])[arguments.repeats // 2]
    print(f"one simulated record of {arguments.hours:g} h, median of {arguments.repeats} runs")
    for name, runs in results.items():
        seconds = sorted(run[0] for run in runs)[arguments.repeats // 2]
        memory = max(run[1] for run in runs)
        print(f"{name:6} {seconds:6.2f} s  {seconds / base:5.2f} x floor  {memory:5.0f} MB peak")


if __name__ == "__main__":
    main()
