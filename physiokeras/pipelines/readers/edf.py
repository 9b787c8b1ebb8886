"""EDF, EDF+ and BDF files: signals as those of a WFDB record, and annotations; read by edfio.

BDF has the layout of EDF with samples of 24 bits. edfio reads such a file whole, so it gets the header alone here.
Source: Kemp and Olivan 2003, Clin Neurophysiol 114:1755; edfplus.info/specs; biosemi.com/faq/file_format.htm.
"""

import re
import warnings

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.readers import sample_formats
from physiokeras.pipelines.readers.annotations import Annotations
from physiokeras.pipelines.readers.edf_plus import Layout, read_marks, refused, text_of_field
from physiokeras.pipelines.readers.edf_start import shift_between
from physiokeras.pipelines.readers.edf_times import find_runs
from physiokeras.pipelines.readers.wfdb_header import Signal, plain_unit

FORMAT = "EDF"
"""`Signal.format` of these files; unlike WFDB's, it has no code for a missing sample."""

SUFFIXES = (".edf", ".bdf")
"""Their extensions, in lower case."""

TICKS = 1000
"""Annotations are kept to the millisecond."""

_FAR = 1e12
_STARTS = (b"0       ", b"\xffBIOSEMI")


def read_edf_header(path):
    """Fields of a `Header` of an EDF file.

    Text may be UTF-8 or Latin-1. The file's size is checked against its header; no samples are read. A recording that
    was never closed keeps its whole data records.

    Returns: dict of `rate` (data records per second), `frames` (data records), `signals`, `runs`, `unfinished` and
        `notes`.

    Raises:
        DataError: Not EDF, cut, too long, impossible numbers or times.
    """
    refuse_link_out(path, path.parent)
    edf, frames, notes = _open(path)
    unfinished = bool(notes)
    with refused(path):
        duration = edf.data_record_duration
        if not edf.signals:
            raise DataError("must hold signals. Received: annotations alone.", file=path)
        if not (0 < duration < 86400 and frames > 0):
            message = "must hold data records longer than 0 s"
            raise DataError(f"{message}. Received: {frames} of {duration:g} s.", file=path, place="byte 236")
        signals = tuple(_signal(signal, path, duration) for signal in edf.signals)
        fastest = max(signal.rate for signal in signals) or 1.0
        gaps_expected = edf.reserved[:5] in ("EDF+D", "BDF+D")
        runs, more = find_runs(path, duration, frames, fastest, gaps_expected=gaps_expected)
        notes += [f"{signal.name}: physical minimum above the maximum; read as inverted" for signal in signals
                  if signal.gain < 0]  # fmt: skip
    facts = {"rate": 1 / duration, "frames": frames, "signals": signals, "runs": runs}
    return {**facts, "unfinished": unfinished, "notes": (*notes, *more)}


