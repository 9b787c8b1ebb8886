#!/usr/bin/env python3
"""Fuzz ingestion: mutated files must raise `DataError` or be read, within limits of time and memory.

    python tools/fuzz_ingestion.py --seconds 600 --seed 1

Each kind starts from a good file of a small record: `.hea`, `.arousal`, `-arousal.mat`, `.edf`, a hypnogram in EDF+,
a recording in EDF+D with a gap, BDF, BrainVision (header, marks, samples), FIF, FIF of annotations, EEGLAB, GDF,
Nihon Kohden (samples, marks), a FLAC file and its header, a record of segments, its layout, a table of labels,
scores in NSRR's and Profusion's XML, in a table and in a list, as RemLogic exports them, files of an E4, with
`--only h5` HDF5 of the Dreem Open Datasets, splits in a table and in JSON, a shard, `manifest.json`, `age-sex.csv`,
`SHA256SUMS.txt`.
Bytes are changed, deleted or doubled, the file is truncated, or numbers alone are changed; child processes with limits
read it. Seed and number of a case reproduce it. The exit status is 1 if there is a finding.
"""

import argparse
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

SECONDS, MEMORY, BATCH = 10, 1 << 30, 25
"""Limits of one case, and cases a child reads."""


def main():
    """Fuzz for a time or for a number of cases; print each finding and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--cases", type=int, default=1 << 40, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="files whose names contain this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        targets = [(path, read) for path, read in prepare(Path(folder)) if arguments.only in path.name]
        # HDF5 is walked through in a process of its own, half a second a case: only where it is asked for.
        targets = [target for target in targets if arguments.only or target[0].suffix != ".h5"]
        for path, read in targets:
            read(path)  # loads here, once, what each child would load
        end, first, counts, found = time.monotonic() + arguments.seconds, 0, {}, 0
        while time.monotonic() < end and first < arguments.cases:
            for path, read in targets:
                found += batch(path, read, arguments.seed, first, counts)
            first += BATCH * len(targets)
    for name, (read, refused) in counts.items():
        print(f"{name:24} {read:7} read {refused:7} refused")
    print(f"{sum(map(sum, counts.values()))} cases, {found} findings, seed {arguments.seed}")
    return int(bool(found))


def prepare(folder):
    """Valid files, and the function that reads each of them."""
    from physiokeras.pipelines import Definition, Manifest, convert
    from physiokeras.pipelines.converting.checksums import read_checksums
    from physiokeras.pipelines.labels.challenge import read_targets
    from physiokeras.pipelines.labels.window_labels import read_labels, read_people
    from physiokeras.pipelines.people.label_tables import read_tables
    from physiokeras.pipelines.prepared.shards import check_lengths, read_shard
    from physiokeras.pipelines.readers import dreem
    from physiokeras.pipelines.readers.records import read_header, read_signal
    from physiokeras.pipelines.simulation.simulator import simulate

    dreem._PATIENCE = SECONDS / 2
    source = simulate(folder / "source", 1, hours=1 / 12, progress=False)
    definition, edf = Definition.read("simulated"), Definition.read("sleep_edf")
    (header_path,) = source.glob("training/*/*.hea")
    frames = read_header(header_path).frames
    shards = convert(source, definition, folder / "out", progress=None)
    shard = shards.shard(header_path.stem)
    (source / "SHA256SUMS.txt").write_text("".join(f"{number:064x} a/file{number}\n" for number in range(9)))
    night, gapped, hypnogram = write_nights(folder / "edf")
    table = edf.to_dict()
    stage = {**table["labels"]["stage"], "file": "{record}.edf"}
    inside = Definition.from_dict({**table, "labels": {"stage": stage}})
    segments = write_segments(folder / "segments")
    others = write_others(folder / "others")

    def record(path):
        header = read_header(path)
        for index in range(len(header.signals)):
            read_signal(header, index, strict=False)

    def labels(path, definition):
        read_labels(read_header(path), definition, {})

    stage = replace(edf.labels["stage"], prefix="", mapping={"Comment/W": "W"})

    def scored(path):
        """Samples and scores of a recording that has them inside, or in a file of annotations beside it."""
        path = path.with_name(OTHERS[path.name])
        record(path)
        file = "r-annot.fif" if path.suffix == ".fif" else path.name
        labels(path, replace(edf, labels={} if path.suffix == ".gdf" else {"stage": replace(stage, file=file)}))

    return [
        *((others / name, scored) for name in OTHERS),
        (header_path, record),
        (header_path.with_suffix(".arousal"), lambda _: labels(header_path, definition)),
        (header_path.with_name(f"{header_path.stem}-arousal.mat"), lambda path: read_targets(path, frames)),
        (night, record),
        (hypnogram, lambda _: labels(night, edf)),
        (gapped, lambda _: (record(gapped), labels(gapped, inside))),
        (shard, lambda path: (check_lengths(path), list(read_shard(path)))),
        (folder / "out" / "manifest.json", lambda path: Manifest.read(path.parent)),
        (source / "age-sex.csv", lambda _: read_people(source, definition)),
        (segments / "flac.hea", record),
        (segments / "flac.dat", lambda path: record(path.with_suffix(".hea"))),
        (segments / "whole.hea", record),
        (segments / "layout.hea", lambda path: record(path.with_name("whole.hea"))),
        (segments / "table.csv", lambda path: read_tables(path.parent, with_table(definition), ["flac", "whole"])),
        *wrist_targets(folder / "wrist", record),
        (write_dreem(folder / "dreem.h5"), lambda path: (record(path), dreem.read_dreem_scores(path))),
        (source / "SHA256SUMS.txt", lambda _: read_checksums(source)),
        *score_targets(header_path, night, definition, labels),
        *split_targets(folder / "splits", definition),
    ]


def write_nights(folder):
    """Write a recording in EDF, one in EDF+D with a gap and scores inside, and a hypnogram in EDF+."""
    import edfio

    folder.mkdir()
    known = edfio.Recording(startdate=date(2020, 1, 1))  # or scores at times of day are refused whatever they say
    night, gapped, hypnogram = (folder / f"{name}.edf" for name in ("SC4001E0-PSG", "gapped", "SC4001EC-Hypnogram"))
    values = np.random.default_rng(0).normal(0, 30, 12_000).clip(-99, 99)
    options = {"label": "EEG Fpz-Cz", "physical_dimension": "uV", "physical_range": (-100, 100)}
    edfio.Edf([edfio.EdfSignal(values, 100, **options)], recording=known).write(night)
    marks = [edfio.EdfAnnotation(30 * number, None, f"Sleep stage {stage}") for number, stage in enumerate("W12R")]
    edfio.Edf([edfio.EdfSignal(values, 100, **options)], annotations=marks, data_record_duration=1).write(gapped)
    # Data records from the 100th on begin 10 s late.
    data = gapped.read_bytes().replace(b"EDF+C", b"EDF+D", 1)
    for second in range(119, 99, -1):
        data = data.replace(f"+{second}\x14\x14".encode(), f"+{second + 10}\x14\x14".encode(), 1)
    gapped.write_bytes(data)
    marks = [edfio.EdfAnnotation(30 * number, 30, f"Sleep stage {stage}") for number, stage in enumerate("W12R")]
    edfio.Edf([], annotations=marks).write(hypnogram)
    return night, gapped, hypnogram


def score_targets(record, night, definition, labels):
    """Write scores of the simulated record in XML and as a list, and of the night as a table of clock times."""
    from physiokeras.pipelines.definitions.parts import Label

    events = "".join(
        f"<ScoredEvent><EventType>{kind}</EventType><EventConcept>{text}</EventConcept><Start>{begin}</Start>"
        f"<Duration>30</Duration></ScoredEvent>\n"
        for kind, text, begin in [("Stages|Stages", "Wake|0", 0), ("Stages|Stages", "Stage 2 sleep|2", 30.0),
                                  ("Respiratory|Respiratory", "Hypopnea|Hypopnea", 41.5)]
    )  # fmt: skip
    files = {
        "nsrr.xml": '<?xml version="1.0" encoding="UTF-8"?>\n<PSGAnnotation><EpochLength>30</EpochLength><ScoredEvents>'
        "<ScoredEvent><EventConcept>Recording Start Time</EventConcept><Duration>120</Duration><ClockTime>"
        f"00.00.00 22.00.00</ClockTime></ScoredEvent>{events}</ScoredEvents></PSGAnnotation>",
        "profusion.xml": "<CMPStudyConfig><EpochLength>30</EpochLength><ScoredEvents><ScoredEvent><Name>Hypopnea</Name>"
        "<Start>12.5</Start><Duration>11</Duration></ScoredEvent></ScoredEvents><SleepStages>"
        + "".join(f"<SleepStage>{stage}</SleepStage>" for stage in (0, 1, 2, 5))
        + "</SleepStages></CMPStudyConfig>",
        "scores.csv": "onset,end,stage\n12:00:10 AM,12:00:40 AM,W\n12:00:40 AM,12:01:10 AM,N2\n",
        "hypnogram.txt": "0\n1\n2\n5\n",
        "remlogic.txt": "RemLogic Event Export\n\nSleep Stage\tTime [hh:mm:ss]\tEvent\tDuration[s]\tLocation\n"
        "W\t00:00:30\tSLEEP-S0\t30\tC4-A1\nS2\t00.01.00\tMCAP-A1\t7\tC4-A1\n",
    }

    def reader(path, file):
        def read(_):
            times = {"column": "Event", "times": "clock"} if file == "remlogic.txt" else {}
            prefix = "SLEEP-" if times else ""
            stages = Label("stage", "stages", file=file, classes=("W", "N1", "N2", "N3", "R"), prefix=prefix, **times)
            apneas = Label("apnea", "events", file=file, events=("*",), **times)
            labels(path, replace(definition, labels={"stage": stages, "apnea": apneas}))

        return read

    for name, text in files.items():
        path = night if name in ("scores.csv", "remlogic.txt") else record
        path.with_name(name).write_text(text)
        yield path.with_name(name), reader(path, name)


def wrist_targets(folder, record):
    """Write an export of an E4."""
    folder.mkdir()
    for name, (rate, columns) in {"ACC": (32, 3), "BVP": (64, 1), "EDA": (4, 1)}.items():
        values = np.random.default_rng(rate).integers(-64, 64, (rate * 20, columns))
        rows = [["1495437325.000000"] * columns, [f"{rate}.000000"] * columns, *values.tolist()]
        (folder / f"{name}.csv").write_text("".join(", ".join(map(str, row)) + "\n" for row in rows))
    for name in ("ACC.csv", "EDA.csv"):
        yield folder / name, lambda path: record(path.parent)


def write_dreem(path):
    """Write two channels and a hypnogram in HDF5."""
    import h5py

    with h5py.File(path, "w") as file:
        for group, name in (("eeg", "C3_M2"), ("emg", "ECG")):
            made = file.create_group(f"signals/{group}")
            made.attrs["fs"], made.attrs["unit"] = 250, "uV"
            made.create_dataset(name, data=np.arange(3000, dtype=np.float32), compression="gzip")
        file["hypnogram"] = [0, 4]
    return path


def split_targets(folder, definition):
    """Write published splits."""
    from physiokeras.pipelines.definitions.parts import Split
    from physiokeras.pipelines.people.published_splits import read_split

    folder.mkdir()
    (folder / "split.csv").write_text("person,split\np1,train\np2,test\n")
    (folder / "split.json").write_text('{"train": ["p1"], "test": ["p2", "p3"]}')
    own = replace(definition, person=None)
    for name in ("split.csv", "split.json"):
        split = replace(own, split=Split(file=name))
        yield folder / name, lambda path, split=split: read_split(path.parent, split, ["p1", "p2"], [])


def write_segments(folder):
    """Write a FLAC record, a record of segments with a gap, and a table of both."""
    import soundfile

    folder.mkdir()
    values = np.random.default_rng(0).integers(-999, 999, (2000, 2)).astype(np.int16)
    soundfile.write(folder / "flac.dat", values, 1000, "PCM_16", format="FLAC")
    lines = [
        f"flac.dat 516 200/mV 16 0 {x[0]} {x.sum() % 65536} 0 {name}\n" for x, name in zip(values.T, "ab", strict=True)
    ]
    (folder / "flac.hea").write_text(f"flac 2 100 2000\n{''.join(lines)}")
    (folder / "layout.hea").write_text("layout 2 100 0\n~ 0 200/mV 16 0 0 0 0 a\n~ 0 200/mV 16 0 0 0 0 b\n")
    (folder / "whole.hea").write_text("whole/3 2 100 3000\nlayout 0\n~ 1000\nflac 2000\n")
    (folder / "table.csv").write_text("record,task,dose\nflac,rest,1\nwhole,sums,2.5\n")
    return folder


OTHERS = {name: name for name in ("r.bdf", "r.vhdr", "r_raw.fif", "r.set", "r.gdf")}
OTHERS |= dict.fromkeys(("n.EEG", "n.LOG"), "n.EEG")
OTHERS |= {"r.vmrk": "r.vhdr", "r.eeg": "r.vhdr", "r-annot.fif": "r_raw.fif"}
"""Files that `write_others` writes -> the one that names the recording."""


def write_others(folder):
    """Write one recording of two minutes in BDF, BrainVision, FIF, EEGLAB and GDF, and one of Nihon Kohden."""
    import edfio

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import mne_files

    folder.mkdir()
    mne_files.write_brainvision(folder, "r", marks=[(1, 7500, "W")])
    mne_files.write_eeglab(folder, "r", marks=[(1, 7500, "W")])
    mne_files.write_gdf(folder, "r")
    counts = np.random.default_rng(0).integers(-300, 300, (7500, 2))
    mne_files.write_nihon(folder, counts, 250, {4: "C3", 5: "C4"}, marks=[("000000", "W")], name="n")
    raw = mne_files.make_raw(marks=[(0, 30, "W")])
    raw.save(folder / "r_raw.fif", verbose="ERROR")
    raw.annotations.save(folder / "r-annot.fif")
    values = mne_files.digital()[0].astype(float)
    signal = edfio.BdfSignal(values, mne_files.RATE, label="Fp1", physical_dimension="uV", physical_range=(-3e3, 3e3))
    edfio.Bdf([signal], annotations=[edfio.EdfAnnotation(0, 30, "W")]).write(folder / "r.bdf")
    return folder


def with_table(definition):
    """A definition with a class and a number from a table, without a table of people."""
    from physiokeras.pipelines.definitions.parts import Label

    labels = {"task": Label("task", "class", table="table.csv"), "dose": Label("dose", "number", table="table.csv")}
    return replace(definition, labels=labels, people=None)


def batch(path, read, seed, first, counts):
    """Read `BATCH` mutations of a file in a child process; return the number of findings."""
    good, read_end, write_end = path.read_bytes(), *os.pipe()
    child = os.fork()
    if not child:
        os.close(read_end)
        os._exit(cases(path, read, good, seed, first, write_end))
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        outcomes = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else None
    path.write_bytes(good)
    read_count, refused = counts.get(path.name, (0, 0))
    counts[path.name] = (read_count + outcomes.count("r"), refused + outcomes.count("d"))
    if status:
        case = first + len(outcomes)
        why = "hangs" if status == -signal.SIGALRM else f"ends the process with {status}"
        print(f"{path.name}: case {case} of seed {seed}: {why}", flush=True)
        return 1
    return outcomes.count("x")


def cases(path, read, good, seed, first, out):
    """In a child process: write one letter per case to the pipe: r read, d refused, x anything else."""
    from physiokeras.errors import DataError

    resource.setrlimit(resource.RLIMIT_AS, (used() + MEMORY, used() + MEMORY))
    for case in range(first, first + BATCH):
        path.write_bytes(mutated(good, np.random.default_rng([seed, case])))
        signal.alarm(SECONDS)
        letter = b"r"
        try:
            read(path)
        except DataError:
            letter = b"d"
        except BaseException:
            letter = b"x"
            print(f"{path.name}: case {case} of seed {seed}:\n{traceback.format_exc()[-1500:]}", flush=True)
        signal.alarm(0)
        os.write(out, letter)
    return 0


def used():
    """Address space of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def mutated(good, random):
    """A file with one to eight mutations: bytes changed (half in the first 2 KB), pieces deleted or doubled.

    In one of four cases, numbers alone are changed, so that texts such as XML stay well-formed.
    """
    data = bytearray(good)
    if random.random() < 0.25:
        for _ in range(random.integers(1, 4)):
            places = [match.span() for match in re.finditer(rb"\d+", data[:4096])]
            if places:
                begin, end = places[random.integers(len(places))]
                data[begin:end] = random.choice([b"-1", b"nan", b"1e9", b"", b"0", b"9" * 12, b"0.5", b"31", b"7:00"])
        return bytes(data)
    for _ in range(random.integers(1, 9)):
        size = max(1, len(data))
        place = int(random.integers(min(size, 2048) if random.random() < 0.5 else size))
        kind = random.random()
        if kind < 0.7:
            data[place : place + 1] = bytes([random.integers(256)])
        elif kind < 0.8:
            data[place : place + 1] = random.choice(
                [b"-", b"9" * 20, b"\0", b"\xff\xff\xff\xff", b"1e999", b"/", b"\n"]
            )
        elif kind < 0.87:
            del data[place : place + int(random.integers(1, 64))]
        elif kind < 0.94:
            data[place:place] = data[place : place + int(random.integers(1, 64))]
        else:
            del data[place:]
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main())
