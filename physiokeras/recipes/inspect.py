"""Describe a record: its content, the result of its conversion, and doubts about its quality; or a whole folder.

    physiokeras inspect FOLDER
    physiokeras inspect FOLDER --draft mine.toml
    physiokeras inspect FOLDER --dataset mine.toml
    physiokeras inspect RECORD.hea --dataset physionet2018 --figure record.png

Without a definition it lists what is there, and drafts one. With one, run it first when a model gives strange
predictions for a new device. It writes nothing except the figure and the draft.
"""

import shlex
import sys
from dataclasses import dataclass, replace

from physiokeras.experiments import exit_status
from physiokeras.experiments.settings import read, setting
from physiokeras.pipelines import Definition
from physiokeras.pipelines.converting.coverage import channel_lines
from physiokeras.pipelines.converting.record_list import find_records, left_out
from physiokeras.pipelines.definitions.montage import find_sources
from physiokeras.pipelines.inspecting.draft import write_draft
from physiokeras.pipelines.inspecting.folder import look
from physiokeras.pipelines.inspecting.folder_text import aligned, describe_folder
from physiokeras.pipelines.inspecting.inspection import inspect_record, label_text
from physiokeras.pipelines.people.label_tables import read_tables
from physiokeras.pipelines.people.people import check_tables, without_missing_people
from physiokeras.pipelines.prepared.remote import local_folder
from physiokeras.pipelines.readers.e4 import is_export
from physiokeras.pipelines.readers.units import convert_unit
from physiokeras.pipelines.signals.derivation import Reader
from physiokeras.wording import counted

_MINUTE = 60.0
MOST_DOUBTS = 3
"""Doubts in the title of a figure; the text has all."""


@dataclass(frozen=True)
class Settings:
    """Settings of an inspection: records and definition."""

    config: tuple[str, ...] | None = setting(
        None, "TOML files of settings; later ones override earlier ones, and flags override all", "run", "invocation"
    )
    source: str = setting(
        help="a record's file or a folder of records; also as the first word",
        group="data",
        role="place",
        holds="recordings",
    )
    dataset: str | None = setting(
        None,
        "name of a shipped definition (physionet2018, mitdb, ...) or path of a TOML file; left out: what is there",
        "data",
        "result",
    )
    draft: str | None = setting(
        None, "TOML file, not there yet, for a draft of a definition that a person completes", "data", "place"
    )
    limit: int = setting(10, "number of records to read from a folder, evenly spread; 0: all", "data", "extent")
    figure: str | None = setting(
        None,
        "PNG file for a figure of the first record: labels and a minute of each channel; needs --dataset or --draft",
        "data",
        "place",
    )

    def __post_init__(self):
        if self.limit < 0:
            raise ValueError(f"limit must be at least 0. Received: {self.limit}.")
        if self.figure and self.dataset is None and self.draft is None:
            raise ValueError("figure needs a definition. Give --dataset or --draft, or leave --figure out.")
        if self.draft and self.dataset is not None:
            raise ValueError("draft is a new definition. Leave --dataset or --draft out.")


