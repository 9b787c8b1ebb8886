"""The header of a record of any format: all that is known before samples are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.channel_names import matches
from physiokeras.pipelines.readers.segments import Segment
from physiokeras.pipelines.readers.wfdb_header import Signal


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
        segments: `physiokeras.pipelines.readers.segments.Segment`s in the order of time; () for a record of one piece.
        layout: Header that lists the signals of all segments, or None.
        runs: `(first frame, seconds)` of each run of frames without a gap; EDF+ alone has several.
        unfinished: Whether the recorder never closed the file, so that its scores may go on behind its end.
        companions: Files besides `path` that belong to the record and that no signal names, such as a list of marks.
        recording: `physiokeras.pipelines.readers.memory.Recording` that holds the samples, or None where files do.
        gaps: Seconds of the gaps, in a header of which `runs` no longer tells them.
    """

    path: Path
    name: str
    rate: float
    frames: int
    signals: tuple[Signal, ...]
    notes: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    layout: Path | None = None
    runs: tuple[tuple[int, float], ...] = ((0, 0.0),)
    unfinished: bool = False
    companions: tuple[Path, ...] = ()
    recording: Any = None
    gaps: float = 0.0

    @property
    def seconds(self) -> float:
        """Length of the record, its gaps included."""
        first, begin = self.runs[-1]
        return begin + (self.frames - first) / self.rate

    @property
    def files(self) -> tuple[Path, ...]:
        """Paths of the signal files, each once, none that is at fault; of several segments, their headers too."""
        if self.segments:
            parts = [file for part in self.segments for file in (part.header.path, *part.header.files)]
            return tuple(dict.fromkeys([*([self.layout] if self.layout else []), *parts]))
        names = dict.fromkeys(signal.file for signal in self.signals if signal.fault is None)
        return tuple(dict.fromkeys([*(self.path.parent / name for name in names), *self.companions]))

    def index(self, channel: Any) -> int | None:
        """Position of a definition's `Channel`, or None where the record lacks it.

        Raises:
            DataError: The record has it twice, lacks it although it is required, or its samples mean nothing.
        """
        index = self.find(channel.names)
        if index is None and channel.required:
            self.lacks(channel)
        return index

    def find(self, names: Sequence[str]) -> int | None:
        """Position of the first of `names` that the record has, or None.

        Raises:
            DataError: The record has it twice, a pattern matches several, or its samples mean nothing.
        """
        here = [signal.name for signal in self.signals]
        for name in names:
            found = matches(name, here)
            several = dict.fromkeys(here[place] for place in found)
            if len(several) > 1:
                message = f"the alias matches several channels: {', '.join(several)}. Narrow it."
                raise DataError(message, file=self.path, channel=name)
            if len(found) > 1:
                message = "the header names it twice; rename one of them."
                raise DataError(message, file=self.path, channel=here[found[0]])
            if found:
                return self.usable(found[0])
        return None

    def lacks(self, channel: Any, also: str = "") -> NoReturn:
        """Refuse the record, which lacks a channel that is required.

        Raises:
            DataError: Always.
        """
        message = f"the definition requires it, under any of {', '.join(channel.names)}{also}"
        has = ", ".join(signal.name for signal in self.signals)
        raise DataError(f"{message}. The record has: {has}.", file=self.path, channel=channel.name)

    def usable(self, index: int) -> int:
        """`index`, of a signal without a fault.

        Raises:
            DataError: Its fault.
        """
        signal = self.signals[index]
        if signal.fault:
            raise DataError(signal.fault, file=self.path, channel=signal.name)
        return index


def noted_faults(signals):
    """Lines on the signals whose samples mean nothing."""
    return [f"{signal.name}: cannot be used: {signal.fault}" for signal in signals if signal.fault]
