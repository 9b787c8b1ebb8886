"""WFDB records: a header that is checked against its signal files, of one piece or of several segments."""

import os
from dataclasses import replace

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.readers import flac, sample_formats
from physiokeras.pipelines.readers.header import Header, noted_faults
from physiokeras.pipelines.readers.segments import NOTHING, Segment, match_signals, parse_segment_lines, parts_of
from physiokeras.pipelines.readers.wfdb_header import parse_record_line, parse_signal_line, read_lines


def read_wfdb_header(path, root, check_files, family=()):
    """`physiokeras.pipelines.readers.records.read_header` of a WFDB record.

    Args:
        path: The `.hea` file.
        root: Folder that no signal file may leave.
        check_files: Whether the signal files are there to be checked.
        family: Names of the records that it may share signal files with.

    Raises:
        DataError: As `read_header`.
    """
    refuse_link_out(path, root)
    lines = read_lines(path)

    def fail(message, channel=None, number=lines[0][0]):
        raise DataError(message, file=path, channel=channel, place=f"line {number}")

    name, several, count, rate, frames = parse_record_line(lines[0][1], fail)
    if name != path.stem:
        fail(f"the record's name must be the file's. Received: {name!r}.")
    if several is not None:
        if family:
            fail(f"a segment must be a record of one piece. It is one of {family[0]}.")
        return _read_segments(path, root, check_files, (several, count, rate, frames), lines[1:], fail)
    signals = _signals(lines, count, rate, fail)
    if frames is None and not check_files:
        fail("must give the number of samples, as the signal files are not at hand.")
    unstated = frames is None
    if check_files:
        signals, frames = _check_files(path, root, signals, frames, family)
    notes = [f"{signal.name}: negative gain {signal.gain:g}" for signal in signals if signal.gain < 0]
    notes += [f"{path.name}: the number of samples is open; taken from the file's size"] if unstated else []
    return Header(path, name, rate, frames, tuple(signals), (*notes, *noted_faults(signals)), unfinished=unstated)


def _check_files(path, root, signals, frames, family):
    """Signals, those of a file that is at fault with their fault, and the number of frames.

    Raises:
        DataError: The fault, where every file has one.
    """
    errors, unstated = [], frames is None
    signals = [replace(signal, file=_as_on_disk(path.parent, signal.file)) for signal in signals]
    for file in dict.fromkeys(signal.file for signal in signals):
        group = [signal for signal in signals if signal.file == file]
        try:
            frames = _check_file(path, root, file, group, frames, family, unstated)
        except DataError as error:
            errors.append(error)
            fault = f"{error.place}: {error.message}" if error.place else error.message
            signals = [replace(signal, fault=fault) if signal in group else signal for signal in signals]
    if errors and all(signal.fault for signal in signals):
        raise errors[0]
    return signals, frames


def _signals(lines, count, rate, fail, **options):
    if len(lines) - 1 != count:
        number = lines[min(count + 1, len(lines) - 1)][0]
        fail(f"the header announces {count} signals and describes {len(lines) - 1}. Correct one.", number=number)
    signals = []
    for index, (number, text) in enumerate(lines[1:]):

        def fail_here(message, channel=None, number=number):
            fail(message, channel, number)

        signals.append(parse_signal_line(text, number, index, rate, fail_here, **options))
    return tuple(signals)


def _read_segments(path, root, check_files, record_line, lines, fail):
    """`Header` of a record of several segments, each of which is read and checked as a record of its own."""
    several, count, rate, frames = record_line
    if not lines:
        fail(f"the header announces {several} segments and lists none.")
    layout, listed = parse_segment_lines(lines, several, frames, lambda text, number: fail(text, None, number))
    family = (path.stem, *(name for name, _, _ in listed))
    signals = _read_layout(path.with_name(f"{layout}.hea"), root, rate) if layout else None
    parts, start = [], 0
    for name, length, number in listed:

        def fail_here(message, number=number):
            fail(message, None, number)

        if name != NOTHING:
            header = read_wfdb_header(path.with_name(f"{name}.hea"), root, check_files, family)
            signals = signals or header.signals
            if (header.frames, header.rate) != (length, rate):
                received = f"{header.frames} at {header.rate:g} Hz"
                fail_here(f"{name} must have {length} frames at {rate:g} Hz, as listed here. Received: {received}.")
            places = match_signals(signals, header, layout is not None, fail_here)
            parts.append(Segment(start, header, places))
        start += length
    if len(signals) != count:
        fail(f"the header announces {count} signals, the segments have {len(signals)}. Correct one.")
    gaps = (start - sum(part.header.frames for part in parts)) / rate
    notes = [f"{path.stem}: {len(parts)} segments, {gaps:g} s between them without samples"]
    notes += [note for part in parts for note in part.header.notes]
    layout = path.with_name(f"{layout}.hea") if layout else None
    return Header(path, path.stem, rate, start, signals, tuple(dict.fromkeys(notes)), tuple(parts), layout)