def main(argv=None):
    """Run the command.

    Returns: exit status: 0, or 1 where a record is unusable.

    Raises:
        DataError: The records or the definition cannot be read.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    argv = ["--source", *argv] if argv and not argv[0].startswith("-") else argv
    settings = read(Settings, argv, prog="physiokeras inspect", description=__doc__.split("\n")[0])
    return run(settings)


def run(settings):
    """Read the records, print what they hold, and draw the figure.

    Returns: exit status.
    """
    if settings.dataset is None:
        return list_folder(settings)
    source, definition = local_folder(settings.source), Definition.read(settings.dataset)
    several = source.is_dir() and not is_export(source)
    folder = source if several else _root(source, definition)
    if several:
        check_tables(definition)
    definition = without_missing_people(definition, folder)
    paths = find_records(source, definition) if several else [source]
    notes = []
    definition, people = read_tables(folder, definition, [path.stem for path in paths], notes)
    print("".join(f"Note: {note}\n" for note in notes), end="")
    chosen = paths[:: max(1, -(-len(paths) // settings.limit))] if settings.limit else paths
    if len(chosen) < len(paths):
        print(f"{len(chosen)} of {len(paths)} records, evenly spread; --limit 0 reads all.")
    for line in left_out(source, paths, definition) if several else ():
        print(line)
    bad, read_whole = 0, []
    for number, path in enumerate(chosen):
        found = inspect_record(path, definition, people)
        bad += found.verdict == "unusable"
        read_whole += [found] if found.channels else []
        print("\n".join(details(found) if len(chosen) == 1 else [summary(found)]), flush=True)
        if settings.figure and not number and found.channels:
            draw(found, settings.figure)
    for line in channel_lines(read_whole) if len(chosen) > 1 else ():
        print(f"{line}.")
    return int(bool(bad))


def list_folder(settings):
    """Print what a folder holds, and write a draft of its definition.

    Returns: exit status: 0, or 1 where a file cannot be read.
    """
    found = look(local_folder(settings.source))
    for line in describe_folder(found):
        print(line)
    if settings.draft:
        guesses = write_draft(found, settings.draft)
        print(f"\nDrafted: {settings.draft}, with {guesses} {'guess' if guesses == 1 else 'guesses'} to check.")
        dataset, source = shlex.quote(settings.draft), shlex.quote(settings.source)
        if settings.figure:
            status = run(replace(settings, dataset=settings.draft, draft=None))
            print(f"Then: physiokeras prepare --dataset {dataset} --source {source} --out DIR")
            return max(int(bool(found.bad)), status)
        print(f"Then: physiokeras inspect {source} --dataset {dataset}")
    return int(bool(found.bad))


def draw(found, path):
    """Draw a minute from the middle of a record, in the definition's units, and its labels."""
    from physiokeras.figures.recording import channel_text, recording
    from physiokeras.figures.style import save

    header, definition = found.header, found.definition
    span = min(_MINUTE, header.seconds)
    start, pieces = (header.seconds - span) / 2, {}
    sources = find_sources(header, definition)
    reader = Reader(header, False, cut=lambda values, rate: values[round(start * rate) : round((start + span) * rate)])
    units = [(channel, m.unit) for m in definition.modalities.values() for channel in m.channels]
    for channel, wanted in units:
        source = sources[channel.name]
        if source.absent:
            pieces[channel.name] = None
            continue
        signal = reader.signal_of(source)
        values = convert_unit(reader.read(source)[0], signal.unit, wanted)
        pieces[channel_text(channel.name, wanted or (signal.unit if signal.unit_stated else None))] = values
    labels = {name: (values, definition.labels[name].classes) for name, values in dict(found.labels).items()}
    labels = {name: (values, classes) for name, (values, classes) in labels.items() if classes and (values >= 0).any()}
    shown = found.doubts[:MOST_DOUBTS]
    more = [f"{len(found.doubts) - MOST_DOUBTS} more"] if len(found.doubts) > MOST_DOUBTS else []
    note = "; ".join([found.verdict, *shown, *more])
    window, name = definition.window, found.path.stem
    save(recording(pieces, labels, start=start, span=span, window=window, name=name, note=note), path)
    print(f"Drawn: {path}")


def details(found):
    """Lines of text on one record."""
    lines = [f"{found.path}"]
    if found.header:
        lines.append(_size(found))
        lines += _table(found)
        lines += [f"Label {label_text(found, name)}" for name in dict(found.labels)]
        lines += [f"Note: {note}" for note in found.notes]
    lines += [f"Look at: {doubt}." for doubt in found.doubts]
    return [*lines, f"Verdict: {found.verdict_text}"]


def summary(found):
    """One line on one record."""
    if found.error:
        return f"{found.path.stem}: unusable: {found.error}"
    absent = [name for name, share in found.modalities.items() if not share]
    text = f"{found.path.stem}: {found.verdict}: {counted(found.windows, 'window')}"
    text += f", without {', '.join(absent)}" if absent else ""
    return text + _first(found.doubts, "doubt") + _first(found.notes, "note")


def _first(found, thing):
    """How many doubts or notes there are, and the first."""
    if not found:
        return ""
    return f"; {counted(len(found), thing)}" + (", the first: " if len(found) > 1 else ": ") + found[0]


def _size(found):
    header, window = found.header, found.definition.window
    channels, windows = counted(len(header.signals), "channel"), counted(found.windows, "window")
    return f"{header.seconds / 3600:.2f} h, {channels}, {windows} of {window:g} s"


def _table(found):
    head = ("modality", "channel", "in the file", "Hz", "unit")
    head += ("lowest", "highest", "IQR", "flat", "clipped", "present")
    rows = [head]
    for channel in found.channels:
        source = channel.get("source", "-")
        rows.append(
            (
                channel["modality"],
                channel["channel"],
                "" if source == channel["channel"] else source,
                _number(channel.get("rate")),
                channel.get("unit") or "-",
                *(_number(channel.get(key)) for key in ("lowest", "highest", "iqr")),
                *(_share(channel.get(key)) for key in ("flat", "clipped", "present")),
            )
        )
    lines = aligned(rows)
    used = {name for channel in found.channels for name in channel.get("parts", [channel.get("source")])}
    others = [signal.name for signal in found.header.signals if signal.name not in used]
    return lines + ([f"In the file, not in the definition: {', '.join(others)}"] if others else [])


def _number(value):
    return "-" if value is None else f"{value:.4g}"


def _share(value):
    return "-" if value is None else f"{value:.1%}"


def _root(path, definition):
    """The data set's folder above a record: where the table of people lies, else the record's own."""
    return next((folder for folder in path.parents if (folder / (definition.people or "")).is_file()), path.parent)


if __name__ == "__main__":
    exit_status.run(main)
