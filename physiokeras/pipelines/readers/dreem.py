"""Recordings of the Dreem Open Datasets (DOD-H, DOD-O): HDF5 files with signals by group, and a hypnogram.

`signals/eeg/C3_M2` is a channel; the group `signals/eeg` has its rate `fs` and its `unit`. `hypnogram` has a number an
epoch of 30 s: -1 not scored, 0 W, 1 to 3 N1 to N3, 4 REM.

Source: github.com/Dreem-Organization/dreem-learning-open; Guillot et al. 2020, IEEE TNSRE 28:1955.
"""

import contextlib
import functools
import subprocess
import sys

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.readers.timed_marks import timed_marks
from physiokeras.pipelines.readers.wfdb_header import Signal, plain_unit

FORMAT = "HDF5"
"""`Signal.format` of these files."""

SUFFIXES = (".h5",)
"""Their extension, in lower case."""

STAGES = {-1: "?", 0: "W", 1: "N1", 2: "N2", 3: "N3", 4: "R"}
EPOCH = 30.0

_PATIENCE = 60.0
"""Seconds that a walk through a file may take."""

_WALK = """
import contextlib, sys, h5py
def look(name, item):
    with contextlib.suppress(Exception):
        dict(item.attrs)
        if isinstance(item, h5py.Dataset) and item.nbytes <= 1100 * item.id.get_storage_size():
            item[...]
with contextlib.suppress(Exception):
    with h5py.File(sys.argv[1], "r") as file:
        file.visititems(look)
"""

_RATIO = 1100
"""Most bytes that a compressed one stands for, in HDF5's filters."""


def read_dreem_header(path):
    """What a `Header` needs of a file; no samples are read.

    Returns: dict of `rate`, `frames` and `signals`. The recording is one frame.

    Raises:
        DataError: No HDF5, links to other files, no signals, signals of several lengths, or no rate.
    """
    signals, seconds = [], None
    with opened(path) as file:
        for group in _children(file, "signals", path):
            rate, unit = _attribute(group, "fs", path), plain_unit(_text(group.attrs.get("unit", "")))
            for name in group:
                data = _dataset(group, name, path)
                length = len(data) / rate
                seconds = length if seconds is None else seconds
                if abs(length - seconds) > 1 / rate:
                    rule = f"must last as long as the first channel, {seconds:g} s"
                    raise DataError(f"{rule}. Received: {length:g} s.", file=path, channel=name)
                shape = {"samples_per_frame": len(data), "rate": rate, "offset": 0, "line": 0}
                place = {"file": path.name, "format": FORMAT, "initial": None, "checksum": None}
                signals.append(Signal(name, unit, bool(unit), gain=1.0, baseline=0, **shape, **place))
    if not seconds:
        raise DataError("must hold signals, in groups below `signals`, as the Dreem Open Datasets do.", file=path)
    return {"rate": 1 / seconds, "frames": 1, "signals": tuple(signals), "notes": ()}


def read_dreem_samples(header, index):
    """One channel in its unit: float32 `(samples,)`, NaN where it is no number."""
    name = header.signals[index].name
    with opened(header.path) as file:
        for group in _children(file, "signals", header.path):
            if name in group:
                values = _dataset(group, name, header.path)[...].astype(np.float32)
                values[~np.isfinite(values)] = np.nan
                return values
    raise DataError("was changed while it was read.", file=header.path, channel=name)


def read_dreem_scores(path):
    """`Annotations` of a file's hypnogram, an epoch of 30 s each.

    Raises:
        DataError: No hypnogram, or a number that is no stage.
    """
    with opened(path) as file:
        if "hypnogram" not in file:
            raise DataError("must hold a `hypnogram`. Received: none.", file=path)
        stages = _dataset(file, "hypnogram", path)[...]
    strange = sorted(set(stages.tolist()) - set(STAGES))
    if strange:
        raise DataError(f"stages must be -1 to 4. Received: {strange[:5]}.", file=path, place="hypnogram")
    count = len(stages)
    return timed_marks(path, EPOCH * np.arange(count), np.full(count, EPOCH), [STAGES[int(each)] for each in stages])


@contextlib.contextmanager
def opened(path):
    """An `h5py.File`; whatever h5py says of a damaged one is a `DataError`."""
    import h5py

    refuse_link_out(path, path.parent)
    try:
        stamp = path.stat()
        _probe(path, stamp.st_size, stamp.st_mtime_ns)
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, UnicodeDecodeError) as error:
        raise DataError(f"must be a whole HDF5 file: {error!s:.200}. Restore it.", file=path) from error


@functools.lru_cache(256)
def _probe(path, size, modified):
    """Walk a file in a process of its own: some damage makes HDF5's library go round for ever, or ends the process."""
    try:
        done = subprocess.run([sys.executable, "-c", _WALK, str(path)], timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode < 0:
        raise DataError("must be a whole HDF5 file: its library hangs or crashes on it. Restore it.", file=path)


def _children(file, name, path):
    """The groups below a group."""
    parent = _own(file, name, path)
    return [_own(parent, each, path) for each in parent]


def _own(group, name, path):
    """A member of a group that lies in this file."""
    import h5py

    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DataError(f"`{name}` must be a part of this file, and no link.", file=path, place=group.name)
    return group[name]


def _dataset(group, name, path):
    """A row of numbers that lies in this file, and is no larger than its bytes can say."""
    data = _own(group, name, path)
    stored = getattr(data, "external", True) is None and not data.is_virtual and data.ndim == 1
    if not stored or data.dtype.kind not in "iuf" or not 0 < data.nbytes <= _RATIO * data.id.get_storage_size():
        raise DataError("must be one row of numbers, stored in this file.", file=path, place=f"{group.name}/{name}")
    return data


def _attribute(group, name, path):
    value = float(group.attrs.get(name, np.nan))
    if not 0 < value < 1e6:
        raise DataError(f"`{name}` must be the rate in Hz. Received: {value}.", file=path, place=group.name)
    return value


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
