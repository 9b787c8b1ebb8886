"""Summary of a conversion's notes: notes that differ only in numbers or the record's name count as one kind."""

import json
import re
from collections import Counter

from physiokeras.pipelines.signals.channels import ABSENT, is_absent


def kinds_of_notes(records):
    """Kinds of notes on records and their channels, most frequent first.

    Args:
        records: The manifest's dicts.

    Returns: list of (text, how many, one example with its record).
    """
    counts, examples = Counter(), {}
    for record in records:
        notes = [(channel["channel"], note) for channel in record.channels for note in channel["notes"]]
        for channel, note in notes + [("", note.removeprefix(f"{record.name}: ")) for note in record.notes]:
            kind = (
                note if note.startswith(ABSENT) else re.sub(r"-?\d[\d.e+-]*", "…", note.replace(record.name, "RECORD"))
            )
            counts[kind] += 1
            examples.setdefault(kind, f"{record.name}: {channel}: {note}" if channel else f"{record.name}: {note}")
    return [(kind, count, examples[kind]) for kind, count in counts.most_common()]


def copies(sidecars, people, splits):
    """Lines on records of the same signals under the names of several people.

    Equal counts, sums and sums of squares of all modalities tell, whatever headers and file names say.

    Args:
        sidecars: Those of converted records.
        people: Record name -> person.
        splits: Record name -> split.
    """
    records = {}
    for sidecar in sidecars:
        records.setdefault(json.dumps(sidecar["sums"]), []).append(sidecar["record"])
    for names in records.values():
        if len({people[name] for name in names}) > 1:
            where = ", ".join(f"{name} ({splits[name]})" for name in names)
            yield f"the same signals are of several people: {where}. Remove copies, or name one person in `same_person`"


def lacking(records, definition):
    """Channels and labels that no record of the data set has.

    Args:
        records: The manifest's dicts; at least one.
        definition: `Definition`.

    Returns: `(problems, lines)`: what spoils the data set, such as a modality or a label that nobody has; and what
        deserves a line alone, such as a channel that nobody has.
    """
    problems, lines = [], []
    if not records:
        return ["no record could be converted"], []
    found = {(c["channel"], is_absent(c)) for record in records for c in record.channels}
    absent = {name for name, lacks in found if lacks and (name, False) not in found}
    for name, modality in definition.modalities.items():
        channels = [channel for channel in modality.channels if channel.name in absent]
        wanted = ", ".join(name for channel in channels for name in definition.names_of(channel))
        if len(channels) == len(modality.channels):
            line = f"no record has a channel of [modalities.{name}]: looked for were {wanted}. See `alias`"
            (problems if modality.default else lines).append(line)
        elif channels:
            lines.append(f"no record has the channel {wanted} of [modalities.{name}]. See `alias`")
    for name, label in definition.labels.items():
        counts = [record.labels.get(name, {}) for record in records if record.split != "pretrain"]
        if any(counts) and not any(key != "-1" and count for found in counts for key, count in found.items()):
            problems.append(f"no window has a label of [labels.{name}], of kind {label.kind}; see the notes")
        events = [found.get("1") for found in counts] if label.kind == "events" else [True]
        if any(counts) and not any(events):
            problems.append(f"no window has an event of [labels.{name}], events = {list(label.events)}; see the notes")
    shares = {name: getattr(definition.split, name) for name in ("test", "validation")}
    splits = {record.split for record in records}
    lines += [f"nobody falls into the split {name}, a share of {share:g}. Take another `seed` or more people"
              for name, share in shares.items() if share and name not in splits and "train" in splits]  # fmt: skip
    return problems, lines
