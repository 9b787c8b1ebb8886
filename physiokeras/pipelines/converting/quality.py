"""The quality of a conversion: classes by split, modalities present, amplitudes, notes, as lines of a page."""

import numpy as np

from physiokeras.markdown import markdown_table
from physiokeras.pipelines.converting.coverage import shortfalls, source_rows
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.definitions.parts import NUMBER_KINDS, SPLITS
from physiokeras.pipelines.prepared.notes import kinds_of_notes, uneven_splits, without_labels
from physiokeras.wording import counted

_SHOWN = 20


def summary(manifest):
    """The numbers of a prepared folder that `page` and the figure show.

    Args:
        manifest: `Manifest`.

    Returns: dict of `classes` (label -> split -> class -> windows), `present` (modality -> share) and `amplitudes`
        (modality -> `(values,)`).
    """
    return {
        "classes": {name: class_counts(manifest, name) for name in labelled(manifest)},
        "present": {name: present(manifest, name) for name in manifest.modalities},
        "amplitudes": {name: amplitudes(manifest, name) for name in manifest.modalities},
    }


def page(manifest, classes, present, amplitudes):
    """Lines of the page."""
    yield from _size(manifest)
    yield "## Windows by split\n"
    yield markdown_table([("split", "people", "records", "windows", "hours"), *_splits(manifest)]) + "\n"
    split = Definition.from_dict(manifest.definition).split
    warnings = (*uneven_splits(manifest.records, split), *without_labels(manifest))
    yield from (f"Warning: {line}.\n" for line in warnings)
    for name, counts in classes.items():
        yield f"## Windows by {name}\n"
        names = list(dict.fromkeys(key for split in counts.values() for key in split))
        rows = [(split, *(count.get(name, 0) for name in names)) for split, count in counts.items()]
        yield markdown_table([("split", *names), *rows]) + "\n"
    yield "## Modalities\n"
    yield "Over records: interquartile range after filtering, median and 5th to 95th percentile of its channels.\n"
    rows = [
        (name, f"{present[name]:.1%}", _unit(manifest, name), *_spread(amplitudes[name]), len(amplitudes[name]))
        for name in manifest.modalities
    ]
    yield markdown_table([("modality", "windows present", "unit", "IQR", "5 % to 95 %", "channels"), *rows]) + "\n"
    yield "## Channels\n"
    yield "Where each comes from; a name that is not its own is an alias or a derivation of the definition.\n"
    head = ("modality", "channel", "from", "records", "which")
    yield markdown_table([head, *source_rows(manifest.records)]) + "\n"
    yield from _lacking(manifest)
    yield "## What was noted\n"
    yield markdown_table([("note", "channels", "for example"), *kinds_of_notes(manifest.records)[:_SHOWN]]) + "\n"
    yield "## Records set aside\n"
    rows = [(entry["record"], entry["reason"]) for entry in manifest.set_aside]
    yield markdown_table([("record", "why"), *rows]) + "\n"


def _size(manifest):
    """The page's first lines: how much of what was converted."""
    records = manifest.records
    windows, hours = sum(r.windows for r in records), sum(r.seconds for r in records) / 3600
    people, size = len({r.person for r in records}), sum(r.bytes for r in records) / 1e9
    yield f"# Conversion of {manifest.definition['name']}\n"
    yield f"{manifest.definition.get('description', '')}\n"
    yield f"{counted(len(records), 'record')} of {counted(people, 'person')}, {hours:.1f} h,"
    yield f"{counted(windows, 'window')} of {manifest.definition['window']:g} s, {size:.2f} GB;"
    yield f"{counted(len(manifest.set_aside), 'record')} set aside."
    yield f"Data hash {manifest.data_hash[:16]}; {', '.join(f'{k} {v}' for k, v in manifest.versions.items())}.\n"
    if records:
        yield "![Windows by class, modalities present, amplitudes](report.png)\n"


def _lacking(manifest):
    """Sections on what records, and the whole data set, lack of the definition."""
    lines = list(shortfalls(manifest.records, Definition.from_dict(manifest.definition)))
    if lines:
        yield "## What some records lack\n"
        yield "\n".join(f"- {line}" for line in lines) + "\n"
    if manifest.problems:
        yield "## What the whole data set lacks\n"
        yield "\n".join(f"- {problem}" for problem in manifest.problems) + "\n"


def labelled(manifest):
    """Names of the labels that have classes."""
    return [name for name, label in manifest.labels.items() if label["kind"] not in NUMBER_KINDS]


def class_counts(manifest, name):
    """Split -> class -> windows, "none" last."""
    classes = manifest.labels[name]["classes"] or ["negative", "positive"]
    counts = {}
    for record in manifest.records:
        split = counts.setdefault(record.split, dict.fromkeys([*classes, "none"], 0))
        for number, windows in record.labels[name].items():
            split[classes[int(number)] if int(number) >= 0 else "none"] += windows
    return dict(sorted(counts.items(), key=lambda item: SPLITS.index(item[0])))


def present(manifest, modality):
    """Share of all windows in which any channel of the modality is usable."""
    windows = sum(record.windows for record in manifest.records)
    return sum(record.present[modality] for record in manifest.records) / windows if windows else 0.0


def amplitudes(manifest, modality):
    """Interquartile range of every channel of a modality in every record that has it: `(values,)` in its unit."""
    found = [c for record in manifest.records for c in record.channels if c["modality"] == modality]
    return np.array([channel["iqr"] for channel in found if "iqr" in channel and channel["present"]])


def _splits(manifest):
    for split, windows in sorted(manifest.splits.items(), key=lambda item: SPLITS.index(item[0])):
        records = [record for record in manifest.records if record.split == split]
        hours = sum(record.seconds for record in records) / 3600
        yield split, len({record.person for record in records}), len(records), windows, f"{hours:.1f}"


def _spread(values):
    if not len(values):
        return "-", "-"
    low, middle, high = np.percentile(values, (5, 50, 95))
    return f"{middle:.3g}", f"{low:.3g} to {high:.3g}"


def _unit(manifest, modality):
    return manifest.definition["modalities"][modality].get("unit", "as recorded")
