"""Recordings that MNE-Python reads, the extra `[mne]`: BrainVision, FIF, EEGLAB, GDF, CNT and others.

One channel is read at a time, some megabytes of the file at a time. EDF and BDF are read by
`physiokeras.pipelines.readers.edf`, at each channel's own rate.
"""

import contextlib
import re
import warnings
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.readers.fif_tags import check_tags
from physiokeras.pipelines.readers.mat_elements import check_elements
from physiokeras.pipelines.readers.mne_checks import Checked, check_brainvision, check_gdf, check_nihon, is_nihon
from physiokeras.pipelines.readers.wfdb_header import Signal, plain_unit

FORMAT = "MNE"
"""`Signal.format` of these files."""

SUFFIXES = (
    ".vhdr",
    ".ahdr",
    ".fif",
    ".fif.gz",
    ".set",
    ".gdf",
    ".cnt",
    ".nedf",
    ".nxe",
    ".lay",
    ".cdt",
    ".sqd",
    ".snirf",
)
"""Extensions, in lower case, that no list of records has; a pattern may name any other that MNE reads."""

NIHON = ".eeg"
"""Nihon Kohden's extension, in lower case, which BrainVision's files of samples have too."""

_TRIED = (".vhdr", ".ahdr", ".fif", ".fif.gz", ".set", ".gdf", ".lay")
"""Extensions of formats that were tried with files of known values."""

FOLDERS = (".mff", ".ds", ".mefd")
"""Extensions, in lower case, of recordings that are folders."""

NO_FOLDERS = "a recording that is a folder is no record; give it to physiokeras.pipelines.from_raw"

_CHECKS = {".vhdr": check_brainvision, ".ahdr": check_brainvision, ".gdf": check_gdf, NIHON: check_nihon}

_WAYS = {
    ".xdf": "MNE reads no XDF. Load it with pyxdf and give it to physiokeras.pipelines.from_arrays, or save it as FIF",
    ".vmrk": "A BrainVision record is named by its .vhdr",
    ".fdt": "An EEGLAB record is named by its .set",
}

_SCALES = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9, "uS": 1e-6}
"""What MNE multiplies by, for the units that it converts to SI."""

_NIHON_HEAD = 0x1800
"""Bytes before the samples of Nihon Kohden, at least."""

_BESIDE = (".vmrk", ".LOG", ".PNT", ".21E")
"""Extensions of files of marks and names that MNE reads, too, and does not list."""

_HELD = 1 << 24
"""Bytes of a file that are read at a time, about."""

_FATAL = ("Invalid tag",)
_EXPECTED = ("does not conform to MNE naming", "pass filter", "pass cutoff", "boundary", "physical dimension")
"""Parts of MNE's warnings: those of a damaged file, and those that say nothing of the samples."""

_PARTS = re.compile(r"(.*)-\d+(\.fif(?:\.gz)?)|(.*_split-)(?!0*1_)\d+(_.*)", re.IGNORECASE)
_MARKS = re.compile(r".*[-_](annot|eve|ave|epo|cov|ica|proj|fwd|inv|trans)\.fif(\.gz)?", re.IGNORECASE)
_JOINTS = ("boundary", "edge boundary")
_STRUCTURE = (*_JOINTS, "bad boundary", "bad acq skip")
_last: dict = {}


def is_part(path):
    """Whether a FIF file is a later part of another one beside it, by its name and by what the other one says."""
    match = _PARTS.fullmatch(path.name)
    if not match:
        return False
    stem, end, split, rest = match.groups()
    names = [f"{stem}{end}"] if stem is not None else [f"{split}{number}{rest}" for number in ("1", "01", "001")]
    with contextlib.suppress(DataError):
        firsts = [path.with_name(name) for name in names if path.with_name(name).is_file()]
        return any(path in map(Path, open_raw(first)[0].filenames) for first in firsts)
    return False


def holds_marks_alone(path):
    """Whether a file is one of annotations, events or averages by its name, as MNE rules for FIF."""
    return bool(_MARKS.fullmatch(path.name))


def read_mne_header(path):
    """Fields of a `Header` of a file that MNE reads; no samples are read.

    Returns: dict of `rate`, `frames`, `signals`, `runs`, `companions` and `notes`.

    Raises:
        DataError: A format that MNE does not read, a damaged or cut file, a missing companion; or mne is missing.
    """
    refuse_link_out(path, path.parent)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"must be a readable file; {NO_FOLDERS}.", file=path)
    if suffix in _WAYS:
        raise DataError(f"{_WAYS[suffix]}.", file=path)
    with refused(path):
        checked = _CHECKS.get(suffix, lambda path: Checked())(path)
    raw, notes = open_raw(path)
    companions = dict.fromkeys([*checked.companions, *(Path(file) for file in raw.filenames if file)])
    companions.pop(path, None)
    for file in companions:
        refuse_link_out(file, path.parent)
    _check_size(path, raw, companions)
    facts = describe(raw, path.name, checked.units, eeglab=suffix == ".set")
    notes = (*checked.notes, *_untried(path), *notes, *facts.pop("notes"))
    return {**facts, "runs": checked.runs, "companions": tuple(companions), "notes": notes}


