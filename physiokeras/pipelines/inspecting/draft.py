"""A draft of a definition from what a folder holds, in TOML with comments: a person completes it.

What names or units alone suggest is marked as a GUESS. The draft loads, and a conversion by it runs.
"""

import math
import re
from collections import Counter
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.names import BIDS_SUBJECT
from physiokeras.pipelines.converting.record_list import ending_of
from physiokeras.pipelines.inspecting.draft_labels import label_lines, quoted, scored, table_lines
from physiokeras.pipelines.inspecting.folder import spread
from physiokeras.pipelines.inspecting.folder_text import channels_of, unit_of
from physiokeras.pipelines.inspecting.modality_guesses import ELECTRODE, GUESSES, VOLTS, guess
from physiokeras.pipelines.scores.score_files import escaped
from physiokeras.wording import counted

_NIGHTS, _LISTED, _IN_A_ROW = 4, 40, 6
_PERSONS = {r"^(.+)[_-][^_-]+$": "what stands before the last _ or -", r"^(.*?\d+)[A-Za-z]?$": "all but a last letter"}
_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


def draft(found, name):
    """Lines of a definition.

    Args:
        found: `physiokeras.pipelines.inspecting.folder.Folder`.
        name: Name of the data set.

    Raises:
        DataError: No recording can be read, or no channel is of a kind that its name tells.
    """
    if not found.recordings:
        raise DataError("no recording can be read, so there is nothing to draft from.", file=found.root)
    suffix, recordings = _most(found.recordings)
    channels, kinds = channels_of(recordings), {}
    headers = [Counter(signal.name for signal in recording.header.signals) for recording in recordings]
    for channel, signals in channels.items():
        twice = any(names[channel] > 1 for names in headers)
        kinds.setdefault(None if twice else _kind(channel, signals), []).append(channel)
    if not set(kinds) & set(GUESSES):
        has = ", ".join(channels) or "none"
        raise DataError(f"no channel's name tells what it measures. It has {has[:400]}.", file=found.root)
    yield from _head(found, name, suffix, recordings)
    for kind in GUESSES:
        if kind in kinds:
            yield from _modality(kind, kinds[kind], channels, len(recordings))
    yield from _unused(kinds.get(None, ()), channels, len(recordings))
    if any(len(signals) < len(recordings) for signals in channels.values()):
        yield "# Channels that are never in one recording together may be one under several names; see `alias`.\n"
    yield from _montage(list(channels))
    yield from label_lines(found.companions, recordings)
    yield from table_lines(found.tables, found.root)
    yield "# Shares of the labelled people. `pretrain` lists names, or patterns, of unlabelled recordings."
    yield "[split]"
    yield "test = 0.22"
    yield "validation = 0.10"
    yield "seed = 0"
    yield from _pretrain(recordings, scored(found.companions, recordings))


def _head(found, name, suffix, recordings):
    yield "# A draft that `inspect FOLDER --draft` wrote, for a person to complete. Each GUESS is from names alone."
    yield "#   physiokeras inspect FOLDER --dataset THIS.toml"
    yield "#   physiokeras prepare --dataset THIS.toml --source FOLDER --out DIR"
    yield '# The page "The definition of a data set" of the documentation explains every key.\n'
    yield f"name = {quoted(_ALPHABET.findall(name)[0] if _ALPHABET.search(name) else 'mine')}"
    yield 'description = ""  # what was recorded, of whom, with which device, under which licence'
    others = len(found.recordings) - len(recordings)
    others = f"; without {counted(others, 'other')}" if others else ""
    yield f"records = {quoted(f'**/*{suffix}')}  # {counted(len(recordings), 'recording')}{others}"
    yield from _person([recording.path.stem for recording in recordings])
    for path, (columns, _, shared) in found.tables.items():
        if shared and {"record", "sex", "age"} <= {column.lower() for column in columns}:
            yield f"# people = {quoted(path.relative_to(found.root).as_posix())}  # for sex, age, labels of kind age"
    yield from _window(recordings)


def _pretrain(recordings, with_scores):
    """Recordings without scores, named: else they would be drawn as people to validate or test."""
    names = sorted(recording.path.stem for recording in recordings)
    pattern = (_person_pattern(names) or (None,))[0]
    person = {name: re.search(pattern, name)[1] if pattern else name for name in names}
    known = {recording.path.stem for recording in recordings if recording.path in with_scores}
    scored_people = {person[name] for name in known}
    alone = [escaped(name) for name in names if person[name] not in scored_people]
    if known and alone:
        yield "# They have no scores, so they only pretrain."
        yield from ['# A pattern stands for many: pretrain = ["night1*"].'] if len(alone) > _LISTED else []
        rows = (alone[start : start + _IN_A_ROW] for start in range(0, len(alone), _IN_A_ROW))
        yield "pretrain = [" + ",\n            ".join(quoted(row)[1:-1] for row in rows) + "]"
    others = [name for name in names if name not in known and person[name] in scored_people]
    if others:
        shown = quoted(others[:_LISTED])[1:-1] + (f" and {len(others) - _LISTED} more" if len(others) > _LISTED else "")
        yield f"# Without scores, of people who have some in other recordings: {shown}."


