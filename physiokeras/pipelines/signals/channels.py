"""All channels of one record as windows of int16, with the quality of each."""

import numpy as np

from physiokeras.constants import INT16_SCALE
from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.montage import find_sources
from physiokeras.pipelines.readers.units import convert_unit
from physiokeras.pipelines.signals import processing
from physiokeras.pipelines.signals.derivation import Reader
from physiokeras.wording import counted

ABSENT = "not in the record"
"""The note on a channel that the record's header does not name."""

_SPREADS = {"uV": (0.05, 5e3), "mV": (5e-5, 5.0), "V": (5e-8, 5e-3)}
"""Plausible interquartile ranges of what a band-pass leaves, by unit."""

_UNFILTERED = 200
"""Times as wide may spreads be where no band-pass removes drifts."""

_LEVELS = {"%": (1, 101), "degC": (10, 50)}
"""Plausible medians where no band-pass removes the level: what these units measure in a living person."""

_LISTED = 30
"""Channels of a file that an error lists."""

_NOTABLE = 0.01
"""Share of samples above which clipping is noted."""


def record_windows(header, definition, *, strict=True, start=0.0):
    """Read, filter, resample, scale and cut every channel that the definition names.

    Windows count from the record's start, where scoring epochs mostly begin; the incomplete last one is left out.

    Args:
        header: `Header` of the record.
        definition: `Definition`.
        strict: Whether a wrong checksum or initial value is an error; else a note.
        start: Seconds that are left out before the first window, to the nearest sample of each channel.

    Returns: `(stored, present, quality)`: dict modality -> `(windows, samples, channels)` int16; `(windows, channels)`
        bool over all channels in the definition's order; one dict per channel with its source, rate, unit, and what
        `channel_windows` found.

    Raises:
        DataError: The record is shorter than a window, has none of the channels or lacks a required one, or a channel
            cannot be read.
    """
    windows = definition.windows(header.seconds - start)
    if windows < 1:
        raise DataError(
            f"lasts {header.seconds:g} s, less than one window of {definition.window:g} s.", file=header.path
        )
    sources = find_sources(header, definition)
    refuse_strange(header, definition, sources)
    reader = Reader(header, strict, cut=lambda values, rate: values[round(start * rate) :])
    stored, present, quality = {}, [], []
    for modality in definition.modalities.values():
        shape = (windows, definition.samples(modality.name), len(modality.channels))
        stored[modality.name] = np.zeros(shape, np.int16)
        for place, channel in enumerate(modality.channels):
            out = stored[modality.name][:, :, place]
            usable, notes = _channel(sources[channel.name], reader, modality, definition.window, out)
            present.append(usable)
            quality.append({"channel": channel.name, "modality": modality.name, **notes})
    return stored, np.stack(present, axis=1), quality


def refuse_strange(header, definition, sources):
    """Refuse a record that has none of the definition's channels.

    Raises:
        DataError: Names what it has, and what was looked for.
    """
    if all(source.absent for source in sources.values()):
        wanted = ", ".join(name for channel in definition.channels for name in definition.names_of(channel))
        has = ", ".join(signal.name for signal in header.signals[:_LISTED])
        message = f"no channel of the definition is in the record. It has {has}; looked for were {wanted[:400]}"
        raise DataError(f"{message}. Add the names to `alias`.", file=header.path)


def _channel(source, reader, modality, window, out):
    """Fill `out` `(windows, samples)`; return which windows are usable, and the channel's quality."""
    if source.absent:
        return np.zeros(len(out), bool), {"present": 0.0, "notes": [absence(source)]}
    reader.report, header, found = [], reader.header, reader.signal_of(source)
    reader.flat = lambda values, rate: _flat(*processing.extremes(values, rate, len(out), window), modality)
    values, flat = reader.read(source, modality.lowest)
    try:
        values = convert_unit(values, found.unit, modality.unit)
        usable, quality = channel_windows(values, found.rate, modality, window, out, flat)
    except DataError as error:
        raise DataError(error.message, file=header.path, channel=source.text, place=error.place) from error
    quality["notes"] = [*reader.report, *quality["notes"]]
    parts = {"parts": [header.signals[index].name for index in source.signals]} if source.terms else {}
    return usable, {
        "source": source.text,
        **parts,
        "rate": found.rate,
        "unit": modality.unit or (found.unit if found.unit_stated else None),
        **quality,
    }


def absence(source):
    """The note on a channel that a record lacks, by its `Source`."""
    return ABSENT + (f", and {source.text} lacks {', '.join(source.missing)}" if source.missing else "")


