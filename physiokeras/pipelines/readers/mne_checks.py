"""What MNE-Python does not check in the files that it reads: companions, sizes, gaps, units.

Sources: Brain Products, BrainVision Core Data Format 1.0; Schloegl 2006, GDF 2.1, arXiv cs/0608052.
"""

import re
import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out
from physiokeras.pipelines.readers.wfdb_header import plain_unit
from physiokeras.wording import counted

_WIDTHS = {"INT_16": 2, "UINT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4}
_GDF_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 8, 8: 8, 16: 4, 17: 8, 279: 3, 535: 3}
_GDF_UNITS = {4275: "uV", 4274: "mV", 4256: "V", 6048: "degC", 544: "%", 512: "", 0: ""}
_GDF_SCALES = {4275: 1e-6, 4274: 1e-3}
_LARGEST = 64 << 20
_LATE = 1.0
_JUMP = 0.1
_LONGEST = 4 * 86400.0


@dataclass(frozen=True)
class Checked:
    """Result of a check.

    Attributes:
        companions: The files that belong to the record besides the one that names it.
        units: Each channel's unit, and what MNE's value of one such unit is; () where MNE tells.
        runs: As in `Header`.
        notes: Sentences.
    """

    companions: tuple[Path, ...] = ()
    units: tuple[tuple[str, float], ...] = ()
    runs: tuple[tuple[int, float], ...] = ((0, 0.0),)
    notes: tuple[str, ...] = ()


def check_brainvision(path):
    """Check a BrainVision header against its data file and its markers.

    Returns: `Checked`.

    Raises:
        DataError: A data file that is missing, another record's, cut or too long; marks behind its end; segments that
            overlap in time.
    """
    header = _pairs(path)
    _refuse_twice(path)
    data = _companion(path, header, "DataFile")
    if data is None:
        raise DataError("must name its data file, as DataFile=NAME.eeg.", file=path)
    if not data.is_file():
        message = f"its data file {data.name} must lie beside it. Was it renamed? Put it there, or correct DataFile="
        raise DataError(f"{message} in the header.", file=path)
    owner = next((data.with_suffix(end) for end in (".vhdr", ".ahdr") if data.with_suffix(end).exists()), path)
    if data.stem != path.stem and owner != path:
        raise DataError(f"{data.name} belongs to {owner.name}, which names it too. Correct DataFile=.", file=path)
    markers = _companion(path, header, "MarkerFile")
    if markers is not None and not markers.is_file():
        markers = path.with_suffix(".vmrk") if path.with_suffix(".vmrk").is_file() else None
    samples = _samples(path, header, data)
    rate = 1e6 / float(header.get("SamplingInterval", "nan"))
    runs, notes = ((0, 0.0),), []
    if markers is not None:
        runs, notes = _segments(markers, samples, rate)
    return Checked(tuple(file for file in (data, markers) if file), (), runs, tuple(notes))


def _refuse_twice(path):
    """Refuse two channels of one name: MNE numbers them, and then misses their units."""
    listed = re.search(r"^\[Channel Infos\](.*?)(?=^\[|\Z)", _text(path), re.MULTILINE | re.DOTALL | re.IGNORECASE)
    names = re.findall(r"^Ch\d+=([^,\r\n]*)", listed[1] if listed else "", re.MULTILINE | re.IGNORECASE)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError("the header names it twice; rename one of them.", file=path, channel=twice[0])


def _pairs(path):
    """Key -> value of every line of a header; of keys that stand in several sections the first."""
    pairs = {}
    for key, value in re.findall(r"^(\w+)=(.*?)\s*$", _text(path), re.MULTILINE):
        pairs.setdefault(key, value)
    return pairs


def _text(path):
    if path.stat().st_size > _LARGEST:
        raise DataError(f"may have {_LARGEST} bytes. Received: {path.stat().st_size}.", file=path)
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _companion(path, header, key):
    name = header.get(key, "")
    if not name:
        return None
    if any(letter in name for letter in "/\\:\0") or name in (".", ".."):
        raise DataError(f"{key} must be a plain name beside the header. Received: {name!r}.", file=path)
    file = path.with_name(name)
    refuse_link_out(file, path.parent)
    return file