def _read_layout(path, root, rate):
    """The signals that the first header of a variable layout lists; none of them has a file."""
    refuse_link_out(path, root)
    lines = read_lines(path)

    def fail(message, channel=None, number=lines[0][0]):
        raise DataError(message, file=path, channel=channel, place=f"line {number}")

    name, several, count, own_rate, frames = parse_record_line(lines[0][1], fail)
    if (name, several, own_rate, frames) != (path.stem, None, rate, None):
        fail(f"a layout must be {path.stem} with signals at {rate:g} Hz and 0 samples. Received: {lines[0][1][:80]!r}.")
    return _signals(lines, count, rate, fail, formats=(sample_formats.LAYOUT,))


def _as_on_disk(folder, file):
    """A signal file's name, in the case in which the folder has it: copied from old disks, all are capitals."""
    if "/" in file or "\0" in file or (folder / file).exists():
        return file
    found = [name for name in os.listdir(folder) if name.lower() == file.lower()]
    return found[0] if len(found) == 1 else file


def _check_file(path, root, file, group, frames, family, unstated):
    """Number of frames; a DataError unless the signal file is the one that its lines in the header describe.

    Where the header states no number of samples, as of a recorder that lost power, whole frames count.
    """

    def fail(message):
        raise DataError(message, file=path, channel=group[0].name, place=f"line {group[0].line}")

    if file in (".", "..", "~", "-") or any(letter in file for letter in "/\\:%\0"):
        fail(f"a signal file must be a plain name beside the header. Received: {file!r}.")
    target = path.parent / file
    refuse_link_out(target, root)
    owner = target.with_suffix(".hea")
    if target.stem not in (path.stem, *family) and owner.exists() and path not in parts_of(owner):
        fail(f"{file} belongs to the record {target.stem}, which has a header of its own.")
    if len({(signal.format, signal.offset) for signal in group}) > 1:
        fail(f"all signals of one file must have one format and offset. {file} has several.")
    if not target.is_file() or not os.access(target, os.R_OK):
        fail(f"{file} must be a readable file; it is missing, a folder, or not readable.")
    if group[0].format in flac.FORMATS:
        return flac.check_flac(target, group, frames, fail)
    size, width = target.stat().st_size, sum(signal.samples_per_frame for signal in group)
    form, offset = group[0].format, group[0].offset
    unit, count, _ = sample_formats.FORMATS[form]
    if frames is None:
        frames = (size - offset) * count // (unit * width)
    expected = {offset + wanted for wanted in sample_formats.sizes(form, frames * width)}
    cut = unstated and 0 <= size - min(expected) < -(-unit * width // count)
    if not (size in expected or cut) or frames < 1:
        wanted = " or ".join(str(number) for number in sorted(expected))
        layout = f"{offset} + {frames} frames of {width} samples in format {form}"
        fail(f"{file} must have {wanted} bytes: {layout}. Received: {size} bytes. Is it cut, or another record's?")
    if target.suffix == ".mat":
        _check_matlab(target, offset, form, width, frames)
    return frames


def _check_matlab(path, offset, form, rows, columns):
    """Compare a MATLAB level 4 file's own header with the record's: type, rows, columns, offset."""
    with open(path, "rb") as file:
        numbers = np.frombuffer(file.read(20), "<i4").tolist()
    kind = {"80": 50, "16": 30, "32": 20}.get(form)
    wanted = [kind, rows, columns, 0, offset - 20]
    if numbers != wanted:
        names = "type, rows, columns, imaginary, length of name"
        message = f"its MATLAB header must say {names} = {wanted}. Received: {numbers}."
        raise DataError(f"{message} Is the byte offset {offset} right, or is the file byte-swapped?", file=path)