def _untried(path):
    """A note on a format that is read as MNE reads it, and of which no file of known values was read here."""
    if path.name.lower().endswith(_TRIED):
        return ()
    rule = f"{path.name}: read as MNE reads {path.suffix}; physiokeras was not tried with files of this format"
    return (f"{rule}. Compare a channel and its unit with another program's",)


def describe(raw, file, units=(), *, eeglab=False):
    """`rate`, `frames`, `signals` and `notes` of an `mne.io.Raw`.

    Args:
        raw: `mne.io.Raw`.
        file: Name of its file.
        units: Each channel's unit, and what MNE's value of one such unit is; () where MNE tells.
        eeglab: Whether the values are microvolts for MNE whatever they are, as in EEGLAB's files.
    """
    rate, frames = float(raw.info["sfreq"]), int(raw.n_times)
    if not (0 < rate < 1e9 and frames > 0 and len(raw.ch_names)):
        raise DataError(
            f"must hold samples. Received: {frames} of {len(raw.ch_names)} channels at {rate} Hz.", file=file
        )
    # MNE keeps the file's own units, and has no public name for them.
    known, signals, scales = getattr(raw, "_orig_units", {}), [], _scales(raw)
    for number, channel in enumerate(raw.info["chs"]):
        name = channel["ch_name"]
        unit, gain = units[number] if units else _unit(known.get(name), channel["unit"], eeglab)
        gain = scales.get(name, gain)
        fields = {"samples_per_frame": 1, "rate": rate, "file": file, "format": FORMAT, "offset": 0, "line": 0}
        signals.append(Signal(name, unit, bool(unit), gain=gain, baseline=0, initial=None, checksum=None, **fields))
    texts = [_plain(text) for text in raw.annotations.description]
    joints = sum(text in _JOINTS for text in texts)
    notes = [f"{file}: stretches were cut out or joined in {joints} places; taken as continuous"] * bool(joints)
    notes += [f"{name}: marked as bad in the file; used all the same" for name in raw.info["bads"]]
    return {"rate": rate, "frames": frames, "signals": tuple(signals), "notes": tuple(notes)}


def _scales(raw):
    """What MNE multiplied each channel by, by name, for the formats of which it calls units microvolts that it does not
    scale: with a Greek mu, or in capitals.
    """
    if type(raw).__name__ == "RawBrainVision":
        return {channel["ch_name"]: float(channel["range"]) for channel in raw.info["chs"]}
    extras = next(iter(getattr(raw, "_raw_extras", None) or ()), None) or {}
    if type(raw).__name__ in ("RawEDF", "RawBDF") and len(extras.get("units", ())) == len(extras.get("ch_names", "x")):
        return dict(zip(extras["ch_names"], map(float, extras["units"]), strict=True))
    return {}


def _unit(given, constant, eeglab):
    """A channel's unit, and what MNE's value of one such unit is."""
    from mne.io.constants import FIFF

    names = {FIFF.FIFF_UNIT_V: "V", FIFF.FIFF_UNIT_CEL: "degC", FIFF.FIFF_UNIT_S: "S", FIFF.FIFF_UNIT_T: "T"}
    names |= {FIFF.FIFF_UNIT_T_M: "T/m", FIFF.FIFF_UNIT_MOL: "mol", FIFF.FIFF_UNIT_OHM: "Ohm", FIFF.FIFF_UNIT_M: "m"}
    if eeglab:
        return ("uV" if constant == FIFF.FIFF_UNIT_V else ""), 1e-6
    unit = names.get(constant, "") if given is None else plain_unit(given) if given != "n/a" else ""
    return ("degC" if unit == "C" else unit), _SCALES.get(unit, 1.0)


def gdf_units(raw, path):
    """What `describe` needs of the channels of an `mne.io.Raw` that was read from a GDF file."""
    names, units = open_raw(path)[0].ch_names, check_gdf(path).units
    known = dict(zip(names, units, strict=True))
    return tuple(known.get(name, ("", 1.0)) for name in raw.ch_names)


def read_mne_samples(header, index):
    """One channel in its unit, block by block: float32 `(samples,)`, NaN where the recorder stood still."""
    raw, signal = open_raw(header.path)[0], header.signals[index]
    return listen(header.path, lambda: read_raw_channel(raw, index, signal.gain), signal.name)[0]


