#!/usr/bin/env python3
"""Measure how time and memory grow with record length, number of records and resumed step.

    python tools/bench_growth.py [--hours 1 2 4 8] [--records 50 200 800] [--folder DIR]

Expected: time is proportional to the data, memory of a conversion is proportional to one record, and memory of a stream
does not depend on the number of records. Each line is a separate process; records of the second and third table are
small. `again` is a rerun with nothing to do; `skip` is the time of resuming at the end of a pass.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TOML = """
name = "tiny"
window = 10.0
[modalities.acc]
rate = 20
channels = ["X", "Y"]
"""


def length(folder, hours):
    """Convert one simulated record of `hours`: seconds per hour of record."""
    from physiokeras.pipelines.converting.conversion import convert_record
    from physiokeras.pipelines.definitions.definition import Definition
    from physiokeras.pipelines.people.people import read_people
    from physiokeras.pipelines.simulation.simulator import simulate

    source = folder / f"night{hours}"
    if not source.is_dir():
        simulate(source, people=1, hours=hours, progress=False)
        return None
    definition, start = Definition.read("simulated"), time.perf_counter()
    (folder / "out" / "records").mkdir(parents=True, exist_ok=True)
    convert_record(next(source.glob("*/*/*.hea")), definition, read_people(source, definition), folder / "out")
    return {"seconds per hour": (time.perf_counter() - start) / hours}


def number(folder, records):
    """Convert many tiny records, then again: milliseconds per record."""
    from physiokeras.pipelines.converting.driver import convert

    source = folder / f"source{records}"
    source.mkdir()
    (folder / "tiny.toml").write_text(TOML)
    for index in range(records):
        values = np.random.default_rng(index).integers(-999, 999, (4000, 2)).astype("<i2")
        lines = [f"r{index:05d} 2 20 4000", *(f"r{index:05d}.dat 16 10/NU 16 0 {values[0, i]} {values[:, i].sum()} 0 "
                                              f"{name}" for i, name in enumerate("XY"))]  # fmt: skip
        (source / f"r{index:05d}.dat").write_bytes(values.tobytes())
        (source / f"r{index:05d}.hea").write_text("\n".join(lines) + "\n")
    times = []
    for _ in range(2):
        start = time.perf_counter()
        convert(source, str(folder / "tiny.toml"), folder / f"out{records}", progress=None)
        times.append((time.perf_counter() - start) / records * 1000)
    return {"ms per record": times[0], "again": times[1]}


def read(folder, records):
    """Stream what `number` converted: seconds to the first batch, windows/s, seconds to resume at a pass's end."""
    from physiokeras.pipelines import steps_per_pass, stream

    out, times = folder / f"out{records}", {}
    steps = steps_per_pass(out, None, 32)
    start = time.perf_counter()
    iterator = iter(stream(out, batch_size=32, seed=0))
    next(iterator)
    times["s to first batch"] = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(steps - 1):
        next(iterator)
    times["windows/s"] = 32 * (steps - 1) / (time.perf_counter() - start)
    start = time.perf_counter()
    next(iter(stream(out, batch_size=32, seed=0, start_step=steps - 1)))
    times["skip"] = time.perf_counter() - start
    return times


def main():
    """Run every case in a process of its own and print its line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--records", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--folder", type=Path, help="where files are kept; default: a temporary folder")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        case, size = arguments.run
        size = float(size) if case == "length" else int(size)
        result = {"length": length, "number": number, "read": read}[case](arguments.folder, size)
        if result:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print("  ".join(f"{name} {value:.4g}" for name, value in result.items()), f" {memory:.0f} MB peak")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for case, sizes in (("length", arguments.hours), ("number", arguments.records), ("read", arguments.records)):
            for size in sizes:
                # The first call of "length" only simulates.
                for _ in range(2 if case == "length" else 1):
                    command = [sys.executable, __file__, "--folder", str(folder), "--run", case, str(size)]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                print(f"{case:7} {size:6g}  {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
