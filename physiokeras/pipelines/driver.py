"""Converts a whole data set: each record on its own, by several processes, over several runs if need be."""

import contextlib
import errno
import json
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import locked, remove_temporaries
from physiokeras.pipelines import pool
from physiokeras.pipelines.channels import ABSENT
from physiokeras.pipelines.conversion import conversion_key, convert_record, unchanged, write_sidecar
from physiokeras.pipelines.definition import Definition
from physiokeras.pipelines.labels import read_people
from physiokeras.pipelines.manifest import FILE, Manifest, combine
from physiokeras.pipelines.records import find_records
from physiokeras.pipelines.split import assign_splits

_SHOWN = 10
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def convert(source, definition, out, *, workers=1, shard_index=0, num_shards=1, strict=True, progress=print):
    """Convert a data set into a prepared folder; a rerun converts only what is missing, failed or changed.

    Each record becomes one shard and one sidecar, both written whole or not at all, and the same bytes whatever the
    number of workers. A record that breaks a rule is set aside with its reason; the others are converted.

    Args:
        source: The data set's folder.
        definition: `Definition`, a shipped name, or the path of a TOML file.
        out: The prepared folder; made if missing.
        workers: Processes. Above 1 the calling script needs `if __name__ == "__main__":`.
        shard_index: Which part of the records this run converts, where several machines share the work.
        num_shards: Into how many parts the records are divided. Whichever run finds all parts done writes the manifest.
        strict: Whether a record whose checksum or initial value is wrong is set aside; else it gets a note.
        progress: Function that is given each line of progress, or None.

    Returns: the `Manifest`; None where other parts are not done yet.

    Raises:
        DataError: No records; another process converts into the folder; it holds another data set.
        OSError: The folder takes no more files; what is converted stays, and a rerun goes on from there.
    """
    if not 0 <= shard_index < num_shards:
        raise ValueError(f"`shard_index` must lie in [0, num_shards). Received: {shard_index} of {num_shards}.")
    if not isinstance(definition, Definition):
        definition = Definition.read(definition)
    out, say = Path(out), progress or (lambda line: None)
    headers = find_records(source, definition)
    people = read_people(source, definition)
    (out / "records").mkdir(parents=True, exist_ok=True)
    with _hold(out, shard_index, num_shards):
        _refuse_other(out, definition)
        jobs = [path for path in headers[shard_index::num_shards] if not _done(path, definition, people, out)]
        say(f"{definition.name}: {len(headers)} records, {len(jobs)} to convert by {workers} worker(s).")
        _convert_all(jobs, definition, people, out, workers, strict, say)
        with locked(out / ".lock-manifest", wait=True):
            return _write_manifest(headers, definition, people, out, say)


def _convert_all(jobs, definition, people, out, workers, strict, say):
    start = time.monotonic()
    arguments = [(path, definition, people, out, strict) for path in jobs]
    for done, (number, outcome) in enumerate(pool.run(_convert_one, arguments, workers), 1):
        name = jobs[number].stem
        if isinstance(outcome, str):
            write_sidecar(out, {"record": name, "set_aside": outcome})
            outcome = f"set aside: {outcome}"
        else:
            outcome = f"{outcome['windows']} windows"
        left = (time.monotonic() - start) / done * (len(jobs) - done)
        say(f"[{done}/{len(jobs)}] {name}: {outcome}" + (f"; about {_duration(left)} left" if done < len(jobs) else ""))


def _convert_one(path, definition, people, out, strict):
    """In a worker: the record's sidecar, or why it was set aside. Only a folder that takes no files ends the run."""
    try:
        return convert_record(path, definition, people, out, strict=strict)
    except DataError as error:
        return str(error)
    except OSError as error:
        if error.errno in _UNWRITABLE:
            raise
        return f"{path}: {error}"
    except Exception as error:
        return f"{path}: unexpected {type(error).__name__}: {error}"


def _done(path, definition, people, out):
    """Whether a record's shard is there, whole, and made from these files by this definition and code."""
    sidecar = _sidecar(out, path.stem)
    if not sidecar or "set_aside" in sidecar or sidecar.get("key") != conversion_key(path.stem, definition, people):
        return False
    shard = out / "records" / f"{path.stem}.tfrecord"
    return shard.is_file() and shard.stat().st_size == sidecar["bytes"] and unchanged(sidecar, path, definition)


def _sidecar(out, name):
    with contextlib.suppress(OSError, ValueError):
        return json.loads((out / "records" / f"{name}.json").read_bytes())
    return None


def _write_manifest(headers, definition, people, out, say):
    names = [path.stem for path in headers]
    sidecars = [_sidecar(out, name) for name in names]
    missing = [name for name, sidecar in zip(names, sidecars, strict=True) if sidecar is None]
    if missing:
        say(f"The manifest waits for {len(missing)} records of other parts, {missing[0]} among them.")
        return None
    persons = {name: definition.person_of(name) for name in names}
    manifest = combine(out, definition, sidecars, persons, assign_splits(definition, persons), _versions())
    manifest.write()
    windows = sum(record["windows"] for record in manifest.records)
    splits = ", ".join(f"{name} {count}" for name, count in manifest.splits.items())
    say(f"{len(manifest.records)} records, {windows} windows ({splits}) in {out}.")
    noted = [
        (record["name"], channel)
        for record in manifest.records
        for channel in record["channels"]
        if channel["notes"] and channel["notes"] != [ABSENT]
    ]
    for name, channel in noted[:_SHOWN]:
        say(f"Note: {name}: {channel['channel']}: {'; '.join(channel['notes'])}")
    if len(noted) > _SHOWN:
        say(f"Notes on {len(noted) - _SHOWN} more channels are in {FILE}.")
    for entry in manifest.set_aside:
        say(f"Set aside: {entry['record']}: {entry['reason']}")
    return manifest


@contextlib.contextmanager
def _hold(out, shard_index, num_shards):
    """Keep other converters out of the folder; parts of one conversion let each other in, but not their like."""
    with locked(out / ".lock", shared=num_shards > 1):
        if num_shards == 1:
            remove_temporaries(out / "records")
            yield
        else:
            with locked(out / f".lock-{shard_index}-of-{num_shards}"):
                yield


def _refuse_other(out, definition):
    if not (out / FILE).exists():
        return
    name = Manifest.read(out).definition.get("name")
    if name != definition.name:
        raise DataError(f"holds the data set {name!r}; give another folder for {definition.name!r}.", file=out)


def _versions():
    result = {}
    for package in ("physiokeras", "numpy", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            result[package] = version(package)
    return result


def _duration(seconds):
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
