"""How much of its definition the records of a data set have, and the names of records that lack something."""

from physiokeras.pipelines.signals.channels import is_absent
from physiokeras.wording import counted, first_few


def channel_sources(records):
    """The source of each channel.

    Args:
        records: The manifest's.

    Returns: dict of `(modality, channel)` -> dict of source -> names of records; the source is None where the channel
        is missing.
    """
    found = {}
    for record in records:
        for channel in record.channels:
            sources = found.setdefault((channel["modality"], channel["channel"]), {})
            sources.setdefault(None if is_absent(channel) else channel["source"], []).append(record.name)
    return found


def source_rows(records):
    """Rows of a table: modality, channel, its source in words, number of records, their names."""
    for (modality, name), sources in channel_sources(records).items():
        for source, names in sorted(sources.items(), key=lambda item: -len(item[1])):
            yield modality, name, "missing" if source is None else source, len(names), first_few(names)


def channel_lines(records):
    """Lines on the channels that some records lack, or have under another name; what all lack, `notes.lacking` says.

    Args:
        records: Those of a manifest, or others with `name` and `channels`.
    """
    missing, unusable = {}, {}
    for (_, name), sources in channel_sources(records).items():
        if set(sources) == {None}:
            continue
        others = [(source, names) for source, names in sources.items() if source not in (None, name)]
        if others:
            ways = "; ".join(f"{source} in {how_many(names, records)}" for source, names in others)
            yield f"Channel {name} is taken from {ways}"
        if None in sources:
            missing.setdefault(tuple(sources[None]), []).append(name)
        bad = [record.name for record in records for channel in record.channels
               if channel["channel"] == name and not (is_absent(channel) or channel.get("present", True))]  # fmt: skip
        if bad:
            unusable.setdefault(tuple(bad), []).append(name)
    for what, groups in (("Missing", missing), ("Without a usable window", unusable)):
        yield from (
            f"{what} in {how_many(names, records)}: {', '.join(channels)}" for names, channels in groups.items()
        )


def shortfalls(records, definition):
    """Lines on what some of a manifest's records lack: channels, usable windows, labels, classes.

    Args:
        records: The manifest's.
        definition: `Definition`.
    """
    yield from channel_lines(records)
    labelled = [record for record in records if record.split != "pretrain"]
    for name, label in definition.labels.items():
        counts = {record.name: _counts(record.labels.get(name, {})) for record in labelled}
        none = [record for record, found in counts.items() if not sum(found.values())]
        if none and len(none) < len(labelled):
            yield f"Label {name}: no window has one in {how_many(none, labelled)}"
        seen = set().union(*counts.values())
        never = [kind for number, kind in enumerate(label.classes) if str(number) not in seen]
        if never and len(none) < len(labelled):
            yield f"Label {name}: no window of any record is of the class {', '.join(never)}"


def _counts(found):
    """Class, or "labelled" of a number, -> windows, those without left out."""
    return {key: count for key, count in found.items() if key not in ("-1", "value") and count}


def how_many(names, records):
    """How many records, and which: "2 of 9 records (a, b)", or "all records"."""
    if len(names) == len(records):
        return "all records" if len(names) > 1 else f"the record {names[0]}"
    return f"{len(names)} of {counted(len(records), 'record')} ({first_few(names)})"
