"""Checks of the folders that a command is given, before anything is read or imported."""

import difflib
import os
from dataclasses import fields
from pathlib import Path

HOLDS = ("prepared", "recordings", "model", "run", "results")
"""What a folder can hold: shards that `prepare` wrote, recordings, a run with a model, a run, or results to come."""

_RECORDINGS = (".hea", ".edf", ".bdf", ".vhdr", ".fif", ".set", ".gdf")
_DEEPEST = 3


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
        return f"there is no such {'file or ' if path.suffix else ''}folder.{_similar(path)}"
    if holds == "recordings":
        return _no_recordings(path)
    if path.is_file():
        return f"this is a file. Give its folder, {path.parent}."
    if holds == "prepared":
        return _not_prepared(path)
    if holds == "model" and (path / "metadata.json").is_file():
        return None
    if not (path / "settings.toml").is_file() and not (path / "model" / "metadata.json").is_file():
        return f"this is no folder of a run. {_what(path)}"
    if holds == "model" and (path / "cells").is_dir():
        cells = sorted(cell.name for cell in (path / "cells").iterdir())
        return f"this is a comparison. Give one of its cells, such as {path / 'cells' / (cells[:1] or [''])[0]}."
    if holds == "model" and not (path / "model" / "metadata.json").is_file():
        return f"this run has no model (yet). Let it end: the same command with --resume {path}."
    return None


def _not_prepared(path):
    if (path / "manifest.json").is_file():
        return None
    if (path / "prepared" / "manifest.json").is_file():
        return f"the prepared data are in its subfolder. Give {path / 'prepared'}."
    if (path / "records").is_dir():
        return "its conversion has not ended. Give the command `prepare` once more to finish it."
    return f"this is no folder that `prepare` wrote. {_what(path)}"


def _no_recordings(path):
    if path.is_dir() and (path / "manifest.json").is_file():
        return "this is prepared data. Give the folder of the recordings, from which `prepare` made it."
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
    for folder, folders, files in os.walk(path):
        if any(name.lower().endswith(_RECORDINGS) for name in files):
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