def _samples(path, header, data):
    """Samples of each channel in a binary data file; None where it is text."""
    if header.get("DataFormat", "BINARY").upper() != "BINARY":
        return None
    form, count, stated = (header.get(key, "") for key in ("BinaryFormat", "NumberOfChannels", "DataPoints"))
    if form not in _WIDTHS or not re.fullmatch(r"[1-9]\d{0,5}", count):
        message = f"must give NumberOfChannels and a BinaryFormat of {', '.join(_WIDTHS)}"
        raise DataError(f"{message}. Received: {count!r} and {form!r}.", file=path)
    # The amplifier's own header does not count its last channel.
    size, frame = data.stat().st_size, _WIDTHS[form] * (int(count) + (path.suffix.lower() == ".ahdr"))
    samples = size // frame
    wanted = int(stated) if re.fullmatch(r"\d{1,18}", stated) else samples
    if not samples or size != wanted * frame:
        rule = f"must have {max(1, wanted) * frame} bytes: {max(1, wanted)} samples of {count} channels in {form}"
        raise DataError(f"{rule}, says {path.name}. Received: {size}. Is it cut, or another record's?", file=data)
    return samples


def _segments(path, samples, rate):
    """Runs of samples without a pause, by the times of the "New Segment" marks, and notes."""
    marks = re.findall(
        r"^Mk\d+=([^,\r\n]*),[^,\r\n]*,(\d{1,15}),[^,\r\n]*(?:,[^,\r\n]*)?(?:,(\d{20}))?", _text(path), re.M
    )
    late = [int(place) for _, place, _ in marks if samples is not None and int(place) > samples + _LATE * rate]
    if late:
        message = f"{len(late)} marks lie behind the last of {samples} samples, the first at {late[0]}"
        raise DataError(f"{message}. Is the data file cut, or another record's?", file=path)
    starts = [(int(place) - 1, date) for kind, place, date in marks if kind == "New Segment"]
    if len(starts) < 2:
        return ((0, 0.0),), []
    if not all(date for _, date in starts):
        return ((0, 0.0),), [f"{path.name}: {len(starts)} segments, not all with a time; taken as continuous"]
    runs, (first, begin) = [(0, 0.0)], starts[0]
    for place, date in starts[1:]:
        seconds = (_moment(date, path) - _moment(begin, path)).total_seconds() + first / rate
        last, at = runs[-1]
        gap = seconds - (at + (place - last) / rate)
        if gap < -_JUMP:
            message = f"segments must follow each other. The one at sample {place + 1} begins {-gap:g} s too early"
            raise DataError(f"{message}. Correct its date.", file=path)
        if gap > _JUMP:
            runs.append((place, seconds))
    last, at = runs[-1]
    if at > max(_LONGEST, 2 * last / rate):
        message = f"{last / rate:.0f} s recorded over {at:.0f} s; divide the record at its longest pause"
        raise DataError(f"the pauses between segments are too long: {message}.", file=path)
    lost = at - last / rate
    return tuple(runs), [f"{path.name}: {counted(len(runs) - 1, 'pause')}, {lost:.1f} s in all: missing data"] * (
        lost > 0
    )


def _moment(date, path):
    try:
        return datetime.strptime(date, "%Y%m%d%H%M%S%f")
    except ValueError as error:
        message = f"a segment's time must be yyyymmddhhmmss and microseconds. Received: {date!r}."
        raise DataError(message, file=path) from error


def is_nihon(path):
    """Whether a file is a recording of Nihon Kohden; BrainVision's samples have the same extension."""
    if path.suffix.lower() != ".eeg" or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(4) in (b"EEG-", b"QI-4", b"DAE-")


