"""Records of any format: a header that is checked against its files, and one channel of samples at a time."""

from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.readers import dreem, e4, edf, edf_times, flac, mne_files, sample_formats
from physiokeras.pipelines.readers.header import Header, noted_faults
from physiokeras.pipelines.readers.memory import Recording
from physiokeras.pipelines.readers.units import convert_unit
from physiokeras.pipelines.readers.wfdb_header import Signal
from physiokeras.pipelines.readers.wfdb_record import read_wfdb_header

__all__ = ["Header", "Signal", "read_digital", "read_header", "read_signal"]

_WHOLE = {e4.FORMAT: e4.read_e4_samples, dreem.FORMAT: dreem.read_dreem_samples}
"""Formats whose channels are read at once, as they are."""

_LONGEST = 366 * 86400.0
"""Seconds of a recording; more comes of a rate that is wrong, and would take memory for its windows."""

_BLOCK = 1 << 22
"""Bytes of a signal file that are held at a time."""


def read_header(path, root=None, *, check_files=True):
    """Read a record's header and check it against its signal files before anything is allocated.

    Args:
        path: The `.hea` file, an `.edf` or `.bdf` file, one that MNE-Python reads, the folder of an E4's export, or a
            `Recording` in memory.
        root: Folder that no signal file may leave, not even by a symbolic link; default: the header's own.
        check_files: False reads the header alone, where the signal files are not at hand: labels need no samples.

    Raises:
        DataError: Whatever makes the samples uncertain: syntax, sizes, names, gains, formats, offsets.
    """
    if isinstance(path, Recording):
        return path.header
    path = Path(path)
    if path.suffix.lower() == ".hea" or (not path.suffix and not path.is_dir()):
        header = read_wfdb_header(path, path.parent if root is None else Path(root), check_files)
    else:
        facts = _reader(path)(path)
        notes = (*facts.pop("notes"), *noted_faults(facts["signals"]))
        header = Header(path, path.stem, notes=notes, **facts)
    if header.seconds > _LONGEST:
        raise DataError(f"must last a year at most. Received: {header.seconds:.3g} s. Is its rate right?", file=path)
    return header


def _reader(path):
    if e4.is_export(path) or (path.is_dir() and not path.suffix):
        return e4.read_e4_header
    if path.suffix.lower() in dreem.SUFFIXES:
        return dreem.read_dreem_header
    return edf.read_edf_header if path.suffix.lower() in edf.SUFFIXES else mne_files.read_mne_header


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
    if header.recording:
        return header.recording.read(index)
    if signal.format in _WHOLE:
        return _WHOLE[signal.format](header, index)
    if signal.format == mne_files.FORMAT:
        return _in_time(mne_files.read_mne_samples(header, index), signal, header)
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
    return _in_time(physical, signal, header)


def _in_time(values, signal, header):
    return edf_times.spread(values, signal.rate, header.runs, 1 / header.rate, header.seconds)


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
    """One channel of a WFDB record of one piece, or of EDF, as stored: `(samples,)` int16 or int32, unchecked."""
    signal = header.signals[index]
    if signal.format == edf.FORMAT:
        return edf.read_edf_samples(header.path, index, _BLOCK)
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


def _contradictions(signal, digital):
    # Samples of format 8 are made from the initial value. A missing first sample has none, where the checksum agrees.
    code = None if signal.checksum is None else sample_formats.lowest(signal.format)
    same = signal.format == sample_formats.DIFFERENCES or digital[0] in (signal.initial, code)
    if signal.initial is not None and not same:
        yield f"the first sample must be {signal.initial}, says the header. Received: {digital[0]}."
    if signal.checksum is None:
        return
    checksum = int(digital.sum(dtype=np.int64)) % 65536
    if checksum != signal.checksum:
        yield f"the samples' checksum must be {signal.checksum}, says the header. Received: {checksum}."
