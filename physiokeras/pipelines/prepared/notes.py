"""Summary of a conversion's notes: notes that differ only in numbers or the record's name count as one kind."""

import json
import re
from collections import Counter

from physiokeras.pipelines.people.split import named
from physiokeras.pipelines.readers.units import plain_name
from physiokeras.pipelines.signals.channels import ABSENT, is_absent
from physiokeras.wording import counted, first_few


def kinds_of_notes(records):
    """Kinds of notes on records and their channels, most frequent first.

    Args:
        records: The manifest's dicts.

    Returns: list of (text, how many, one example with its record).
    """
    counts, examples = Counter(), {}
    for record in records:
        notes = [(channel["channel"], note) for channel in record.channels for note in channel["notes"]]
        named = re.compile(rf"{re.escape(record.name)}( \(in memory\))?: ")
        for channel, note in notes + [("", note[match.end() :] if (match := named.match(note)) else note)
                                      for note in record.notes]:  # fmt: skip
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
    problems += _mixed_units(records, definition)
    for name, label in definition.labels.items():
        counts = [record.labels.get(name, {}) for record in records if record.split != "pretrain"]
        if any(counts) and not any(key != "-1" and count for found in counts for key, count in found.items()):
            problems.append(f"no window has a label of [labels.{name}], of kind {label.kind}; see the notes")
        events = [found.get("1") for found in counts] if label.kind == "events" else [True]
        if any(counts) and not any(events):
            problems.append(f"no window has an event of [labels.{name}], events = {list(label.events)}; see the notes")
    shares = {name: getattr(definition.split, name) for name in ("test", "validation")}
    splits = {record.split for record in records}
    lines += [f"nobody falls into the split {name}, a share of {share:g}. Take another `seed`, or list its people"
              for name, share in shares.items() if share and name not in splits and "train" in splits]  # fmt: skip
    return problems, lines


def _mixed_units(records, definition):
    """Lines on channels whose unit differs from record to record, where nothing converts or rescales it."""
    raw = [
        name for name, modality in definition.modalities.items() if not modality.unit and modality.scale == "physical"
    ]
    units = {}
    for record in records:
        for channel in record.channels:
            if channel["modality"] in raw and channel.get("unit"):
                found = units.setdefault((channel["modality"], channel["channel"]), {})
                found.setdefault(plain_name(channel["unit"]), record.name)
    for (modality, name), found in units.items():
        if len(found) > 1:
            several = ", ".join(f"{unit} in {record}" for unit, record in found.items())
            yield f"the channel {name} has several units, {several}. Give [modalities.{modality}] a `unit`"


def without_labels(manifest):
    """Lines on splits in which no window has a label that others have: nothing can be trained or tested on it there.

    Args:
        manifest: `Manifest`.
    """
    people, known = {}, {name: set() for name in manifest.labels}
    for record in manifest.records:
        if record.split != "pretrain":
            people.setdefault(record.split, {})[record.person] = True
            for name, splits in known.items():
                splits |= {record.split} if manifest.value_counts(record, name) else set()
    for name, splits in known.items():
        for split in (split for split in people if splits and split not in splits):
            persons = first_few(list(people[split]))
            yield (
                f"no window of the split {split} has the label {name}; its people: {persons}. Name "
                f"recordings without labels in `[split] pretrain`, or list people: `{split} = [...]`"
            )


def uneven_splits(records, split):
    """Lines on splits drawn by shares that have one person, or less than half or more than twice their share.

    Args:
        records: The manifest's dicts.
        split: `Split` of the definition.
    """
    persons = {record.person: record.split for record in records if record.split != "pretrain"}
    for patterns in (split.people or {}).values():
        for person in named(patterns, list(persons)):
            del persons[person]
    if split.column or split.file or not split.test + split.validation:
        return
    drawn, example = Counter(persons.values()), json.dumps(next(iter(persons), ""), ensure_ascii=False)
    shares = {"train": 1 - split.test - split.validation, "validation": split.validation, "test": split.test}
    for name, share in shares.items():
        wanted, found = share * len(persons), drawn[name]
        if share and found == 1 and wanted <= 2:
            people = f"the split {name} has 1 of {counted(len(persons), 'person')}: one person says little of others"
            yield f"{people}. List more people (`{name} = [{example}, ...]`)"
        elif share and found and not wanted / 2 <= found <= wanted * 2:
            yield (
                f"the split {name} has {found} of {counted(len(persons), 'person')}, a share of {share:g} would be "
                f"{wanted:.3g}. List people (`{name} = [{example}, ...]`), or take another `seed`"
            )