def check_nihon(path):
    """Check that MNE finds the files beside a recording of Nihon Kohden: without them it takes other names of channels.

    Returns: `Checked`.

    Raises:
        DataError: No such recording; a companion whose extension is in small letters.
    """
    if not is_nihon(path):
        message = "is no recording of Nihon Kohden. One of BrainVision is named by its .vhdr."
        raise DataError(message, file=path, place="byte 0")
    beside = [file for file in path.parent.iterdir() if file.stem == path.stem and file != path]
    found = [file for file in beside if file.suffix.upper() in (".PNT", ".LOG", ".21E")]
    strange = sorted(file.name for file in found if file.suffix != file.suffix.upper())
    if strange:
        message = f"MNE looks for .PNT, .LOG and .21E in capitals. Received: {', '.join(strange)}. Rename it."
        raise DataError(message, file=path)
    return Checked(tuple(sorted(found)))


def check_gdf(path):
    """Check a GDF header against the file's size, and read its units, of which MNE knows two.

    Returns: `Checked`.

    Raises:
        DataError: No GDF, cut, or channels of several rates, which MNE would resample.
    """
    with open(path, "rb") as file:
        head = file.read(256)
        if head[:4] != b"GDF " or len(head) < 256:
            raise DataError(f"must begin as GDF does. Received: {head[:8]!r}.", file=path, place="byte 0")
        first = head[4:5] < b"2" and head[4:8] < b"1.90"
        (count,) = struct.unpack_from("<I" if first else "<H", head, 252)
        if not 0 < count <= path.stat().st_size // 256:
            raise DataError(f"must describe its channels. Received: {count} of them.", file=path, place="byte 252")
        fields = file.read(256 * count)
    begin = struct.unpack_from("<q", head, 184)[0] if first else struct.unpack_from("<H", head, 184)[0] * 256
    (records,) = struct.unpack_from("<q", head, 236)
    if len(fields) < 256 * count or begin < 256 * (count + 1):
        raise DataError("is cut inside its header. Restore it.", file=path)
    each, kinds = (struct.unpack_from(f"<{count}i", fields, place * count) for place in (216, 220))
    strange = sorted(set(kinds) - set(_GDF_WIDTHS))
    if strange:
        raise DataError(f"has samples of the types {strange}, which are unknown.", file=path)
    if len(set(each)) > 1 or each[0] < 1:
        message = f"its channels must have one rate, as MNE would resample the others. Received: {sorted(set(each))}"
        raise DataError(f"{message} samples in a data record. Convert it to EDF.", file=path)
    size = begin + records * sum(_GDF_WIDTHS[kind] for kind in kinds) * each[0]
    if records < 1 or path.stat().st_size < size:
        message = f"must have at least {size} bytes: {records} data records"
        raise DataError(f"{message}. Received: {path.stat().st_size}. Is it cut? Restore it.", file=path)
    _check_gdf_events(path, size, float(head[4:8]))
    return Checked(units=tuple(_gdf_units(fields, count, first)))


def _check_gdf_events(path, place, version):
    """Refuse a table of events behind the samples that the file cannot hold: MNE makes room for it first."""
    with open(path, "rb") as file:
        file.seek(place)
        head = file.read(8)
    if len(head) < 8:
        return
    count = int.from_bytes(head[4:8] if version < 1.94 else head[1:4], "little")
    size = place + 8 + count * (12 if head[0] == 3 else 6)
    if path.stat().st_size < size:
        message = f"must have at least {size} bytes, with {count} events. Received: {path.stat().st_size}"
        raise DataError(f"{message}. Is it cut? Restore it.", file=path, place=f"byte {place}")


def _gdf_units(fields, count, first):
    """Each channel's unit, and what MNE multiplies it by."""
    for number in range(count):
        if first:
            unit = fields[96 * count + 8 * number :][:8].split(b"\0")[0].decode("latin-1").strip()
            yield plain_unit(unit), 1e-6 if unit.startswith("uV") else 1.0
        else:
            (code,) = struct.unpack_from("<H", fields, 102 * count + 2 * number)
            yield _GDF_UNITS.get(code, f"GDF unit {code}"), _GDF_SCALES.get(code, 1.0)