def is_absent(channel):
    """Whether a record lacks a channel, by the dict that `record_windows` gives of it."""
    return any(note.startswith(ABSENT) for note in channel["notes"])


def channel_windows(values, native, modality, window, out, flat=None):
    """Turn one channel's physical values into stored windows.

    Args:
        values: `(samples,)` float32 in the modality's unit at `native` Hz, NaN where missing. It is overwritten.
        native: Hz.
        modality: `Modality`.
        window: Seconds.
        out: `(windows, samples)` int16 zeros, filled in place; windows that are not usable stay zero.
        flat: `(windows,)` bool, windows that are flat besides those in which `values` are; None for no others.

    Returns: `(usable, quality)`: `(windows,)` bool, and a dict of `present` (share of windows) and `notes`; as far as
        there is anything to measure, `lowest` and `highest` as recorded, `flat` (share of windows), `median` and `iqr`
        after filtering, all in the unit, `offset` and `factor` of the scale, and `clipped` (share of samples).
    """
    windows, samples = out.shape
    nothing = np.zeros(windows, bool)
    usable, quality = _usable_windows(values, native, modality, window, windows, flat)
    notes = quality["notes"]
    if not usable.any():
        return nothing, quality
    values = processing.resample(values, native, modality.rate)
    values = processing.filter_signal(values, modality, native)[: windows * samples]
    # Rates that are no simple ratio may leave the last sample out.
    values = np.pad(values, (0, windows * samples - len(values)), "edge").reshape(windows, samples)
    chosen = values if usable.all() else values[usable]
    offset, factor = modality.offset, modality.factor
    middle, spread = processing.robust_scale(chosen)
    notes += _implausible(middle, spread, modality)
    quality |= {"median": middle, "iqr": spread}
    if modality.scale == "robust":
        offset, factor = middle, spread
        if not spread > 0:
            notes.append("its interquartile range is 0")
            return nothing, quality
    stored = processing.to_int16(chosen, offset, factor, modality.clip)
    clipped = np.count_nonzero(np.abs(stored) >= round(modality.clip / INT16_SCALE)) / stored.size
    out[slice(None) if usable.all() else usable] = stored
    notes += [f"{clipped:.0%} of the samples beyond the scale's range, clipped"] if clipped > _NOTABLE else []
    return usable, quality | {"present": float(usable.mean()), "offset": offset, "factor": factor, "clipped": clipped}


def _usable_windows(values, native, modality, window, windows, flat):
    """Which windows have a signal, and the quality of what was recorded; gaps up to a second are filled in place."""
    notes = []
    quality = {"present": 0.0, "notes": notes}
    if np.isnan(values).all():
        notes.append("every sample is missing")
        return np.zeros(windows, bool), quality
    gaps = processing.fill_gaps(values, native)
    usable = ~processing.touched_windows(gaps, native, windows, window)
    if len(gaps):
        notes.append(f"{counted(len(gaps), 'gap')} over 1 s, {np.sum(gaps[:, 1] - gaps[:, 0]) / native:.0f} s in all")
    lowest, highest = processing.extremes(values, native, windows, window)
    low, high = lowest.min(), highest.max()
    if modality.bandpass:
        rails = max(np.count_nonzero(values == low), np.count_nonzero(values == high)) / len(values)
        notes += [f"{rails:.0%} of the samples at its extreme value"] if rails > _NOTABLE else []
    flat = _flat(lowest, highest, modality) | (False if flat is None else flat)
    quality |= {"lowest": float(low), "highest": float(high), "flat": float(np.mean(flat & usable))}
    notes += [f"flat in {quality['flat']:.0%} of the windows"] if quality["flat"] else []
    usable &= ~flat
    if not usable.any():
        notes.append("no usable window")
    return usable, quality


def _flat(lowest, highest, modality):
    """Flat windows, by the lowest and highest values of their seconds."""
    if modality.bandpass:
        return processing.flat_windows(lowest, highest)
    # Without a band-pass the level itself is the information: a steady temperature is no loose electrode.
    return np.full(len(lowest), lowest.min() == highest.max())


def _implausible(middle, spread, modality):
    """Notes on what no living person's signal measures: a wrong unit or gain, most often."""
    if modality.bandpass or modality.unit in _SPREADS:
        what, value, (least, most) = "interquartile range", spread, _SPREADS.get(modality.unit, (0, np.inf))
        most *= 1 if modality.bandpass else _UNFILTERED
    else:
        what, value, (least, most) = "median", middle, _LEVELS.get(modality.unit, (-np.inf, np.inf))
    return [] if least <= value <= most else [f"implausible amplitude: {what} {value:.3g} {modality.unit}"]
