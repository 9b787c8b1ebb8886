"""EDF and EDF+ files: signals as those of a WFDB record, and annotations; read by edfio, the extra `[edf]`.

Source: Kemp and Olivan 2003, Clin Neurophysiol 114:1755; edfplus.info/specs.
"""

import warnings

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.annotations import Annotations
from physiokeras.pipelines.wfdb_header import Signal, plain_unit

FORMAT = "EDF"
"""`Signal.format` of these files; unlike WFDB's, it has no code for a missing sample."""

_TICKS = 1000.0
"""Annotations are kept to the millisecond."""

_DAY = 86400.0


def read_edf_header(path):
    """The ordinary signals of an EDF file, its data records per second, their number, and notes.

    Labels may be Latin-1. The file's size is checked against its header; no samples are read.

    Raises:
        DataError: Not EDF, cut, too long, discontinuous (EDF+D), impossible numbers; or edfio is missing.
    """
    refuse_link_out(path, path.parent)
    edf, notes = _open(path)
    if edf.reserved.startswith("EDF+D"):
        raise DataError("discontinuous recordings (EDF+D) are unsupported. Write it as EDF+C first.", file=path)
    with _our_error(path):
        duration, frames = edf.data_record_duration, edf.num_data_records
        if not (0 < duration < _DAY and frames > 0):
            message = "must hold data records longer than 0 s"
            raise DataError(f"{message}. Received: {frames} of {duration:g} s.", file=path, place="byte 236")
        signals = tuple(_signal(signal, path, duration) for signal in edf.signals)
    if not signals:
        raise DataError("must hold signals. Received: annotations alone.", file=path)
    return signals, 1 / duration, frames, notes


def read_edf_samples(path, index):
    """One signal as stored: `(samples,)` int16."""
    edf, _ = _open(path)
    return edf.signals[index].digital


def read_edf_annotations(path, recording):
    """The annotations of an EDF+ file, timed from the start of another EDF file: the recording that it scores.

    Two files are matched by their times of day, as dates are often anonymized. What begins before the recording is cut
    to its start.

    Args:
        path: The EDF+ file.
        recording: The file of signals; may be the same.

    Returns: `Annotations` with `durations`.

    Raises:
        DataError: No EDF+ or no annotations in it, or a text that is not UTF-8.
    """
    edf, _ = _open(path)
    with _our_error(path):
        found = edf.annotations
        shift = 0.0 if path == recording else _seconds(edf.starttime) - _seconds(_open(recording)[0].starttime)
    if not found:
        raise DataError("must hold EDF+ annotations. Received: none. Remove it where nothing was annotated.", file=path)
    shift = (shift + _DAY / 2) % _DAY - _DAY / 2
    begins = np.array([entry.onset + shift for entry in found])
    ends = begins + np.array([entry.duration or 0.0 for entry in found])
    kept = (begins >= 0) | (ends > 0)
    begins, ends = (np.rint(np.maximum(times[kept], 0) * _TICKS).astype(np.int64) for times in (begins, ends))
    texts = tuple(entry.text.strip() for entry, keep in zip(found, kept, strict=True) if keep)
    return Annotations(path, _TICKS, begins, ('"',) * len(texts), texts, ends - begins)


def _open(path):
    """An `edfio.Edf` whose size agrees with its header, and notes."""
    try:
        import edfio
    except ImportError as error:
        raise DataError("EDF files need the package edfio: pip install 'physiokeras[edf]'.", file=path) from error
    notes = []
    with _our_error(path), warnings.catch_warnings():
        warnings.simplefilter("error")
        with open(path, "rb") as file:
            start = file.read(244)
        if start[:8] != b"0       ":
            raise DataError(f"must begin as EDF does, with '0'. Received: {start[:8]!r}.", file=path, place="byte 0")
        if start[236:].strip() == b"-1":
            # What a recorder writes until it closes the file.
            warnings.filterwarnings("ignore", message=".*header indicates -1 data")
            notes.append(f"{path.name}: the number of data records is open; taken from the file's size")
        return edfio.read_edf(path, header_encoding="latin-1"), notes


class _our_error:
    """Whatever edfio stumbles over inside becomes a `DataError`."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        # A damaged file makes it raise nearly anything, its own warnings included.
        if isinstance(error, Exception) and not isinstance(error, DataError | MemoryError):
            message = str(error) or type(error).__name__
            raise DataError(f"must be a whole EDF file: {message[:200]} Restore it.", file=self.path) from error


def _signal(signal, path, duration):
    def fail(message):
        raise DataError(message, file=path, channel=signal.label)

    count = signal.samples_per_data_record
    digital, physical = np.diff(signal.digital_range)[0], np.diff(signal.physical_range)[0]
    if not (digital > 0 and physical and np.isfinite(physical)):
        ranges = f"{tuple(signal.digital_range)} and {tuple(signal.physical_range)}"
        fail(f"digital minimum must lie below the maximum, and physical ones differ. Received: {ranges}.")
    if count < 1:
        fail(f"must have samples in each data record. Received: {count}.")
    gain = float(digital / physical)
    return Signal(
        name=signal.label.strip(),
        unit=plain_unit(signal.physical_dimension.strip()),
        unit_stated=bool(signal.physical_dimension.strip()),
        gain=gain,
        baseline=signal.digital_min - signal.physical_min * gain,
        samples_per_frame=count,
        rate=count / duration,
        file=path.name,
        format=FORMAT,
        offset=0,
        initial=None,
        checksum=None,
        line=0,
    )


def _seconds(time):
    return time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6