def _unused(names, channels, recordings):
    if not names:
        return
    yield "# Not used: the name tells nothing, or stands twice in a header, or the rate is too low for what it tells."
    for name in names[:_LISTED]:
        yield f"#   {quoted(name)}, {_in(channels[name], recordings)}"
    yield from [f"#   and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    yield ""


def _most(recordings):
    """The extension of most recordings, and those of it, the last of each name."""
    by = {}
    for recording in recordings:
        by.setdefault(ending_of(recording.path), {})[recording.path.stem] = recording
    suffix = max(by, key=lambda key: (sum(r.whole for r in by[key].values()), len(by[key])))
    return suffix, list(by[suffix].values())


def _kind(channel, signals):
    """Kind of a channel; None where its rate has no room for what such a signal is."""
    kind = guess(channel)
    rate = min(signal.rate for signal in signals)
    if kind is None or any(signal.fault for signal in signals):
        return None
    edges = GUESSES[kind].bandpass
    slow = edges and rate <= 4 * edges[0] and kind not in ("emg", "resp")
    return None if slow or rate < 0.1 else kind


def _in(signals, recordings):
    rates = ", ".join(dict.fromkeys(f"{signal.rate:.6g}" for signal in signals))
    units = ", ".join(dict.fromkeys(unit_of(signal) or "no unit" for signal in signals))
    return f"in {len(signals)} of {counted(recordings, 'recording')}, {rates} Hz, {units}"


def _modality(kind, names, channels, recordings):
    usual, signals = GUESSES[kind], [signal for name in names for signal in channels[name]]
    slowest, fastest = min(s.rate for s in signals), max(s.rate for s in signals)
    rate = min(usual.rate, _whole(fastest))
    yield f"# GUESS: {kind}, from the channels' names."
    yield f"[modalities.{kind}]"
    yield f"rate = {rate}"
    if usual.bandpass:
        low, high = usual.bandpass
        high = min(high, math.floor(0.45 * rate * 100) / 100)
        if low < min(high, slowest / 2):
            yield f"bandpass = [{low}, {high}]"
        else:
            yield f"# Recorded at {slowest:g} Hz: an envelope or a trend, so no band-pass."
    unit = _unit([unit_of(signal) for signal in signals], usual.unit)
    if unit:
        yield f'unit = "{unit}"'
    else:
        given = ", ".join(sorted({unit_of(signal) or "none" for signal in signals}))
        yield f"# As recorded: units are {quoted(given)}."
    if usual.fixed and unit == usual.unit:
        yield 'scale = "physical"'
        yield f"offset = {usual.fixed[0]}"
        yield f"factor = {usual.fixed[1]}"
    else:
        yield 'scale = "robust"'
    yield "channels = ["
    yield from (f"  {quoted(name)},  # {_in(channels[name], recordings)}" for name in names)
    yield "]\n"


def _montage(names):
    """Commented rules for electrodes without a reference: each against the mastoid of the other side."""
    by_place = {name.upper().removeprefix("EEG ").strip(): name for name in names}
    rules = []
    for place, name in by_place.items():
        match = re.fullmatch(ELECTRODE, place, re.IGNORECASE)
        sides = ("M2", "A2") if match and match[2].isdigit() and int(match[2]) % 2 else ("M1", "A1")
        reference = next((side for side in sides if side in by_place), None)
        if match and reference:
            rules.append(f"# {quoted(f'{name}-{reference}')} = [{quoted(name)}, {quoted(by_place[reference])}]")
    if rules:
        yield "# GUESS: electrodes and mastoids are recorded apart. For derivations, take these names into `channels`:"
    else:
        yield "# Derived channels, such as:"
    yield from ("# [montage]", *(rules or ['# "C3-M2" = ["C3", "M2"]']), "")


def _whole(rate):
    """A whole number of Hz, so that a patch of a second is a whole number of samples."""
    return max(1, math.floor(rate + 1e-6))


def _unit(given, wanted):
    """The unit to convert to; None where some have another quantity, or none at all."""
    if None in given:
        return None
    if wanted in VOLTS and set(given) <= set(VOLTS):
        return wanted
    return given[0] if len(set(given)) == 1 and re.fullmatch(r"[\w%/]+", given[0]) else None


def _window(recordings):
    shortest, middle, _ = spread([recording.header.seconds for recording in recordings])
    window = next((length for length in (30, 10, 5, 2, 1) if 2 * length <= middle), 1)
    yield f"window = {window}  # seconds; the shortest recording lasts {shortest:.0f} s, half of them {middle:.0f} s"
    yield "patch = 1\n"


def _person(names):
    """Which recordings are of one person: that two splits share nobody depends on it."""
    found = _person_pattern(names)
    if found:
        pattern, words, people = found
        yield f"# GUESS: the person is {words} in a recording's name, {people} people."
        yield "# Nobody may be in two splits."
        yield f"person = {quoted(pattern)}"
        return
    yield "# Every recording is taken for another person. Where a person has several, say so for the splits."
    yield f"# person = {quoted('^(.{5})')}"


def _person_pattern(names):
    """A pattern of names that gives people with a few recordings, its meaning in words, and their number; or None."""
    if names and all(re.match(BIDS_SUBJECT, name) for name in names):
        return BIDS_SUBJECT, "the subject of BIDS", len({re.match(BIDS_SUBJECT, name)[1] for name in names})
    for pattern, words in _PERSONS.items():
        people = Counter(match[1] for match in (re.search(pattern, name) for name in names) if match)
        if sum(people.values()) == len(names) and 1 < len(names) / len(people) <= _NIGHTS:
            return pattern, words, len(people)
    return None


def write_draft(found, path):
    """Write a draft to a TOML file that does not exist.

    Returns: number of lines that hold a guess.

    Raises:
        DataError: The file exists, or there is nothing to draft from.
    """
    path = Path(path)
    if path.suffix != ".toml":
        raise DataError("must be the path of a file that ends in .toml.", file=path)
    lines = list(draft(found, path.stem))
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except FileExistsError as error:
        raise DataError("exists already; give another name, or remove it.", file=path) from error
    return sum("GUESS" in line for line in lines) - 1
