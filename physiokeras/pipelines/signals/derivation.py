"""The values of one channel of a record, recorded or derived."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.montage import Source
from physiokeras.pipelines.readers.header import Header
from physiokeras.pipelines.readers.records import read_signal
from physiokeras.pipelines.readers.units import convert_unit
from physiokeras.pipelines.readers.wfdb_header import Signal


@dataclass
class Reader:
    """Reads the sources of one record's channels; the last mean of many channels is kept, as an average reference is.

    Args:
        header: `Header` of the record.
        strict: Whether a wrong checksum or initial value is an error; else a note.
        cut: Function of `(values, rate)` that gives the part of a recorded signal that is wanted.
        report: list that receives messages on the signals.
        flat: Function of `(values, rate)` that gives the windows in which a part of a derivation is flat, or None.
    """

    header: Header
    strict: bool = True
    cut: Callable | None = None
    report: list = field(default_factory=list)
    flat: Callable | None = None
    _kept: tuple = (None, None, None)

    def read(self, source: Source, lowest: float | str = "auto") -> tuple[np.ndarray, np.ndarray | None]:
        """Values of a `Source` that is not absent.

        Returns: `(values, flat)`: float32 `(samples,)` in the unit of `signal_of(source)`, NaN where any part is
            missing; bool `(windows,)`, where any part of a derivation is flat, or None.

        Raises:
            DataError: The parts differ in rate, or in what they measure.
        """
        if not source.terms:
            return self._recorded(source.index, lowest), None
        unit, rate = self.signal_of(source).unit, self.signal_of(source).rate
        for index in source.signals:
            part = self.header.signals[index]
            if part.rate != rate:
                message = f"all parts of {source.text} must have one rate, {rate:g} Hz. Received: {part.rate:g} Hz."
                raise DataError(message, file=self.header.path, channel=part.name)
        return self._derived(source, lowest, unit)

    def signal_of(self, source: Source) -> Signal:
        """The first recorded `Signal` of a source, whose rate and unit hold for all of it."""
        return self.header.signals[source.signals[0]]

    def _recorded(self, index, lowest):
        values = read_signal(self.header, index, lowest=lowest, strict=self.strict, report=self.report)
        return self.cut(values, self.header.signals[index].rate) if self.cut else values

    def _derived(self, source, lowest, unit):
        if not source.terms:
            return self._part(source.index, lowest, unit)
        values, flat = self._mean(source.terms[0], lowest, unit)
        if len(source.terms) > 1:
            less, also = self._mean(source.terms[1], lowest, unit)
            values, flat = values - less, _either(flat, also)
        return values, flat

    def _mean(self, term, lowest, unit):
        if self._kept[0] == (term, lowest, unit):
            return self._kept[1].copy(), self._kept[2]
        total = flat = None
        for sign, source in term:
            values, also = self._derived(source, lowest, unit)
            values *= np.float32(sign / len(term))
            total, flat = values if total is None else np.add(total, values, out=total), _either(flat, also)
        if len(term) > 2:
            self._kept = ((term, lowest, unit), total.copy(), flat)
        return total, flat

    def _part(self, index, lowest, unit):
        signal = self.header.signals[index]
        values = self._recorded(index, lowest)
        try:
            convert_unit(values, signal.unit, unit)
        except DataError as error:
            raise DataError(error.message, file=self.header.path, channel=signal.name) from error
        flat = self.flat(values, signal.rate) if self.flat else None
        if flat is not None and flat.any():
            self.report.append(f"its part {signal.name} is flat in {flat.mean():.0%} of the windows")
        return values, flat


def _either(one, other):
    return other if one is None else one if other is None else one | other
