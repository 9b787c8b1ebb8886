"""The table of the models that the package ships: each a folder of the layout of a run, below `physiokeras/presets`."""

import json

from physiokeras.experiments import saved_models


def table():
    """Rows of a table of the presets, the first its header; read without Keras.

    The licence is that of `metadata.json`, key `license`, else the package's own.
    """
    rows = [("name", "MB", "modalities", "window", "tasks", "data", "licence")]
    for name in saved_models.preset_names():
        folder = saved_models.PRESETS / name
        facts = json.loads((folder / "model" / "metadata.json").read_text(encoding="utf-8"))
        definition = facts.get("definition", {})
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        tasks = [path.stem for path in sorted(folder.glob("probes/*.npz"))]
        tasks = tasks or [table["name"] for table in facts.get("tasks", ())]
        row = (name, f"{size / 1e6:.1f}", ", ".join(facts["modalities"]), f"{definition.get('window', 0):g} s")
        rows.append((*row, ", ".join(tasks) or "none", definition.get("name", "-"), facts.get("license", "Apache-2.0")))
    return rows
