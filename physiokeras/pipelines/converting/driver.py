"""Converts a whole data set: each record on its own, by several processes, over several runs if need be."""

import contextlib
import functools
import os
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from physiokeras.errors import DataError
from physiokeras.files import locked, part_locked, remove_temporaries, write_csv
from physiokeras.pipelines.converting import pool
from physiokeras.pipelines.converting.checksums import FILE as SUMS
from physiokeras.pipelines.converting.conversion import convert_one, set_aside
from physiokeras.pipelines.converting.coverage import shortfalls
from physiokeras.pipelines.converting.progress import Progress
from physiokeras.pipelines.converting.record_list import left_out
from physiokeras.pipelines.converting.survey import describe, survey
from physiokeras.pipelines.converting.work import Work
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.people.split import assign_splits
from physiokeras.pipelines.prepared.combining import combine
from physiokeras.pipelines.prepared.manifest import FILE, Manifest
from physiokeras.pipelines.prepared.notes import kinds_of_notes, lacking, uneven_splits, without_labels
from physiokeras.pipelines.signals.channels import ABSENT
from physiokeras.wording import counted, first_few

SPLITS_FILE = "splits.csv"
"""File beside the manifest: whose split is which."""

_SHOWN, _LINES = 10, 30


def convert(
    source: Any,
    definition: Definition | str | os.PathLike,
    out: str | os.PathLike,
    *,
    workers: int = 1,
    shard_index: int = 0,
    num_shards: int = 1,
    strict: bool = True,
    engine: Callable | None = None,
    progress: Callable[[str], object] | None = print,
    wait: bool = False,
) -> Manifest | None:
    """Convert a data set into a prepared folder; a rerun converts only what is missing, failed or changed.

    Each record becomes one shard and one sidecar, both written whole or not at all, and the same bytes whatever the
    number of workers. A record that breaks a rule is set aside with its reason; the others are converted. Where the
    source has a `SHA256SUMS.txt`, each file must agree with it.

    Args:
        source: The data set's folder; or, in memory, a recording or a list of them: `mne.io.Raw`, or what
            `from_arrays` and `from_raw` return. Files that the definition names are not looked for then.
        definition: `Definition`, a shipped name, or the path of a TOML file.
        out: The prepared folder; made if missing.
        workers: Processes.
        shard_index: Which part of the records this run converts, where several machines share the work.
        num_shards: Into how many parts the records are divided. Whichever run finds all parts done writes the manifest.
        strict: Whether a record is set aside whose checksum, initial value or SHA-256 is wrong; else it gets a note.
        engine: What runs the conversions instead of processes here: a function of `(function, arguments)`, a list of
            tuples, such as `physiokeras.pipelines.beam.engine` makes. It may yield `(number, result)` as they come.
        progress: Function that is given each line of progress, or None: then a warning says if no record could be
            converted.
        wait: Wait for another process that converts into the folder, instead of refusing.

    Returns: the `Manifest`; None where other parts are not done yet.

    Raises:
        DataError: No records; another process converts into the folder; it holds another data set; the table of people
            differs from `SHA256SUMS.txt`.
        OSError: The folder takes no more files; what is converted stays, and a rerun goes on from there.
    """
    work = Work.of(source, definition, out, shard_index, num_shards, strict)
    say = progress or (lambda line: None)
    (work.out / "records").mkdir(parents=True, exist_ok=True)
    with part_locked(work.out, shard_index, num_shards, wait):
        remove_temporaries(work.out / "records", [path.stem for path in work.mine])
        _refuse_other(work.out, work.definition)
        found = [entry for entry in survey(work.mine, work.definition) if not work.done(entry.path)]
        by = "by an engine" if engine else f"by {counted(workers, 'worker')}"
        say(f"{work.definition.name}: {counted(len(work.headers), 'record')}, {len(found)} to convert {by}.")
        _say_names(work, say)
        lines = Progress(found, say)
        arguments = [work.arguments(entry.path) for entry in found]
        for number, outcome in (engine or functools.partial(pool.run, workers=workers))(convert_one, arguments) or ():
            if isinstance(outcome, str):
                path = found[number].path
                outcome = set_aside(work.out, path, outcome, work.key(path))
            reason = outcome.get("set_aside")
            lines.done(number, f"set aside: {reason}" if reason else counted(outcome["windows"], "window"))
        with locked(work.out / ".lock-manifest", wait=True):
            manifest = _write_manifest(work, say)
    if progress is None and manifest and not manifest.records:
        first = manifest.set_aside[0]
        what = f"no record could be converted. Set aside: {len(manifest.set_aside)}, the first {first['record']}"
        warnings.warn(f"{work.out}: {what}: {first['reason']}", stacklevel=2)
    return manifest


