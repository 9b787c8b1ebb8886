"""Check the elements of a MATLAB file (versions 5 to 7) before SciPy reads it: SciPy crashes on unknown types.

Source: MathWorks, MAT-File Format (R2023b), level 5.
"""

import struct
import zlib

import numpy as np

from physiokeras.errors import DataError

_MATRIX, _COMPRESSED = 14, 15
_PLAIN = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18)
"""Types of elements that hold numbers or text."""

_CLASSES, _TEXT, _SPARSE, _NUMBERS, _OPAQUE = range(1, 18), 4, 5, range(6, 16), 17
_COMPLEX = 0x800
"""Flag of an array that has imaginary parts, too."""

_DEEPEST = 64
_LARGEST = 4 << 30
"""Bytes that a compressed element may hold."""


def check_elements(path):
    """Walk the elements of a MATLAB file; one in HDF5 (version 7.3) is left to whoever reads it.

    Raises:
        DataError: No MATLAB file, cut, or an element of unknown type or without place.
    """
    with open(path, "rb") as file:
        head = file.read(128)
    if head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        return
    order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
    if order is None:
        raise DataError(f"must begin as MATLAB files do. Received: {head[:20]!r}.", file=path, place="byte 0")

    def fail(message, place):
        raise DataError(f"is cut or damaged: {message}. Restore it.", file=path, place=f"byte {place}")

    _walk(memoryview(np.memmap(path, "u1", "r"))[128:], order, fail, 128, 0)


def _walk(view, order, fail, origin, depth):
    """Walk the elements in `view`, whose first byte is byte `origin` of the file; return how many there are."""
    place = count = 0
    while place < len(view):
        kind, size, begin, after = _tag(view, place, order, fail, origin)
        if kind == _COMPRESSED and not depth:
            data = _unpacked(view[begin : begin + size], fail, origin + place)
            _walk(data, order, _inside(fail, origin + place), 0, 1)
        elif kind == _MATRIX:
            if depth > _DEEPEST:
                fail("its elements are nested too deeply", origin + place)
            _matrix(view[begin : begin + size], order, fail, origin + begin, depth + 1)
        elif kind not in _PLAIN or not depth:
            fail(f"an element has the unknown type {kind}", origin + place)
        place, count = after, count + 1
    return count


def _matrix(view, order, fail, origin, depth):
    """Walk an array: its flags, whose first number holds its class, then its other elements."""
    if not len(view):
        return
    kind, size, begin, after = _tag(view, 0, order, fail, origin)
    flags = struct.unpack_from(f"{order}I", view, begin)[0] if kind == 6 and size == 8 else 0
    held = flags & 0xFF
    if held not in _CLASSES:
        fail("an array must begin with its flags", origin)
    if held != _OPAQUE:
        kind, size, _, _ = _tag(view, after, order, fail, origin)
        if kind != 5 or size < 8 or size % 4:
            fail(f"dimensions of an array are of type {kind} in {size} bytes", origin)
    # Flags, dimensions, name, then real parts, before which sparse arrays have two lists of places.
    needed = 6 if held == _SPARSE else 4 if held in (_TEXT, *_NUMBERS) else 1
    count = _walk(view, order, fail, origin, depth)
    if count < needed + (needed > 1 and bool(flags & _COMPLEX)):
        fail(f"an array of class {held} and flags {flags:#x} has {count} elements", origin)


def _tag(view, place, order, fail, origin):
    """Type and size of the element at `place`, where its data begin, and where the next element does."""
    if place + 8 > len(view):
        fail("an element ends in its head", origin + place)
    kind, size = struct.unpack_from(f"{order}II", view, place)
    if kind >> 16:
        kind, size, begin, after = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        if size > 4:
            fail(f"a small element has {size} bytes", origin + place)
        return kind, size, begin, after
    begin = place + 8
    # Elements within an array are padded to eight bytes, the last one of a file need not be.
    after = begin + size if kind == _COMPRESSED else begin + -(-size // 8) * 8
    if begin + size > len(view):
        fail(f"an element must lie in what holds it. Received: {size} bytes", origin + place)
    return kind, size, begin, after


def _unpacked(view, fail, place):
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(view, _LARGEST)
    except zlib.error as error:
        fail(str(error), place)
    if not unpacker.eof:
        fail("a compressed element is incomplete or too large", place)
    return memoryview(data)


def _inside(fail, place):
    return lambda message, _: fail(message, place)
