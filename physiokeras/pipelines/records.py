"""WFDB and EDF records: a header that is checked against its files, and one channel of samples at a time."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines import edf, edf_times, flac, sample_formats
from physiokeras.pipelines.channel_names import matches
from physiokeras.pipelines.record_list import find_records
from physiokeras.pipelines.segments import NOTHING, Segment, match_signals, parse_segment_lines, parts_of
from physiokeras.pipelines.units import convert_unit
from physiokeras.pipelines.wfdb_header import Signal, parse_record_line, parse_signal_line, read_lines

__all__ = ["Header", "Signal", "find_records", "read_digital", "read_header", "read_signal"]

_BLOCK = 1 << 22
"""Bytes of a signal file that are held at a time."""


@dataclass(frozen=True)
class Header:
    """A record whose header and files agree.

    Args:
        path: The header file, or the EDF file.
        name: The record's name.
        rate: Frames per second; EDF calls a frame a data record.
        frames: Number of frames.
        signals: Channels in file order.
        notes: What was accepted but deserves a line in the report.
        segments: `physiokeras.pipelines.segments.Segment`s in the order of time; () for a record of one piece.
        layout: Header that lists the signals of all segments, or None.
        runs: `(first frame, seconds)` of each run of frames without a gap; EDF+ alone has several.
        unfinished: Whether the recorder never closed the file, so that its scores may go on behind its end.
    """

    path: Path
    name: str
    rate: float
    frames: int
    signals: tuple[Signal, ...]
    notes: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    layout: Path | None = None
    runs: tuple[tuple[int, float], ...] = ((0, 0.0),)
    unfinished: bool = False

    @property
    def seconds(self):
        """Length of the record, its gaps included."""
        first, begin = self.runs[-1]
        return begin + (self.frames - first) / self.rate

    @property
    def files(self):
        """Paths of the signal files, each once, none that is at fault; of several segments, their headers too."""
        if self.segments:
            parts = [file for part in self.segments for file in (part.header.path, *part.header.files)]
            return tuple(dict.fromkeys([*([self.layout] if self.layout else []), *parts]))
        names = dict.fromkeys(signal.file for signal in self.signals if signal.fault is None)
        return tuple(self.path.parent / name for name in names)

    def index(self, channel):
        """Position of a definition's `Channel`, or None where the record lacks it.

        Raises:
            DataError: The record has it twice, lacks it although it is required, or its samples mean nothing.
        """
        index = self.find(channel.names)
        if index is None and channel.required:
            self.lacks(channel)
        return index

    def find(self, names):
        """Position of the first of `names` that the record has, or None.

        Raises:
            DataError: The record has it twice, a pattern matches several, or its samples mean nothing.
        """
        here = [signal.name for signal in self.signals]
        for name in names:
            found = matches(name, here)
            if len({here[place] for place in found}) > 1:
                several = ", ".join(here[place] for place in found)
                raise DataError(
                    f"the alias matches several channels: {several}. Narrow it.", file=self.path, channel=name
                )
            if len(found) > 1:
                raise DataError(
                    "the header names it twice; rename one of them.", file=self.path, channel=here[found[0]]
                )
            if found:
                return self.usable(found[0])
        return None

    def lacks(self, channel, also=""):
        """Refuse the record, which lacks a channel that is required.

        Raises:
            DataError: Always.
        """
        message = f"the definition requires it, under any of {', '.join(channel.names)}{also}. The record has: "
        raise DataError(
            f"{message}{', '.join(signal.name for signal in self.signals)}.", file=self.path, channel=channel.name
        )

    def usable(self, index):
        """`index`, of a signal without a fault.

        Raises:
            DataError: Its fault.
        """
        signal = self.signals[index]
        if signal.fault:
            raise DataError(signal.fault, file=self.path, channel=signal.name)
        return index


def read_header(path, root=None, *, check_files=True):
    """Read a record's header and check it against its signal files before anything is allocated.

    Args:
        path: The `.hea` file, or an `.edf` file.
        root: Folder that no signal file may leave, not even by a symbolic link; default: the header's own.
        check_files: False reads the header alone, where the signal files are not at hand: labels need no samples.

    Raises:
        DataError: Whatever makes the samples uncertain: syntax, sizes, names, gains, formats, offsets.
    """
    path = Path(path)
    if path.suffix.lower() == ".edf":
        facts = edf.read_edf_header(path)
        notes = (*facts.pop("notes"), *_faults(facts["signals"]))
        return Header(path, path.stem, notes=notes, **facts)
    return _read(path, path.parent if root is None else Path(root), check_files)


def _read(path, root, check_files, family=()):
    """`read_header` of a WFDB record; `family` names the records that it may share signal files with."""
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
    return Header(path, name, rate, frames, tuple(signals), (*notes, *_faults(signals)), unfinished=unstated)


def _check_files(path, root, signals, frames, family):
    """Signals, those of a file that is at fault with their fault, and the number of frames.

    Raises:
        DataError: The fault, where every file has one.
    """
    errors, unstated = [], frames is None
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
            header = _read(path.with_name(f"{name}.hea"), root, check_files, family)
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


def read_signal(header, index, *, lowest="auto", strict=True, report=None):
    """One channel in physical units, block by block: besides the result, a few megabytes whatever the record's size.

    Args:
        header: From `read_header`.
        index: Position of the channel.
        lowest: What the format's lowest digital value stands for: "missing", "value", or "auto": missing unless it is
            the channel's baseline (the Challenge's SaO2: 0 %).
        strict: Whether a wrong initial value or checksum is an error; else a line in `report`.
        report: list that receives messages.

    Returns: float32 `(samples,)`, NaN where missing.

    Raises:
        DataError: The samples contradict the header's initial value or checksum, or mean nothing.
    """
    signal = header.signals[header.usable(index)]
    if header.segments:
        return _join(header, index, lowest=lowest, strict=strict, report=report)
    digital = read_digital(header, index)
    for message in _contradictions(signal, digital):
        if strict:
            raise DataError(
                f"{message} Restore the file, or convert without `strict`.", file=header.path, channel=signal.name
            )
        if report is not None:
            report.append(f"{signal.name}: {message}")
    code = sample_formats.lowest(signal.format)
    missing = code is not None and (lowest == "missing" or (lowest == "auto" and code != signal.baseline))
    physical = np.empty(len(digital), np.float32)
    for start in range(0, len(digital), _BLOCK // 8):
        block = digital[start : start + _BLOCK // 8]
        values = (block.astype(np.float64) - signal.baseline) / signal.gain
        if missing:
            values[block == code] = np.nan
        physical[start : start + len(block)] = values
    return edf_times.spread(physical, signal.rate, header.runs, 1 / header.rate, header.seconds)


def _join(header, index, **options):
    """`read_signal` over all segments: NaN where a segment lacks the signal."""
    signal = header.signals[index]
    each = signal.samples_per_frame
    result = np.full(header.frames * each, np.nan, np.float32)
    for part in header.segments:
        place = part.places[index]
        if place is None:
            continue
        values, own = read_signal(part.header, place, **options), part.header.signals[place]
        try:
            convert_unit(values, own.unit, signal.unit)
        except DataError as error:
            raise DataError(error.message, file=part.header.path, channel=own.name) from error
        result[part.start * each : part.start * each + len(values)] = values
    return result


def read_digital(header, index):
    """One channel of a record of one piece as stored: `(samples,)` int16 or int32, unchecked."""
    signal = header.signals[index]
    if signal.format == edf.FORMAT:
        return edf.read_edf_samples(header.path, index)
    group = [other for other in header.signals if other.file == signal.file]
    width = sum(other.samples_per_frame for other in group)
    result = np.empty(header.frames * signal.samples_per_frame, sample_formats.dtype(signal.format))
    place, read = 0, flac.read_flac if signal.format in flac.FORMATS else _read_plain
    for samples in read(header, index, max(1, _BLOCK // (4 * width))):
        result[place : place + len(samples)] = samples
        place += len(samples)
    if signal.format == sample_formats.DIFFERENCES:
        np.cumsum(result, dtype=result.dtype, out=result)
        result += signal.initial
    return result


def _read_plain(header, index, step):
    """Yield one channel, about `step` frames at a time, from a file that is not compressed."""
    signal = header.signals[index]
    group = [other for other in header.signals if other.file == signal.file]
    before = sum(other.samples_per_frame for other in group[: group.index(signal)])
    width = sum(other.samples_per_frame for other in group)
    columns = slice(before, before + signal.samples_per_frame)
    size, count, _ = sample_formats.FORMATS[signal.format]
    step = max(1, step // count) * count
    with open(header.path.parent / signal.file, "rb") as file:
        file.seek(signal.offset)
        for start in range(0, header.frames, step):
            rows = min(step, header.frames - start)
            data = file.read(-(-rows * width // count) * size)
            data += bytes(-len(data) % size)
            samples = sample_formats.unpack(signal.format, data)[: rows * width]
            if len(samples) < rows * width:
                raise DataError("was cut while it was read.", file=file.name, place=f"frame {start}")
            yield samples.reshape(rows, width)[:, columns].reshape(-1)


def _faults(signals):
    return [f"{signal.name}: cannot be used: {signal.fault}" for signal in signals if signal.fault]


def _contradictions(signal, digital):
    # Samples of format 8 are made from the initial value. A missing first sample has none, where the checksum agrees.
    code = None if signal.checksum is None else sample_formats.lowest(signal.format)
    same = signal.format == sample_formats.DIFFERENCES or digital[0] in (signal.initial, code)
    if signal.initial is not None and not same:
        yield f"the first sample must be {signal.initial}, says the header. Received: {digital[0]}."
    checksum = int(digital.sum(dtype=np.int64)) % 65536
    if signal.checksum is not None and checksum != signal.checksum:
        yield f"the samples' checksum must be {signal.checksum}, says the header. Received: {checksum}."


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
