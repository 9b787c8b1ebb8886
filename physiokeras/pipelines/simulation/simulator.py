"""Simulated polysomnograms as WFDB records in the layout of the PhysioNet/CinC Challenge 2018."""

import json
import os
import shutil
import sys
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physiokeras.files import locked, write_atomic
from physiokeras.pipelines.converting import pool
from physiokeras.pipelines.labels.challenge import Event
from physiokeras.pipelines.simulation.body import ecg, emg, respiration, saturation
from physiokeras.pipelines.simulation.brain import eeg, eog
from physiokeras.pipelines.simulation.challenge_files import (
    CHANNELS,
    RATE,
    SignalWriter,
    write_annotations,
    write_vectors,
)
from physiokeras.pipelines.simulation.physiology import GRID, simulate_night
from physiokeras.pipelines.simulation.signals import BLOCK
from physiokeras.pipelines.simulation.sleep import draw_person, generator
from physiokeras.seeds import derive

VERSION = 2
"""Increased whenever the same settings give other files."""

_STARTED = ".simulating.json"

COMMENT = "Simulated by physiokeras. No person was recorded, and nothing here supports a clinical claim."

MODALITIES = {"eeg": eeg, "eog": eog, "emg": emg, "respiration": respiration, "saturation": saturation, "ecg": ecg}
"""Generator of each modality, in the order of the record's channels."""


@dataclass(frozen=True)
class Record:
    """Parameters of one record; the record is a pure function of them."""

    name: str
    seed: int
    epochs: int
    labelled: bool
    coupled: bool


def simulate(
    folder: str | os.PathLike,
    people: int = 48,
    unlabelled: int = 0,
    hours: float = 1 / 3,
    *,
    seed: int = 0,
    workers: int = 1,
    coupled: bool = True,
    progress: bool = True,
) -> Path:
    """Write a simulated cohort. No person was recorded; the data support no clinical claim.

    One latent night drives all 13 channels of a person, so that modalities carry information about each other. The
    model includes:

    - a hypnogram from stage-transition rates; a short record contains a compressed night of at least two cycles and,
      from 20 minutes on, all stages; scored epochs contain pieces of neighbouring stages;
    - EEG at six electrodes with slow waves, theta, alpha, spindles, K complexes and vertex waves;
    - blinks, slow and rapid eye movements, which leak into frontal EEG; chin tone;
    - heart beats, whose rate depends on stage, breathing, arousals and apneas;
    - chest, abdomen and airflow with apneas, hypopneas and respiratory-effort arousals, which lower saturation with a
      delay and end in arousals of brain, muscle and heart;
    - effects of age on slow waves, spindles, deep sleep and heart-rate variability; differences between people;
    - movements, electrode pops, mains, lost and disconnected sensors.

    Strengths of effects are invented.

    Each labelled person is `training/tr*`, with `.arousal` and `-arousal.mat`; the others are `test/te*`. The first
    epochs (2 %, at least one) are unscored. Files depend only on the settings, not on `workers`. The same call finishes
    an interrupted run; `simulation.json` is written last.

    Args:
        folder: Output folder; new, empty, or from a run with the same settings.
        people: Number of labelled people.
        unlabelled: Number of people without labels.
        hours: Length of each record, at least 1/12, in whole 30 s epochs.
        seed: Seed of all random numbers.
        workers: Number of processes.
        coupled: False draws an independent person and night for each modality and rotates its hypnogram by a random
            amount. The marginals stay the same, but modalities carry no information about each other. Labels, age and
            sex are then those of the EEG's night.
        progress: Whether to show progress on stderr.

    Returns: `Path` of the folder.

    Raises:
        ValueError: A setting is out of range, or the folder holds other files.
    """
    folder = Path(folder)
    settings = _settings(people, unlabelled, hours, seed, coupled)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", wait=True):
        if _claim(folder, settings):
            records = _records(settings)
            for part in ("training", "test"):
                (folder / part).mkdir(exist_ok=True)
            todo = [record for record in records if not (folder / _place(record)).is_dir()]
            _run(folder, todo, workers, len(records), progress)
            _write_lists(folder, records)
            write_atomic(folder / "simulation.json", (json.dumps(settings, indent=2) + "\n").encode())
            (folder / _STARTED).unlink(missing_ok=True)
    return folder


def _settings(people, unlabelled, hours, seed, coupled):
    if people < 0 or unlabelled < 0 or people + unlabelled == 0:
        raise ValueError(
            f"`people` and `unlabelled` must be counts, not both 0. Received: people={people}, unlabelled={unlabelled}."
        )
    if not 1 / 12 <= hours <= 24:
        raise ValueError(f"`hours` must lie in [1/12, 24]. Received: hours={hours}.")
    return {
        "simulator": VERSION,
        "people": int(people),
        "unlabelled": int(unlabelled),
        "epochs": round(hours * 120),
        "seed": int(seed),
        "coupled": bool(coupled),
    }