def read_edf_samples(path, index, block):
    """One signal as stored: `(samples,)` int16, of BDF int32, of which `block` bytes of the file are held at a time."""
    edf, frames, _ = _open(path)
    if not _is_bdf(path):
        return edf.signals[index].digital
    layout = Layout.of(path)
    (start, stop), each = layout.places[index], edf.signals[index].samples_per_data_record
    result, step = np.empty((frames, each), np.int32), max(1, block // layout.size)
    with refused(path), open(path, "rb") as file:
        file.seek(layout.begin)
        for first in range(0, frames, step):
            rows = np.frombuffer(file.read(min(step, frames - first) * layout.size), "u1").reshape(-1, layout.size)
            values = sample_formats.unpack("24", rows[:, start:stop].tobytes())
            result[first : first + step] = values.reshape(-1, each)
    return result.reshape(-1)


def read_edf_annotations(path, recording, seconds):
    """The annotations of an EDF+ file, timed from the first sample of another EDF file: the recording that it scores.

    Args:
        path: The EDF+ file.
        recording: The file of signals; may be the same.
        seconds: Length of the recording.

    Returns: `Annotations` with `durations`; those that begin before the recording have negative samples.

    Raises:
        DataError: No EDF+ or no annotations in it, or another night's.
    """
    _open(path)
    with refused(path):
        marks, notes = read_marks(path)
        if not marks:
            message = "must hold EDF+ annotations. Received: none. Remove it where nothing was annotated."
            raise DataError(message, file=path)
        begins = [mark.onset for mark in marks]
        ends = [None if mark.duration is None else mark.onset + mark.duration for mark in marks]
    with refused(recording):
        shift, more = shift_between(path, recording, seconds, begins, ends)
    samples = _ticks(begins, shift)
    closed = [begin if end is None else end for begin, end in zip(begins, ends, strict=True)]
    durations = _ticks(closed, shift) - samples
    texts = tuple(mark.text for mark in marks)
    return Annotations(path, TICKS, samples, ('"',) * len(texts), texts, durations, (*notes, *more))


def _ticks(seconds, shift):
    return np.rint(np.clip(np.array(seconds) + shift, -_FAR, _FAR) * TICKS).astype(np.int64)


def _is_bdf(path):
    return path.suffix.lower() == ".bdf"


def _width(path):
    """Bytes of a sample."""
    return 3 if _is_bdf(path) else 2


def _open(path):
    """An `edfio.Edf` whose size agrees with its header, its data records, and notes on one that was never closed."""
    import edfio  # here: a conversion of other formats starts its workers without it

    notes = []
    with refused(path), warnings.catch_warnings():
        warnings.simplefilter("error")
        with open(path, "rb") as file:
            start = file.read(252)
        if start[:8] != _STARTS[_is_bdf(path)]:
            rule = "BDF does, with byte 255 and BIOSEMI" if _is_bdf(path) else "EDF does, with '0'"
            raise DataError(f"must begin as {rule}. Received: {start[:8]!r}.", file=path, place="byte 0")
        layout = Layout.of(path)
        if layout.signals and re.fullmatch(rb" *0*\.?0* *", start[244:]):
            raise DataError("data records with signals must last longer than 0 s.", file=path, place="byte 244")
        if start[236:244].strip() == b"-1":
            # What a recorder writes until it closes the file; one that lost power leaves part of a data record.
            warnings.filterwarnings("ignore", message=".*header indicates -1 data")
            warnings.filterwarnings("ignore", message="Incomplete data record")
            notes.append(f"{path.name}: the number of data records is open; taken from the file's size")
            left = path.stat().st_size - layout.begin - layout.records * layout.size
            notes += [f"{path.name}: {left} bytes of an unfinished data record at its end are left out"] if left else []
        if _is_bdf(path):
            return _bdf_header(edfio, path, layout, bool(notes)), layout.records, notes
        edf = edfio.read_edf(path, header_encoding="latin-1")
        return edf, edf.num_data_records, notes


def _bdf_header(edfio, path, layout, unfinished):
    """An `edfio.Bdf` without samples."""
    with open(path, "rb") as file:
        head = file.read(layout.begin)
    size, stated = path.stat().st_size, layout.records if unfinished else int(head[236:244])
    if not unfinished and size != layout.begin + stated * layout.size:
        rule = f"must have {layout.begin + stated * layout.size} bytes: a header and {stated} data records"
        raise DataError(f"{rule} of {layout.size}. Received: {size}. Is it cut? Restore it.", file=path)
    warnings.filterwarnings("ignore", message=".*header indicates")
    return edfio.read_bdf(head, header_encoding="latin-1")


def _signal(signal, path, duration):
    """A `Signal`; one whose samples mean nothing says why, and is an error where it is asked for alone."""
    count, fault, gain, baseline = signal.samples_per_data_record, None, 1.0, 0.0
    most = 1 << (8 * _width(path) - 1)
    try:
        digital, physical = signal.digital_range, signal.physical_range
        steps, span = np.diff(digital)[0], np.diff(physical)[0]
        if not (steps > 0 and span and np.isfinite(span)):
            rule = "digital minimum must lie below the maximum, and physical ones differ"
            fault = f"{rule}. Received: {tuple(digital)} and {tuple(physical)}."
        elif digital[0] < -most - 1 or digital[1] > most:  # one too many is a usual slip, and does no harm
            rule = f"digital values must lie in {-most} to {most - 1}, as {8 * _width(path)} bits do"
            fault = f"{rule}. Received: {tuple(digital)}. Are they unsigned?"
        elif count < 1:
            fault = f"must have samples in each data record. Received: {count}."
        else:
            gain = float(steps / span)
            baseline = digital[0] - physical[0] * gain
    except ValueError as error:
        fault = f"its ranges must be numbers: {error}."
    unit = _text(signal.physical_dimension)
    return Signal(
        name=_text(signal.label),
        unit=plain_unit(unit),
        unit_stated=bool(unit),
        gain=gain,
        baseline=baseline,
        samples_per_frame=count,
        rate=count / duration,
        file=path.name,
        format=FORMAT,
        offset=0,
        initial=None,
        checksum=None,
        line=0,
        fault=fault,
    )


def _text(latin):
    """A field that edfio decoded as Latin-1."""
    return text_of_field(latin.encode("latin-1"))
