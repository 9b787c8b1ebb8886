"""Text that describes the contents of a folder."""

from collections import Counter, defaultdict

from physiokeras.pipelines.converting.record_list import ending_of
from physiokeras.pipelines.converting.survey import duration
from physiokeras.pipelines.inspecting.folder import spread
from physiokeras.pipelines.inspecting.modality_guesses import guess
from physiokeras.wording import counted

_MARKS, _BAD = 30, 50
_ROUND = 0.5
_ENDINGS = {"/": "folders of an E4"}


def aligned(rows):
    """Rows of cells as lines in columns; the first is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def describe_folder(found):
    """Lines on a `Folder`."""
    kinds = Counter(ending_of(recording.path) for recording in found.recordings)
    kinds = ", ".join(f"{count} {_ENDINGS.get(kind, kind)}" for kind, count in sorted(kinds.items()))
    whole = sum(recording.whole for recording in found.recordings)
    yield f"{found.root}: {counted(len(found.recordings), 'recording')} ({kinds or 'none'})."
    if whole < len(found.recordings):
        yield f"Of {len(found.recordings) - whole} only the header can be read."
    others = ", ".join(f"{count} {suffix}" for suffix, count in found.others.most_common())
    if others:
        yield f"Files that are no recordings, scores or tables: {others}."
    for link in found.links:
        yield f"Not followed, for it is a link: {link.relative_to(found.root)}."
    yield from _bad(found)
    if found.recordings:
        yield from _times(found.recordings)
        yield ""
        yield from channel_table(found.recordings)
    for group in found.companions:
        yield ""
        yield from _companions(group, found)
    for path, (columns, rows, shared) in found.tables.items():
        yield ""
        names = ", ".join(columns)
        of = f"its column {shared!r} names recordings" if shared else "no column names a recording"
        yield f"Table {path.relative_to(found.root)}: {counted(rows, 'row')}; columns {names}; {of}."


def _bad(found):
    bad = list(found.bad.items())
    if bad:
        yield f"{counted(len(bad), 'file')} cannot be read:"
    for path, reason in bad[:_BAD]:
        yield f"  {path.relative_to(found.root)}: {reason.removeprefix(f'{path}: ')}"
    if len(bad) > _BAD:
        yield f"  and {len(bad) - _BAD} more."


def _times(recordings):
    low, middle, high = (duration(value) for value in spread([r.header.seconds for r in recordings]))
    total = sum(recording.header.seconds for recording in recordings) / 3600
    several = f"Durations: {low} to {high}, median {middle}; {total:.1f} h in all."
    yield several if len(recordings) > 1 else f"Duration: {middle}."
    starts = sorted(recording.start for recording in recordings if recording.start)
    if starts:
        without = len(recordings) - len(starts)
        more = f"; {counted(without, 'recording')} without one" if without else ""
        yield f"Starts: {starts[0]} to {starts[-1]}{more}." if len(starts) > 1 else f"Start: {starts[0]}{more}."
    gaps = [recording.path.stem for recording in recordings if len(recording.header.runs) > 1]
    if gaps:
        yield f"With gaps in time: {counted(len(gaps), 'recording')}, {gaps[0]} among them."


def channels_of(recordings):
    """Name -> list of the `Signal`s of that name, one a recording, the most frequent name first."""
    found = defaultdict(list)
    for recording in recordings:
        for name, signal in {signal.name: signal for signal in recording.header.signals}.items():
            found[name].append(signal)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def unit_of(signal):
    """A signal's unit, None where its file states none."""
    return signal.unit if signal.unit_stated and signal.unit else None


def channel_table(recordings):
    """A table of the channels: in how many recordings, rates, units, guessed kinds."""
    rows = [("channel", "recordings", "Hz", "unit", "a guess")]
    for name, signals in channels_of(recordings).items():
        faults = sum(signal.fault is not None for signal in signals)
        count = f"{len(signals)} of {len(recordings)}" + (f" ({faults} unusable)" if faults else "")
        rates, units = Counter(f"{s.rate:.6g}" for s in signals), Counter(unit_of(s) or "none" for s in signals)
        rows.append((name, count, _counted(rates), _counted(units), guess(name) or "-"))
    return aligned(rows)


def _counted(counter):
    if len(counter) == 1:
        return next(iter(counter))
    return ", ".join(f"{value} ({count})" for value, count in counter.most_common())


def _companions(group, found):
    recordings, marks = counted(len(found.recordings), "recording"), counted(group.marks.total(), "mark")
    yield f"Scores {group.name}: of {len(group.files)} of {recordings}, {marks}:"
    for (symbol, text), count in group.marks.most_common(_MARKS):
        yield f"  {count} x {(text or symbol)!r} in {counted(group.records[symbol, text], 'file')}"
    if len(group.marks) > _MARKS:
        rest = group.marks.most_common()[_MARKS:]
        yield f"  and {sum(count for _, count in rest)} marks of {len(rest)} more kinds"
    if group.first:
        yield f"  The first mark is {_seconds(group.first)} from the recording's start."
        if group.lasting:
            yield f"  The last one ends {_seconds(group.last)} from the recording's end."
        off = sorted({offset for offset in group.grid if offset > _ROUND})
        if off and not group.is_beats:
            yield f"  In some files most marks lie off multiples of 30 s, by {off[0]:g} to {off[-1]:g} s; see `grid`."


def _seconds(values):
    low, middle, high = (f"{value:.6g}" for value in spread(values))
    return f"{low} s" if low == high else f"{low} to {high} s (median {middle})"
