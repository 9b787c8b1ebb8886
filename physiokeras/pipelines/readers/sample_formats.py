"""Sample formats of WFDB signal files: their sizes in bytes, and unpacking.

Source: the WFDB manual page signal(5). The compressed ones (508, 516, 524) are in `physiokeras.pipelines.readers.flac`.
"""

import numpy as np

from physiokeras.pipelines.readers import flac

DIFFERENCES = "8"
"""The format that stores differences between successive samples, starting from the header's initial value."""

LAYOUT = "0"
"""The format of a signal without a file, in the layout header of a record of several segments."""

FORMATS = {
    "8": (1, 1, None),
    "16": (2, 1, -(2**15)),
    "24": (3, 1, -(2**23)),
    "32": (4, 1, -(2**31)),
    "61": (2, 1, -(2**15)),
    "80": (1, 1, -(2**7)),
    "160": (2, 1, -(2**15)),
    "212": (3, 2, -(2**11)),
    "310": (4, 3, -(2**9)),
    "311": (4, 3, -(2**9)),
}
"""Format -> bytes of a group, samples of a group, the lowest value (WFDB's code for "no valid sample") or None."""

KNOWN = (*FORMATS, *flac.FORMATS)
"""All formats of signal files."""


def sizes(form, samples):
    """Possible sizes in bytes of a file of `samples` samples: exact, and padded to whole groups."""
    group, count, _ = FORMATS[form]
    return {-(-samples * group // count), -(-samples // count) * group}


def lowest(form):
    """The lowest value of a format, WFDB's code for "no valid sample"; None for 8 and EDF, which have none."""
    if form in flac.FORMATS:
        return -(1 << flac.FORMATS[form] - 1)
    return FORMATS[form][2] if form in FORMATS else None


def dtype(form):
    """NumPy type that holds a format's samples: int16 or int32."""
    code = lowest(form)
    return np.int16 if code is not None and code >= -(2**15) else np.int32


def unpack(form, data):
    """Unpack the samples in `data`; for format 8, their differences.

    Args:
        form: Key of `FORMATS`.
        data: bytes, in whole groups.

    Returns: `(samples,)` int16 or int32.
    """
    if form in ("16", "61"):
        return np.frombuffer(data, "<i2" if form == "16" else ">i2")
    if form == "32":
        return np.frombuffer(data, "<i4")
    if form == DIFFERENCES:
        return np.frombuffer(data, "i1")
    if form == "80":
        return np.frombuffer(data, "u1").astype(np.int16) - 128
    if form == "160":
        return (np.frombuffer(data, "<u2").astype(np.int32) - 32768).astype(np.int16)
    if form == "24":
        parts = np.frombuffer(data, "u1").reshape(-1, 3)
        return parts[:, 2].view("i1").astype(np.int32) * 65536 + parts[:, 1] * np.int32(256) + parts[:, 0]
    if form == "212":
        low, middle, high = np.frombuffer(data, "u1").reshape(-1, 3).T.astype(np.int16)
        return _signed(np.stack([low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4], 1), 12)
    words = np.frombuffer(data, "<u4")[:, None]
    if form == "311":
        return _signed((words >> np.array([0, 10, 20], "u4")).astype(np.int16) & 0x3FF, 10)
    ends = (words >> np.array([1, 17], "u4")) & 0x7FF & 0x3FF
    third = (words >> 11 & 0x1F) | (words >> 27 & 0x1F) << 5
    return _signed(np.concatenate([ends, third], 1).astype(np.int16), 10)


def _signed(values, bits):
    """Interpret `values` as two's complement of `bits` bits, in place."""
    values[values >= 1 << bits - 1] -= 1 << bits
    return values.reshape(-1)
