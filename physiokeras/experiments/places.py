"""Checks of the folders that a command is given, before anything is read or imported."""

import difflib
import json
import os
from dataclasses import fields
from pathlib import Path

HOLDS = ("prepared", "recordings", "readable", "model", "run", "results")
"""What a place can hold: shards that `prepare` wrote, recordings, either of them or one recording, a run with a model,
a run, or results to come."""

_DEEPEST = 3
_MODEL = "metadata.json"


def check(settings):
    """Refuse settings that name a folder which does not exist, or which holds something else.

    Args:
        settings: Instance of a settings dataclass; the `holds` of its fields says what a folder must hold. Addresses
            with "://" and presets are not looked at.

    Raises:
        ValueError: The message names the flag and the folder, and says what the folder holds instead.
    """
    for item in fields(settings):
        holds, value = item.metadata.get("holds"), getattr(settings, item.name)
        if holds is None or value is None:
            continue
        for place in (value,) if isinstance(value, str) else value:
            if "://" in place:
                written = holds == "results" and not getattr(settings, "verify", False)
                complaint = "results are written to local folders. Give one, and copy it there." if written else None
            elif holds == "model" and _is_preset(place):
                complaint = None
            else:
                complaint = _complaint(Path(place), holds)
            if complaint:
                raise ValueError(f"--{item.name.replace('_', '-')} {place}: {complaint}")


def _is_preset(name):
    from physiokeras.experiments.saved_models import preset_names

    return name in preset_names() and not Path(name).exists()


def _complaint(path, holds):
    """A sentence on a folder that does not hold what it must; None where it does."""
    if holds == "results":
        return "this is a file. Give a folder." if path.is_file() else None
    if not path.exists():
        preset = ", and no preset of that name" if holds == "model" else ""
        return f"there is no such {'file or ' if path.suffix else ''}folder{preset}.{_similar(path)}"
    if holds == "recordings":
        return _no_recordings(path)
    if holds == "readable":
        return _nothing_to_read(path)
    if path.is_file():
        return f"this is a file. Give its folder, {path.parent}."
    if holds == "prepared":
        return _not_prepared(path)
    has_model = (path / _MODEL).is_file() or any(path.glob(f"model*/{_MODEL}"))
    if holds == "model" and has_model:
        return None
    if not (path / "settings.toml").is_file() and not any(path.glob(f"model*/{_MODEL}")):
        return f"this is no folder of a run. {_what(path)}"
    return without_model(path) if holds == "model" else None


def without_model(path):
    """A sentence on a run's folder that holds no model: why, and what to do.

    Args:
        path: Folder with a `settings.toml` or `run.json`.

    Returns: text.
    """
    if (path / "cells").is_dir():
        cells = sorted({found.parents[1] for found in path.glob(f"cells/*/model*/{_MODEL}")})
        if cells:
            return f"this is a comparison. Give one of its cells with a model, such as {cells[0]}."
        return f"this is a comparison of which no cell has a model yet. Finish it: compare --resume {path}."
    if (path / "cell.json").is_file():
        return "this cell of a comparison has no encoder: its probes read other features. Give another cell."
    facts = _facts(path)
    if facts.get("recipe") == "probe":
        if "scores" not in facts:
            return "its probing has not ended. Repeat `probe` with another --out."
        return (
            "its probes were fitted for each person in turn and are not kept, since the data have no people in the "
            "splits train and test. For a probe that can be used: give the definition a [split], with test = 0.2 or "
            "the names of test people, prepare the data again, and repeat `probe`."
        )
    return f"this run has no model (yet). Finish it: the same command with --resume {path}."


def _facts(path):
    """The content of a run's `run.json`; nothing where it cannot be read."""
    try:
        found = json.loads((path / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _not_prepared(path):
    if (path / "manifest.json").is_file():
        return None
    if (path / "prepared" / "manifest.json").is_file():
        return f"the prepared data are in its subfolder. Give {path / 'prepared'}."
    if (path / "records").is_dir():
        return "its conversion has not ended. Run `prepare` again to finish it."
    return f"this is no folder that `prepare` wrote. {_what(path)}"


def _nothing_to_read(path):
    if path.is_dir() and not any(path.iterdir()):
        return "the folder is empty."
    return None


def _no_recordings(path):
    if path.is_dir() and (path / "manifest.json").is_file():
        return (
            "this is prepared data. Give the folder of the recordings, from which `prepare` made it; "
            f"{path / 'report.md'} says what the prepared folder holds."
        )
    return None  # which files are recordings, the definition says


def _what(path):
    """A sentence on what a folder holds."""
    if (path / "manifest.json").is_file():
        return "It holds prepared data, which commands take as --data."
    if (path / "metadata.json").is_file():
        return f"It holds a model alone. Give the folder of its run, {path.resolve().parent}."
    if (path / "settings.toml").is_file():
        return "It holds a run."
    if _has_recordings(path):
        return "It holds recordings. Convert them: physiokeras prepare --dataset DEFINITION --source THIS --out DATA."
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    return f"It holds {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}." if names else "It is empty."


def _has_recordings(path):
    from physiokeras.pipelines.converting.record_list import SUFFIXES  # slow to import, and for a message alone

    for folder, folders, files in os.walk(path):
        if any(name.lower().endswith(SUFFIXES) for name in files):
            return True
        if len(Path(folder).relative_to(path).parts) >= _DEEPEST:
            folders.clear()
    return False


def _similar(path):
    """A sentence on an existing folder of a similar name, or on the first folder above that is missing."""
    parent = path.parent
    while not parent.exists():
        path, parent = parent, parent.parent
    close = difflib.get_close_matches(path.name, os.listdir(parent), 1)
    return f" Did you mean {parent / close[0]}?" if close else f" {parent.resolve()} has no {path.name}."
