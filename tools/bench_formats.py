#!/usr/bin/env python3
"""Measure what it takes to read a long recording through MNE or wfdb, by these themselves and by the package.

    tools/bench_formats.py [--hours 8] [--repeats 3] [--folder DIR]

The recording has nine channels of noise at 200 Hz, in BrainVision (16 bits), FIF (32 bits), EEGLAB (samples apart),
BDF (24 bits), and WFDB in FLAC (format 516, three channels a file). "whole" is MNE's `get_data()` of all channels, or
wfdb's `rdrecord`, "each" their reading of one channel after the other,
"ours" reads the same channels one after the other, and "convert" converts the record. Each run is a separate process;
seconds are of the processor, which other programs disturb least.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RATE, CHANNELS = 200, 9
FILES = ("night.vhdr", "night_raw.fif", "night.set", "night.bdf", "night.hea")


def write(folder, hours):
    """Write the recording in all formats, whichever lack."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import edfio
    import mne
    import mne_files as made

    names = [f"C{number}" for number in range(CHANNELS)]
    made.RATE, made.UNITS, made.STEPS = RATE, dict.fromkeys(names, "µV"), dict.fromkeys(names, 0.1)
    values = np.random.default_rng(0).normal(0, 300, (CHANNELS, round(hours * 3600) * RATE)).astype("<i2")
    made.write_brainvision(folder, values=values)
    made.write_eeglab(folder, values=values, apart=True)
    raw = mne.io.RawArray(values * 1e-7, mne.create_info(names, RATE, "eeg"), verbose="ERROR")
    raw.save(folder / "night_raw.fif", overwrite=True, verbose="ERROR")
    options = {"physical_dimension": "uV", "physical_range": (-3276.8, 3276.7), "digital_range": (-32768, 32767)}
    signals = [
        edfio.BdfSignal.from_digital(row.astype(np.int32), RATE, label=name, **options)
        for name, row in zip(names, values, strict=True)
    ]
    edfio.Bdf(signals).write(folder / "night.bdf")
    write_flac(folder, names, values)


def write_flac(folder, names, values):
    """Write the recording as a record of WFDB in FLAC."""
    import soundfile

    lines = [f"night {CHANNELS} {RATE} {values.shape[1]}"]
    for first in range(0, CHANNELS, 3):
        file, rows = f"night{first}.dat", values[first : first + 3]
        soundfile.write(folder / file, rows.T.astype(np.int16), 1000, "PCM_16", format="FLAC")
        for name, row in zip(names[first:], rows, strict=False):
            lines.append(f"{file} 516 10/uV 16 0 {row[0]} {int(row.sum(dtype=np.int64)) % 65536} 0 {name}")
    (folder / "night.hea").write_text("\n".join(lines) + "\n")


def whole(path):
    """All channels at once, by MNE or wfdb."""
    if path.suffix == ".hea":
        import wfdb

        wfdb.rdrecord(str(path.with_suffix("")))
        return
    import mne

    mne.io.read_raw(path, verbose="ERROR").get_data()


def each(path):
    """One channel after the other, by MNE or wfdb."""
    if path.suffix == ".hea":
        import wfdb

        for index in range(CHANNELS):
            wfdb.rdrecord(str(path.with_suffix("")), channels=[index])
        return
    import mne

    raw = mne.io.read_raw(path, verbose="ERROR")
    for index in range(CHANNELS):
        raw.get_data(picks=[index])


def ours(path):
    """One channel after the other, by the package."""
    from physiokeras.pipelines.readers.records import read_header, read_signal

    header = read_header(path)
    for index in range(CHANNELS):
        read_signal(header, index)


def convert(path):
    """The whole conversion: filter, resample, scale, windows, shard."""
    from physiokeras.pipelines.converting.conversion import convert_record
    from physiokeras.pipelines.definitions.definition import Definition

    channels = [f"C{number}" for number in range(CHANNELS)]
    eeg = {"rate": 100, "unit": "uV", "bandpass": [0.3, 35.0], "channels": channels}
    with tempfile.TemporaryDirectory() as out:
        (Path(out) / "records").mkdir()
        convert_record(path, Definition.from_dict({"name": "bench", "modalities": {"eeg": eeg}}), {}, out)


RUNS = {"whole": whole, "each": each, "ours": ours, "convert": convert}


def main():
    """Write the files, run all cases, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are kept; default: a temporary folder")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        # Their imports are no part of the time.
        import wfdb  # noqa: F401
        from mne.io import read_raw  # noqa: F401

        name, path = arguments.run
        start = time.process_time()
        RUNS[name](Path(path))
        # getrusage counts the memory of the process that started this one too.
        print(
            time.process_time() - start,
            int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024,
        )
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not all((folder / name).exists() for name in FILES):
            write(folder, arguments.hours)
        print(f"{arguments.hours:g} h, {CHANNELS} channels at {RATE} Hz, median of {arguments.repeats} runs")
        for name in FILES:
            for run in RUNS:
                command = [sys.executable, __file__, "--run", run, str(folder / name)]
                texts = [subprocess.run(command, check=True, capture_output=True, text=True).stdout
                         for _ in range(arguments.repeats)]  # fmt: skip
                rows = sorted([float(number) for number in text.split()] for text in texts)
                seconds, memory = rows[len(rows) // 2][0], max(row[1] for row in rows)
                print(f"{name:14} {run:8} {seconds:6.2f} s  {memory:6.0f} MB peak", flush=True)


if __name__ == "__main__":
    main()
