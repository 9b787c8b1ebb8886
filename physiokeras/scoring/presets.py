"""The models that the package ships, in words: each a folder of the layout of a run, below `physiokeras/presets`."""

import json

from physiokeras.experiments import saved_models
from physiokeras.pipelines.definitions.definition import Definition


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


def channel_lines(definition):
    """Lines of text on what a definition reads, one a modality: rate, unit and band of its scaled values, channels.

    Args:
        definition: `Definition`.
    """
    for name, modality in definition.modalities.items():
        band = "{:g} to {:g} Hz".format(*modality.bandpass) if modality.bandpass else "without filter"
        channels = ", ".join(channel.name for channel in modality.channels)
        yield f"{name}: {modality.rate:g} Hz, {modality.unit or 'any unit'}, {band}: {channels}"


def channels():
    """What each preset reads: dict of its name to the lines of `channel_lines`; read without Keras."""
    found = {}
    for name in saved_models.preset_names():
        facts = json.loads((saved_models.PRESETS / name / "model" / "metadata.json").read_text(encoding="utf-8"))
        found[name] = list(channel_lines(Definition.from_dict(facts["definition"])))
    return found
