"""The folder of a run, and the conditions under which the run is resumed.

Files of a run folder: `settings.toml`, `run.json` (versions, hashes, scores), `metrics.csv`, `checkpoints/`, `model/`,
`probes/`, `scores.md`, `report.html` and `figures/`; `cells/` of a comparison; `source/` and `prepared/` of a simulated
cohort.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import shlex
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import physiokeras
from physiokeras import interruption
from physiokeras.errors import DataError
from physiokeras.experiments.settings import from_toml, of_role, to_toml
from physiokeras.files import locked, remove_temporaries, write_atomic
from physiokeras.html_report import write_run
from physiokeras.pipelines.prepared.devices import has_tensorflow

LOCK = ".lock"
"""The file by which a process holds the folder."""

FREE = ("invocation", "place", "execution", "extent")
"""Roles of settings that may differ when a run is resumed."""

OF_BACKEND = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib"), "torch": ("torch",)}
"""Packages on which the results of one backend depend; what reads the data gives all of them the same batches."""

PACKAGES = ("physiokeras", "keras", *sum(OF_BACKEND.values(), ()), "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """A run of a command, whose folder this process holds.

    Args:
        folder: Where its results go.
        recipe: The command's name, such as "pretrain".
    """

    folder: Path
    recipe: str

    @property
    def resume_command(self) -> str:
        """The command that resumes this run."""
        return f"physiokeras {self.recipe} --resume {shlex.quote(str(self.folder))}"

    def note(self, **values: Any) -> None:
        """Add values, such as final scores, to the run's `run.json`.

        Args:
            **values: Numbers, texts, and lists, arrays and dicts of them; NaN becomes null.
        """
        path = self.folder / "run.json"
        write_atomic(path, to_json({**json.loads(path.read_text(encoding="utf-8")), **values}))

    def locked(self) -> AbstractContextManager:
        """A context in which no other process writes into the folder of a shared run; it waits for the others."""
        return _lock_in_turn(self.folder)


@contextlib.contextmanager
def _lock_in_turn(folder):
    """A context that holds a folder; it says where it waits for another process."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCK))
        except DataError:
            print(f"Waits for another process that uses {folder}.", flush=True)
            held.enter_context(locked(folder / LOCK, wait=True))
        yield


@contextlib.contextmanager
def start(settings, *, recipe, data_hash=None, resume=False, free=(), shared=False):
    """Make or reopen the folder of a run and lock it while the run lasts.

    The folder gets `settings.toml`, from which `--config` repeats the run, and `run.json`: command, versions, data,
    backend, seed, machine.

    Args:
        settings: The command's settings; `settings.out` names the folder, by default a new `runs/RECIPE-NUMBER`, and
            `settings.accept`, if any, what else may differ when resuming, as the message of a refusal calls it.
        recipe: The command's name, such as "pretrain".
        data_hash: The prepared data's hash, from its manifest; None where a run reads no data.
        resume: Go on with the run that the folder holds, if any, which must have the same settings, data, backend and
            code.
        free: Roles of settings that may differ when resuming, besides `FREE`.
        shared: Whether processes with the same command may run on the folder at once. Each holds it while it begins and
            ends, and in between as long as `Run.locked` says.

    A run that fails before it makes anything else leaves no `run.json`, so that the folder can be used again.

    Yields: `Run`.

    Raises:
        SystemExit: The folder cannot be written, is in use, holds another run, or holds one that differs from what is
            to be resumed; the message shows the difference.
    """
    folder = _make(settings.out, recipe)
    may_differ = {*of_role(settings, *FREE, *free), *getattr(settings, "accept", ())}
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as beginning:
        try:
            if shared:
                beginning.enter_context(_lock_in_turn(folder))
            else:
                stack.enter_context(locked(folder / LOCK))
            remove_temporaries(folder)
            if (folder / "run.json").exists():
                refuse_taken(settings, resume)
                then = _check(folder, settings, data_hash, may_differ)
                _write_settings(folder, settings, recipe)
                now = describe(settings, recipe, data_hash)
                write_atomic(folder / "run.json", to_json({**then, "resumed": [*then.get("resumed", []), now]}))
            else:
                _write_settings(folder, settings, recipe)
                # Written last: a folder without it holds no run, so that an interrupted start can be repeated.
                write_atomic(folder / "run.json", to_json(describe(settings, recipe, data_hash)))
        except (OSError, DataError) as error:
            raise SystemExit(f"{folder}: cannot be used for this run: {error}") from error
        beginning.close()
        run = Run(folder, recipe)
        if hasattr(settings, "resume"):
            stack.enter_context(interruption.explained(folder, f"Go on with: {run.resume_command}"))
        stack.enter_context(_free_unless_written(folder))
        yield run
        with run.locked() if shared else contextlib.nullcontext():
            write_run(folder)


