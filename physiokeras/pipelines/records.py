"""WFDB and EDF records: a header that is checked against its files, and one channel of samples at a time."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines import edf, edf_times, sample_formats
from physiokeras.pipelines.record_list import find_records
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
        runs: `(first frame, seconds)` of each run of frames without a gap; EDF+ alone has several.
        unfinished: Whether the recorder never closed the file, so that its scores may go on behind its end.
    """

    path: Path
    name: str
    rate: float
    frames: int
    signals: tuple[Signal, ...]
    notes: tuple[str, ...] = ()
    runs: tuple[tuple[int, float], ...] = ((0, 0.0),)
    unfinished: bool = False

    @property
    def seconds(self):
        """Length of the record, its gaps included."""
        first, begin = self.runs[-1]
        return begin + (self.frames - first) / self.rate

    @property
    def files(self):
        """Paths of the signal files, each once; none that is at fault."""
        names = dict.fromkeys(signal.file for signal in self.signals if signal.fault is None)
        return tuple(self.path.parent / name for name in names)

    def index(self, channel):
        """Position of a definition's `Channel`, or None where the record lacks it.

        Raises:
            DataError: The record has it twice, lacks it although it is required, or its samples mean nothing.
        """
        names = [signal.name for signal in self.signals]
        for name in channel.names:
            if names.count(name) > 1:
                raise DataError("the header names it twice; rename one of them.", file=self.path, channel=name)
            if name in names:
                return self.usable(names.index(name))
        if channel.required:
            message = f"the definition requires it, under any of {', '.join(channel.names)}. The record has: "
            raise DataError(f"{message}{', '.join(names)}.", file=self.path, channel=channel.name)
        return None

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
    root = path.parent if root is None else Path(root)
    refuse_link_out(path, root)
    lines = read_lines(path)

    def fail(message, channel=None, number=lines[0][0]):
        raise DataError(message, file=path, channel=channel, place=f"line {number}")

    name, count, rate, frames = parse_record_line(lines[0][1], fail)
    if name != path.stem:
        fail(f"the record's name must be the file's. Received: {name!r}.")
    if len(lines) - 1 != count:
        number = lines[min(count + 1, len(lines) - 1)][0]
        fail(f"the header announces {count} signals and describes {len(lines) - 1}. Correct one.", number=number)
    signals = []
    for index, (number, text) in enumerate(lines[1:]):
        signals.append(
            parse_signal_line(
                text, number, index, rate, lambda message, channel=None, n=number: fail(message, channel, n)
            )
        )
    if frames is None and not check_files:
        fail("must give the number of samples, as the signal files are not at hand.")
    errors, unstated = [], frames is None
    for file in dict.fromkeys(signal.file for signal in signals if check_files):
        group = [signal for signal in signals if signal.file == file]
        try:
            frames = _check_file(path, root, file, group, frames, unstated)
        except DataError as error:
            errors.append(error)
            fault = f"{error.place}: {error.message}" if error.place else error.message
            signals = [replace(signal, fault=fault) if signal in group else signal for signal in signals]
    if errors and all(signal.fault for signal in signals):
        raise errors[0]
    notes = [f"{signal.name}: negative gain {signal.gain:g}" for signal in signals if signal.gain < 0]
    notes += [f"{path.name}: the number of samples is open; taken from the file's size"] if unstated else []
    return Header(path, name, rate, frames, tuple(signals), (*notes, *_faults(signals)), unfinished=unstated)


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


def read_digital(header, index):
    """One channel as stored: `(samples,)` int16 or int32, unchecked."""
    signal = header.signals[index]
    if signal.format == edf.FORMAT:
        return edf.read_edf_samples(header.path, index)
    group = [other for other in header.signals if other.file == signal.file]
    before = sum(other.samples_per_frame for other in group[: group.index(signal)])
    width = sum(other.samples_per_frame for other in group)
    columns = slice(before, before + signal.samples_per_frame)
    size, count, code = sample_formats.FORMATS[signal.format]
    result = np.empty((header.frames, signal.samples_per_frame), np.int16 if code >= -(2**15) else np.int32)
    step = max(1, _BLOCK * count // size // (width * count)) * count
    with open(header.path.parent / signal.file, "rb") as file:
        file.seek(signal.offset)
        for start in range(0, header.frames, step):
            rows = min(step, header.frames - start)
            data = file.read(-(-rows * width // count) * size)
            data += bytes(-len(data) % size)
            samples = sample_formats.unpack(signal.format, data)[: rows * width]
            if len(samples) < rows * width:
                raise DataError("was cut while it was read.", file=file.name, place=f"frame {start}")
            result[start : start + rows] = samples.reshape(rows, width)[:, columns]
    return result.reshape(-1)


def _faults(signals):
    return [f"{signal.name}: cannot be used: {signal.fault}" for signal in signals if signal.fault]


def _contradictions(signal, digital):
    if signal.initial is not None and digital[0] != signal.initial:
        yield f"the first sample must be {signal.initial}, says the header. Received: {digital[0]}."
    checksum = int(digital.sum(dtype=np.int64)) % 65536
    if signal.checksum is not None and checksum != signal.checksum:
        yield f"the samples' checksum must be {signal.checksum}, says the header. Received: {checksum}."


def _check_file(path, root, file, group, frames, unstated):
    """Number of frames; a DataError unless the signal file is the one that its lines in the header describe.

    Where the header states no number of samples, as of a recorder that lost power, whole frames count.
    """

    def fail(message):
        raise DataError(message, file=path, channel=group[0].name, place=f"line {group[0].line}")

    if file in (".", "..", "~", "-") or any(letter in file for letter in "/\\:%\0"):
        fail(f"a signal file must be a plain name beside the header. Received: {file!r}.")
    target = path.parent / file
    refuse_link_out(target, root)
    if target.stem != path.stem and target.with_suffix(".hea").exists():
        fail(f"{file} belongs to the record {target.stem}, which has a header of its own.")
    if len({(signal.format, signal.offset) for signal in group}) > 1:
        fail(f"all signals of one file must have one format and offset. {file} has several.")
    if not target.is_file() or not os.access(target, os.R_OK):
        fail(f"{file} must be a readable file; it is missing, a folder, or not readable.")
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
