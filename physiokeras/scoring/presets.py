"""Models that the package ships: each a folder of the layout of a run, below `physiokeras/presets`."""

import json
from pathlib import Path

from physiokeras.errors import DataError

FOLDER = Path(__file__).parents[1] / "presets"


def names():
    """Sorted names of the shipped models."""
    return sorted(path.parents[1].name for path in FOLDER.glob("*/model/metadata.json"))


def find(name):
    """Folder of a model: a path that exists, else a shipped preset of that name.

    Args:
        name: Path of a run or a model, or a preset's name.

    Returns: `Path`.

    Raises:
        DataError: Neither; the message lists the presets.
    """
    path, text = Path(name), str(name)
    if path.exists():
        return path
    if text in names():
        return FOLDER / text
    presets = f"Presets: {', '.join(names())}" if names() else "This version ships no presets"
    message = (
        f"no such folder, and no preset of that name. {presets}; or give the folder of a run, such as runs/pretrain-1."
    )
    raise DataError(message, file=text)


def table():
    """Rows of a table of the presets, the first its header; read without Keras.

    The licence is that of `metadata.json`, key `license`, else the package's own.
    """
    rows = [("name", "MB", "modalities", "window", "tasks", "data", "licence")]
    for name in names():
        folder = FOLDER / name
        facts = json.loads((folder / "model" / "metadata.json").read_text(encoding="utf-8"))
        definition = facts.get("definition", {})
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        tasks = [path.stem for path in sorted(folder.glob("probes/*.npz"))]
        tasks = tasks or [table["name"] for table in facts.get("tasks", ())]
        row = (name, f"{size / 1e6:.1f}", ", ".join(facts["modalities"]), f"{definition.get('window', 0):g} s")
        rows.append((*row, ", ".join(tasks) or "none", definition.get("name", "-"), facts.get("license", "Apache-2.0")))
    return rows