def refuse_taken(settings, resume=False):
    """Refuse a folder that cannot take a run's results; to be called before anything that takes time.

    Args:
        settings: The command's settings; without `out` the run gets a new folder.
        resume: Whether the run that the folder holds, if any, goes on.

    Raises:
        SystemExit: The folder holds a run that is not to be resumed, or prepared data, or nothing can be written there.
    """
    if settings.out is None:
        return
    folder = Path(settings.out)
    if (folder / "run.json").exists() and not resume:
        raise SystemExit(f"{folder}: holds another run already{_kind_of_run(folder)}. {_way_out(folder, settings)}")
    if (folder / "manifest.json").exists():
        raise SystemExit(f"{folder}: holds prepared data. Choose another folder with --out for the results.")
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not there.is_dir():
        raise SystemExit(f"{there}: no folder for the run's results there: Not a directory. Choose one with --out.")
    if not os.access(there, os.W_OK):
        raise SystemExit(f"{there}: no folder for the run's results there: Permission denied. Choose one with --out.")


def _kind_of_run(folder):
    """Words on the run that a folder holds."""
    try:
        facts = json.loads((folder / "run.json").read_bytes())
        ended = "finished" if "scores" in facts or "verdict" in facts else "not finished"
        return f" ({facts['recipe']}, begun {facts['started'][:16].replace('T', ' ')} UTC, {ended})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _way_out(folder, settings):
    if hasattr(settings, "resume"):
        return f"Choose another folder with --out, or go on with --resume {shlex.quote(str(folder))}."
    return "Choose another folder with --out."


@contextlib.contextmanager
def _free_unless_written(folder):
    """Context: an error before the first file is written leaves the folder free for another run."""
    before = set(folder.iterdir())
    try:
        yield
    except (Exception, SystemExit) as error:
        # Signals, whose exit code is a number, leave the run to be resumed.
        refused = not (isinstance(error, SystemExit) and isinstance(error.code, int))
        ours = {folder / name for name in ("run.json", "settings.toml", LOCK)}
        if refused and before <= ours and set(folder.iterdir()) <= ours:
            (folder / "run.json").unlink(missing_ok=True)
        raise


def describe(settings, recipe, data_hash=None):
    """Command, versions, data, backend, seed and machine of a run, as a dict for `run.json`."""
    return {
        "recipe": recipe,
        "command": _command(recipe),
        "backend": settings.backend,
        "seed": settings.seed,
        "data_hash": data_hash,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code(),
        "versions": versions(),
        "reader": "tf.data" if has_tensorflow() else "numpy",
        "machine": {"system": platform.platform(), "architecture": platform.machine(), "cores": _cores()},
    }


def versions():
    """Dict of package name to version: Python, and the installed packages that could change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def code():
    """SHA-256 of this package's modules; a version does not change with every edit."""
    root, total = Path(physiokeras.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _make(out, recipe):
    try:
        if out is not None:
            Path(out).mkdir(parents=True, exist_ok=True)
            return Path(out)
        number = 1
        while True:
            folder = Path("runs") / f"{recipe}-{number}"
            try:
                folder.mkdir(parents=True)
                return folder
            except FileExistsError:
                number += 1
    except OSError as error:
        raise SystemExit(f"{error.filename}: no folder for the run's results there: {error.strerror}.") from error


def _write_settings(folder, settings, recipe):
    path = folder / "settings.toml"
    command = f"physiokeras {recipe} --config {shlex.quote(str(path))} --out NEW_FOLDER"
    write_atomic(path, to_toml(settings, note=f"Repeat this run:\n{command}").encode())


def _check(folder, settings, data_hash, may_differ):
    """The content of `run.json` of the run that the folder holds.

    Raises:
        SystemExit: It differs from a run of these settings in more than `may_differ`.
    """
    try:
        then = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        earlier = type(settings)(**from_toml(type(settings), folder / "settings.toml"))
        before = _made_by(earlier, then, settings.backend)
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{folder}: its run cannot be resumed: {error}") from error
    now = made_now(settings, data_hash)
    changed = [name for name in now if before.get(name) != now[name] and name not in may_differ]
    if changed:
        shown = [f"  {name}: {before.get(name)!r} then, {now[name]!r} now" for name in changed]
        accept = f"To resume it nevertheless, with other results than it would have had: --accept {' '.join(changed)}"
        lines = [f"{folder}: its run has other settings, data, code or versions and cannot be resumed:", *shown, accept]
        raise SystemExit("\n".join(lines))
    return then


def made_now(settings, data_hash):
    """Dict of everything that a run of these settings depends on here and now."""
    return _made_by(settings, {"data_hash": data_hash, "code": code(), "versions": versions()}, settings.backend)


def _made_by(settings, facts, backend):
    """Dict of everything that a run depends on: settings, data, code, versions but those of other backends."""
    values = {item.name: getattr(settings, item.name) for item in fields(settings)}
    others = {name for one, names in OF_BACKEND.items() if one != backend for name in names}
    versions = {name: version for name, version in facts["versions"].items() if name not in others}
    return {**values, "data_hash": facts["data_hash"], "code": facts["code"], **versions}


def _command(recipe):
    return shlex.join(["physiokeras", recipe, *sys.argv[1:]])


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def to_json(value):
    """Bytes of a JSON file: numbers and arrays of NumPy as Python's, NaN as null."""
    return (json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _plain(value):
    """`value` as JSON can hold it; NaN, which other readers of JSON refuse, becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