def plan(
    source: Any,
    definition: Definition | str | os.PathLike,
    out: str | os.PathLike,
    *,
    workers: int = 1,
    shard_index: int = 0,
    num_shards: int = 1,
    strict: bool = True,
) -> list[str]:
    """Describe what `convert` with the same arguments would read and write, and what it would need.

    Args:
        source: As for `convert`.
        definition: As for `convert`.
        out: As for `convert`; nothing is written there.
        workers: As for `convert`.
        shard_index: As for `convert`.
        num_shards: As for `convert`.
        strict: As for `convert`.

    Returns: lines of text.

    Raises:
        DataError: As for `convert`.
    """
    work = Work.of(source, definition, out, shard_index, num_shards, strict)
    done = {path for path in work.mine if work.done(path)}
    lines = list(describe(survey(work.mine, work.definition), done, work.definition, work.out, workers))
    _say_names(work, lines.append)
    return lines


def _say_names(work, say):
    """Report what names show: files that are left out, records that are refused, files that are missing."""
    for line in left_out(work.source, work.headers, work.definition) if work.source is not None else ():
        say(line)
    for line in work.notes:
        say(f"Note: {line}")
    for path, reason in work.refused.items():
        say(f"Set aside by its name: {path.stem}: {reason}")
    missing = work.missing()
    if missing:
        say(f"{SUMS} names {counted(len(missing), 'file')} not found here, {missing[0]} among them.")


def _people_of(before, definition):
    """Person -> split of a manifest that is there already, of the same `[split]`: nobody moves between two versions."""
    if before is None:
        return {}
    same = before.definition.get("split") == definition.to_dict()["split"]
    return {record.person: record.split for record in before.records} if same else {}


def _write_manifest(work, say):
    definition, out = work.definition, work.out
    names = [path.stem for path in work.headers]
    sidecars = [work.sidecar(path) for path in work.headers]
    missing = [name for name, sidecar in zip(names, sidecars, strict=True) if sidecar is None]
    if missing:
        say(f"The manifest waits for {counted(len(missing), 'record')} of other parts, {missing[0]} among them.")
        return None
    before = Manifest.read(out) if (out / FILE).exists() else None
    gone = sorted({record.name for record in before.records} - set(names)) if before else []
    if gone:
        say(f"No longer in the source, and left out of the manifest: {first_few(gone)}.")
    splits = assign_splits(definition, work.persons, kept=_people_of(before, definition))
    manifest = combine(out, definition, sidecars, work.persons, splits, _versions())
    manifest.write()
    # Others repeat the split with `[split] file`.
    by_person = sorted({person: splits[record] for record, person in work.persons.items()}.items())
    write_csv(out / SPLITS_FILE, [("person", "split"), *by_person])
    windows = sum(record.windows for record in manifest.records)
    say(f"{counted(len(manifest.records), 'record')}, {counted(windows, 'window')} in {out}: {_by_split(manifest)}.")
    kinds = [found for found in kinds_of_notes(manifest.records) if not found[0].startswith(ABSENT)]
    for _, count, example in kinds[:_SHOWN]:
        say(f"Note: {example}" + (f" ({count} such)" if count > 1 else ""))
    if len(kinds) > _SHOWN:
        say(f"Notes of {len(kinds) - _SHOWN} more kinds are in {FILE}.")
    for entry in manifest.set_aside:
        say(f"Set aside: {entry['record']}: {entry['reason']}")
    lines = list(shortfalls(manifest.records, definition))
    for line in lines[:_LINES]:
        say(f"{line}.")
    if len(lines) > _LINES:
        say(f"{len(lines) - _LINES} more lines of this kind are in report.md.")
    for line in (*lacking(manifest.records, definition)[1], *manifest.problems):
        say(f"In the whole data set: {line}.")
    for line in (*uneven_splits(manifest.records, definition.split), *without_labels(manifest)):
        say(f"Warning: {line}.")
    return manifest


def _by_split(manifest):
    """Windows and people of each split."""
    people = {name: {record.person for record in manifest.select(name)} for name in manifest.splits}
    found = manifest.splits.items()
    found = [f"{name} {counted(count, 'window')} of {counted(len(people[name]), 'person')}" for name, count in found]
    return ", ".join(found) or "none"


def _refuse_other(out, definition):
    if not (out / FILE).exists():
        return
    try:
        name = Manifest.read(out).definition.get("name")
    except DataError as error:
        way = "Remove it: it is then written anew, and no record is converted twice"
        raise DataError(f"is damaged, or of another version. {way}.", file=out / FILE) from error
    if name != definition.name:
        raise DataError(f"holds the data set {name!r}; give another folder for {definition.name!r}.", file=out)


def _versions():
    result = {}
    for package in ("physiokeras", "numpy", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            result[package] = version(package)
    return result