def _claim(folder, settings):
    """Whether there is work to do; raises an error if the folder holds other files."""
    for name, work in (("simulation.json", False), (_STARTED, True)):
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            if found == settings:
                return work
            different = sorted(key for key in {*found, *settings} if found.get(key) != settings.get(key))
            raise ValueError(
                f"{folder} holds a simulation with other settings; choose another folder or delete this one. "
                + "; ".join(f"{key}: there {found.get(key)}, asked {settings.get(key)}" for key in different)
            )
    if any(path.name != ".lock" for path in folder.iterdir()):
        raise ValueError(f"{folder} must be new or empty: it holds files but no simulation.json.")
    write_atomic(folder / _STARTED, json.dumps(settings).encode())
    return True


def _records(settings):
    def record(prefix, index):
        name = f"{prefix}{3 + index % 12:02d}-{5 * index + 5:04d}"
        return Record(name, derive(settings["seed"], name), settings["epochs"], prefix == "tr", settings["coupled"])

    labelled = [record("tr", index) for index in range(settings["people"])]
    return labelled + [record("te", index) for index in range(settings["unlabelled"])]


def _place(record):
    return f"{'training' if record.labelled else 'test'}/{record.name}"


def _run(folder, records, workers, total, progress):
    done = total - len(records)
    if workers <= 1 or len(records) <= 1:
        for record in records:
            write_record(folder, record)
            done += 1
            _report(done, total, progress)
        return
    with pool.processes(min(workers, len(records))) as executor:
        for future in as_completed([pool.submit(executor, write_record, folder, record) for record in records]):
            future.result()
            done += 1
            _report(done, total, progress)


def _report(done, total, progress):
    terminal = sys.stderr.isatty()
    # A log gets at most ten lines; a terminal gets one line that is overwritten.
    if progress and (terminal or done * 10 // total > (done - 1) * 10 // total):
        line = f"simulating polysomnograms {done}/{total}"
        print(
            f"\r{line}" if terminal else line,
            end="" if terminal and done < total else "\n",
            file=sys.stderr,
            flush=True,
        )


def write_record(folder, record):
    """Write one record; its folder appears once all files are complete.

    Args:
        folder: The cohort's folder, with `training` and `test`.
        record: The `Record`.
    """
    final = Path(folder) / _place(record)
    temporary = Path(folder) / f".{record.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    nights = _nights(record)
    frames = record.epochs * 30 * RATE
    writer = SignalWriter(temporary, record.name, frames, COMMENT)
    signals = [draw(nights[name], derive(record.seed, name)) for name, draw in MODALITIES.items()]
    flat = _disconnected(record)
    for number, parts in enumerate(zip(*signals, strict=True)):
        block = np.concatenate(parts)
        start = number * BLOCK * RATE // GRID
        for channel, begin, end in flat:
            block[channel, max(0, begin - start) : max(0, end - start)] = 0
        writer.append(block)
    writer.close()
    if record.labelled:
        stages, events = _labels(nights["eeg"])
        write_annotations(temporary, record.name, stages, events)
        write_vectors(temporary, record.name, stages, events, frames)
    os.rename(temporary, final)


def _nights(record):
    if record.coupled:
        night = simulate_night(record.seed, draw_person(record.seed), record.epochs)
        return dict.fromkeys(MODALITIES, night)
    nights = {}
    for name in MODALITIES:
        seed = derive(record.seed, "night", name)
        turn = generator(seed, "turn").random()
        nights[name] = simulate_night(seed, draw_person(seed), record.epochs, turn)
    return nights


def _labels(night):
    """Scored stages, and events as sample numbers from 1, without those that begin in the unscored first epochs."""
    stages = night.stages.copy()
    first = max(1, len(stages) // 50)
    stages[:first] = -1
    scored = [event for event in night.events if event[1] > 30 * first]
    return stages, [Event(kind, round(begin * RATE) + 1, round(end * RATE)) for kind, begin, end in scored]


def _disconnected(record):
    """`(channel, begin, end)` in samples of sensor failures: sometimes for minutes, rarely for the whole night."""
    rng, frames, flat = generator(record.seed, "disconnected"), record.epochs * 30 * RATE, []
    for channel in range(len(CHANNELS)):
        kind, begin, length = rng.random(), rng.random(), rng.uniform(0.02, 0.15)
        if kind < 0.015:
            flat.append((channel, 0, frames))
        elif kind < 0.045:
            flat.append((channel, int(begin * frames), int((begin + length) * frames)))
    return flat


def _write_lists(folder, records):
    rows = ["Record,Sex,Age"]
    for record in sorted(records, key=lambda record: record.name):
        seed = record.seed if record.coupled else derive(record.seed, "night", "eeg")
        person = draw_person(seed)
        rows.append(f"{record.name},{person.sex},{person.age}")
    write_atomic(folder / "age-sex.csv", ("\n".join(rows) + "\n").encode())
    places = "".join(f"{_place(record)}/{record.name}\n" for record in records)
    write_atomic(folder / "RECORDS", places.encode())
