"""Check the chain of tags of a FIF file before MNE reads it: MNE does not return from a chain that loops.

Source: Functional Image File Format 1.3 (Elekta Neuromag 2011), section 2.
"""

import gzip
import re
import struct

from physiokeras.errors import DataError
from physiokeras.files import refuse_link_out

_HEAD = struct.Struct(">iIii")
_FIRST = 100
"""Kind of the tag with which every file begins: its identity."""

_FOLLOWS, _ENDS = 0, -1
"""Values of a tag's pointer to the next one: it follows at once; there is none."""


def check_tags(path):
    """Walk the tags of a FIF file and of its later parts beside it.

    Raises:
        DataError: No FIF, cut, or a chain that leads back.
    """
    for file in (path, *_parts(path)):
        refuse_link_out(file, path.parent)
        _walk(file)


def _parts(path):
    """Later parts of a file, as MNE and BIDS name them, as far as they are there."""
    stem, end = re.fullmatch(r"(.*?)(\.fif(?:\.gz)?)", path.name, re.IGNORECASE).groups()
    for number in range(1, 1000):
        names = [f"{stem}-{number}{end}", re.sub(r"_split-0*1_", f"_split-{number + 1:02}_", path.name)]
        found = [path.with_name(name) for name in names if name != path.name and path.with_name(name).is_file()]
        if not found:
            return
        yield found[0]


def _walk(path):
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
        size, place, jumps = None if path.suffix.lower() == ".gz" else path.stat().st_size, 0, set()
        while True:
            file.seek(place)
            head = file.read(_HEAD.size)
            if not head and place:
                return
            if len(head) < _HEAD.size:
                raise DataError("is cut inside a tag. Restore it.", file=path, place=f"byte {place}")
            kind, _, length, following = _HEAD.unpack(head)
            if not place and kind != _FIRST:
                raise DataError(f"must begin as FIF does. Received: {head[:8]!r}.", file=path, place="byte 0")
            end = place + _HEAD.size + length
            if length < 0 or following < _ENDS or (size is not None and end > size):
                message = f"is cut or damaged: a tag must lie in the file. Received: {length} bytes"
                raise DataError(f"{message}. Restore it.", file=path, place=f"byte {place}")
            if following == _ENDS:
                return
            place = end if following == _FOLLOWS else following
            if following != _FOLLOWS:
                if place in jumps:
                    raise DataError("is damaged: its tags lead back. Restore it.", file=path, place=f"byte {place}")
                jumps.add(place)
