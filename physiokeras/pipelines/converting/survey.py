"""What a conversion will read and write, from headers and file sizes alone."""

import contextlib
import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.coverage import channel_lines, channel_sources
from physiokeras.pipelines.converting.sources import source_files
from physiokeras.pipelines.definitions.montage import find_sources
from physiokeras.pipelines.readers.records import read_header
from physiokeras.pipelines.signals.channels import absence, channel_windows, refuse_strange
from physiokeras.wording import counted

_NAMED = 20
"""Channels of files, not asked for, that are named."""

_PROBE = 600.0
"""Seconds of noise on which the speed is measured."""

_REST = 1.3
"""Time of a conversion relative to that of its channels alone: reading, hashing, labels, writing. Measured."""

_PROCESS, _PER_SAMPLE, _OVERHEAD = 120e6, 16, 400
"""Bytes of a worker at rest, per sample of the longest channel while it is filtered, and of a window beside samples."""


@dataclass(frozen=True)
class Found:
    """One record before its conversion.

    Attributes:
        path: Its header.
        bytes: Those of its files.
        seconds: Its length.
        error: Why it cannot be read, or None.
        channels: A dict of `channel`, `modality`, `source` and `notes` for each channel of the definition.
        unused: Names of its other signals.
    """

    path: Path
    bytes: int = 0
    seconds: float = 0.0
    error: str | None = None
    channels: tuple = ()
    unused: tuple = ()

    @property
    def name(self) -> str:
        """The record's name."""
        return self.path.stem


def survey(paths, definition):
    """A `Found` for each header; no samples are read."""
    return [_found(path, definition) for path in paths]


def _found(path, definition):
    try:
        header = read_header(path)
        sources = find_sources(header, definition)
        refuse_strange(header, definition, sources)
        if definition.windows(header.seconds) < 1:
            raise DataError(f"lasts {header.seconds:g} s, less than a window of {definition.window:g} s.", file=path)
        size = sum(file.stat().st_size for file in source_files(path, definition))
        used = {index for source in sources.values() for index in source.signals}
        unused = tuple(signal.name for index, signal in enumerate(header.signals) if index not in used)
        return Found(path, size, header.seconds, channels=tuple(_channels(sources, definition)), unused=unused)
    except Exception as error:  # the conversion of this record reports it; the others must not end with it
        return Found(path, error=str(error))


def _channels(sources, definition):
    for modality in definition.modalities.values():
        for channel in modality.channels:
            source = sources[channel.name]
            notes = [absence(source)] if source.absent else []
            yield {"channel": channel.name, "modality": modality.name, "source": source.text, "notes": notes}


def window_bytes(definition):
    """Bytes of one stored window, about."""
    names = definition.modalities.values()
    return 2 * sum(definition.samples(modality.name) * len(modality.channels) for modality in names) + _OVERHEAD


def worker_bytes(found, definition):
    """Memory of a worker on the longest record, about."""
    good = [entry for entry in found if not entry.error]
    if not good:
        return _PROCESS
    longest = max(good, key=lambda entry: entry.seconds)
    fastest = max(signal.rate for signal in read_header(longest.path).signals)
    stored = definition.windows(longest.seconds) * window_bytes(definition)
    return _PROCESS + stored + _PER_SAMPLE * longest.seconds * fastest


def seconds_per_hour(found, definition):
    """Seconds of one core for an hour of recording, measured here on noise at the first good record's rates."""
    good = next((entry for entry in found if not entry.error), None)
    if good is None:
        return 0.0
    header, total = read_header(good.path), 0.0
    random, sources = np.random.default_rng(0), find_sources(header, definition)
    for modality in definition.modalities.values():
        places = [sources[channel.name].signals for channel in modality.channels]
        rates = [header.signals[own[0]].rate for own in places if own]
        if rates:
            out = np.zeros((definition.windows(_PROBE) or 1, definition.samples(modality.name)), np.int16)
            noise = random.normal(modality.offset, 1, round(max(_PROBE, definition.window) * rates[0]))
            noise = noise.astype(np.float32)
            start = time.perf_counter()
            with contextlib.suppress(DataError):  # such as a band above the rate: the record will be set aside
                channel_windows(noise, rates[0], modality, definition.window, out)
            total += len(rates) * (time.perf_counter() - start)
    return total * 3600 / max(_PROBE, definition.window) * _REST


def describe(found, done, definition, out, workers):
    """Lines for a person on what a conversion would read, write and need.

    Args:
        found: list of `Found`, all records.
        done: Set of the paths that are converted already.
        definition: `Definition`.
        out: The prepared folder; need not exist.
        workers: Processes.
    """
    todo = [entry for entry in found if entry.path not in done and not entry.error]
    hours, size = sum(entry.seconds for entry in todo) / 3600, sum(entry.bytes for entry in todo)
    windows = sum(definition.windows(entry.seconds) for entry in todo)
    existing = next(folder for folder in (Path(out).absolute(), *Path(out).absolute().parents) if folder.exists())
    free, memory = shutil.disk_usage(existing).free, worker_bytes(todo, definition)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    total = hours * seconds_per_hour(todo, definition) / max(1, min(workers, cores, len(todo)))
    yield f"{definition.name}: {counted(len(found), 'record')}, {len(done)} converted already."
    yield f"Would read {counted(len(todo), 'record')}: {hours:.1f} h in {size / 1e9:.2f} GB."
    disk = windows * window_bytes(definition)
    short = "" if disk < free else " THAT IS NOT ENOUGH."
    size = f"about {disk / 1e9:.2f} GB of shards; {free / 1e9:.0f} GB are free.{short}"
    yield f"Would write {counted(windows, 'window')}: {size}"
    yield f"Memory: about {memory / 1e6:.0f} MB a worker, {workers * memory / 1e6:.0f} MB for {workers}."
    by = counted(workers, "worker")
    yield f"Time: about {duration(total)} with {by}, as measured here on noise; slow disks add to it."
    good = [entry for entry in found if not entry.error]
    for line in channel_lines(good):
        yield f"{line}."
    lacking = [name for (_, name), sources in channel_sources(good).items() if set(sources) == {None}]
    if lacking:
        yield f"No record has: {', '.join(lacking)}. See `alias` and `montage`."
    unused = Counter(name for entry in good for name in entry.unused).most_common()
    if unused:
        rest = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
        yield "Not asked for: " + ", ".join(f"{name} ({count})" for name, count in unused[:_NAMED]) + f"{rest}."
    for entry in found:
        if entry.error:
            yield f"Would be set aside: {entry.path.stem}: {entry.error}"


def duration(seconds):
    """Seconds in words: "40 s", "12 min", "3.5 h"."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