def read_raw_channel(raw, index, gain):
    """One channel of an `mne.io.Raw`, divided by `gain`: float32 `(samples,)`, NaN where the recorder stood still."""
    result = np.empty(raw.n_times, np.float32)
    # Each read of a gzipped file begins at its start.
    whole = any(str(file).endswith(".gz") for file in raw.filenames)
    step = raw.n_times if whole or raw.preload else max(1, _HELD // (4 * len(raw.ch_names)))
    for start in range(0, raw.n_times, step):
        stop = min(start + step, raw.n_times)
        result[start:stop] = raw.get_data(picks=[index], start=start, stop=stop)[0] / gain
    for mark in raw.annotations:
        if _plain(mark["description"]) == "bad acq skip":
            begin = (mark["onset"] - raw.first_time) * raw.info["sfreq"]
            result[max(0, round(begin)) : max(0, round(begin + mark["duration"] * raw.info["sfreq"]))] = np.nan
    result[np.isinf(result)] = np.nan
    return result


def is_structure(text):
    """Whether an annotation tells of the recording's own pieces: pauses, joints; it is no score."""
    return _plain(text) in _STRUCTURE or text.startswith("New Segment/")


def open_raw(path):
    """A file's `mne.io.Raw`, without its samples, and notes on it.

    The last one is kept: a record is opened once, and not once for each channel.
    """
    stamp, raw, notes = _last.get(path, (None, None, None))
    if raw is not None and stamp == _stamp(path, raw):
        return raw, notes
    _last.clear()
    mne = import_mne(path)
    check_structure(path)
    raw, notes = listen(path, lambda: mne.io.read_raw(path, preload=False, verbose="WARNING"))
    _last[path] = _stamp(path, raw), raw, notes
    return raw, notes


def check_structure(path):
    """Walk a file of FIF or EEGLAB before MNE does, which some damage hangs or crashes."""
    with refused(path):
        if path.name.lower().endswith((".fif", ".fif.gz")):
            check_tags(path)
        elif path.suffix.lower() == ".set":
            check_elements(path)


def listen(path, read, channel=None):
    """The result of `read()`, and notes on what MNE warned of meanwhile.

    Raises:
        DataError: Whatever is raised, and warnings of a damaged file.
    """
    with refused(path, channel), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = read()
    messages = dict.fromkeys(re.sub(r"\s+", " ", str(warning.message)) for warning in caught)
    for message in messages:
        if any(part in message for part in _FATAL):
            raise DataError(f"is damaged, says MNE: {message[:200]} Restore it.", file=path, channel=channel)
    lost = [message for message in messages if not any(part in message for part in _EXPECTED)]
    return result, tuple(f"{path.name}: {message[:200]}" for message in lost)


def import_mne(path):
    """The package mne.

    Raises:
        DataError: It is not installed.
    """
    try:
        import mne
    except ImportError as error:
        message = f"{path.suffix or 'such'} files need the package mne: pip install 'physiokeras[mne]'."
        raise DataError(message, file=path) from error
    return mne


def _stamp(path, raw):
    files = [path, *(Path(file) for file in raw.filenames if file)]
    files += [file for end in _BESIDE if (file := path.with_suffix(end)).exists()]
    with contextlib.suppress(OSError):
        return [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return None


def _check_size(path, raw, companions):
    """Refuse a file that cannot hold its samples, and an EEGLAB data file of another size."""
    values, size = raw.n_times * len(raw.ch_names), sum(file.stat().st_size for file in (path, *companions))
    if values > 1000 * size:
        raise DataError(f"cannot hold {values} samples in {size} bytes. Restore it.", file=path)
    least, has = _NIHON_HEAD + 2 * raw.n_times * (len(raw.ch_names) + 1), path.stat().st_size
    if is_nihon(path) and has < least:
        message = f"must have at least {least} bytes: a header and {raw.n_times} samples. Received: {has}"
        raise DataError(f"{message}. Is it cut? Restore it.", file=path)
    for file in companions:
        if file.suffix.lower() == ".fdt" and file.stat().st_size != 4 * values:
            rule = f"must have {4 * values} bytes, says {path.name}"
            raise DataError(f"{rule}. Received: {file.stat().st_size}. Is it cut, or another record's?", file=file)


def _plain(text):
    return str(text).lower().replace("_", " ")


@contextlib.contextmanager
def refused(path, channel=None):
    """Context: any error while MNE reads a damaged file becomes a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        way = _WAYS.get(path.suffix.lower(), "Restore it, or see whether mne.io.read_raw reads it")
        message = re.sub(r"\s+", " ", str(error))[:200] or type(error).__name__
        raise DataError(f"MNE cannot read it: {message} {way}.", file=path, channel=channel) from error
