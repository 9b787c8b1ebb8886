"""Processing of one channel of one record: gaps, resampling, filter, scale, windows.

Each step maps one float32 array to another. A channel of 8 h at 200 Hz takes 23 MB; few copies exist at a time.
"""

from fractions import Fraction

import numpy as np
import scipy  # imports `scipy.signal`, which takes a second, on first use: in the workers only

from physiokeras.constants import INT16_SCALE
from physiokeras.errors import DataError

LONGEST_GAP = 1.0
"""Longest gap in seconds that is interpolated; a longer gap makes the channel absent in the windows it touches."""

GAP_EDGE = 0.25
"""Seconds of a longer gap that a window may hold, so that the last sample of a pause costs no window. On noise between
0.3 and 35 Hz its error is less than two thirds of that of a window with a second that is interpolated."""

FLAT_SHARE = 0.5
"""A window is flat if at least this share of its seconds have a constant value."""

FLAT_SAMPLES = 4
"""Least samples of which one value is told from chance: a slow channel is looked at over more than a second."""

FILTER_ORDER = 4
_CHUNK = 1 << 18
_DENOMINATORS = (10_000, 200_000)
_DRIFT = 1e-3
_QUARTILES = (25.0, 50.0, 75.0)


def fill_gaps(values, rate, longest=LONGEST_GAP):
    """Replace NaN in place by linear interpolation, so that filters never read NaN.

    Args:
        values: `(samples,)` float with at least one finite sample; a gap at an end takes the nearest value.
        rate: Hz.
        longest: Seconds.

    Returns: `(gaps, 2)` int, first sample and end (exclusive) of the gaps longer than `longest`.
    """
    missing = np.isnan(values)
    if not missing.any():
        return np.empty((0, 2), np.int64)
    gaps = np.flatnonzero(np.diff(missing, prepend=False, append=False)).reshape(-1, 2)
    borders = np.unique(gaps + np.array([-1, 0]))
    borders = borders[(borders >= 0) & (borders < len(values))]
    places = np.flatnonzero(missing)
    values[places] = np.interp(places, borders, values[borders])
    return gaps[(gaps[:, 1] - gaps[:, 0]) > longest * rate]


def resample(values, native, target):
    """Resample from `native` to `target` Hz by an anti-aliasing polyphase filter without phase shift.

    Sample k of the result is at k / target seconds, within a millisecond also at the end of a long recording whose rate
    is only near a simple ratio of the target. Both ends are padded with the end value.
    """
    for denominators in _DENOMINATORS:
        ratio = Fraction(target / native).limit_denominator(denominators)
        if abs(float(ratio) * native / target - 1) * len(values) / native < _DRIFT:
            break
    if ratio == 1:
        return values
    return scipy.signal.resample_poly(values, ratio.numerator, ratio.denominator, padtype="edge")


def design_filter(modality, native):
    """The second-order sections of a modality's band-pass and notch at its target rate.

    An upper edge above half the native rate is left out, because the channel has no signal there.

    Returns: `(sections, 6)` float64, or None for no filter.

    Raises:
        DataError: The whole pass band is above half the native rate.
    """
    nyquist, parts = min(native, modality.rate) / 2, []
    if modality.bandpass:
        low, high = modality.bandpass
        if low >= nyquist:
            raise DataError(
                f"recorded at {native:g} Hz, it has no signal in the band {low:g} to {high:g} Hz of "
                f"[modalities.{modality.name}]; leave the channel out or widen `bandpass`."
            )
        edges, kind = ((low, high), "bandpass") if high < nyquist else (low, "highpass")
        parts.append(scipy.signal.butter(FILTER_ORDER, edges, kind, fs=modality.rate, output="sos"))
    if modality.notch and modality.notch < nyquist:
        parts.append(scipy.signal.tf2sos(*scipy.signal.iirnotch(modality.notch, 30, fs=modality.rate)))
    return np.concatenate(parts) if parts else None


def zero_phase(values, sections, pad):
    """Filter forwards and backwards, as `scipy.signal.sosfiltfilt` with `padtype="even"`.

    It filters in chunks of float64 on one float32 buffer: the same result within float32 rounding, at a fifth of the
    memory. Both ends are mirrored (even padding): on real ECG, respiration and pulse the error at the ends is a
    fifth to a half of that of SciPy's default, odd padding.

    Args:
        values: `(samples,)` float32.
        sections: `(sections, 6)`.
        pad: Number of samples by which each end is padded.

    Returns: `(samples,)` float32.
    """
    pad = min(pad, len(values) - 1)
    head, tail = values[1 : pad + 1][::-1], values[::-1][1 : pad + 1]
    buffer = np.concatenate([head, values, tail])
    initial = scipy.signal.sosfilt_zi(sections)
    for view in (buffer, buffer[::-1]):
        state = initial * np.float64(view[0])
        for start in range(0, len(view), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            view[chunk], state = scipy.signal.sosfilt(sections, view[chunk], zi=state)
    return buffer[pad : pad + len(values)]


def filter_signal(values, modality, native):
    """Apply the band-pass and notch filters of a modality to a signal at its target rate, without phase shift."""
    sections = design_filter(modality, native)
    if sections is None:
        return values
    pad = 3 * (2 * len(sections) + 1)
    if modality.bandpass:
        pad = max(pad, round(3 * modality.rate / modality.bandpass[0]))
    return zero_phase(values, sections, pad)


def touched_windows(gaps, rate, windows, window):
    """The windows that hold more than `GAP_EDGE` of a long gap, or more than one sample of it where they are slow.

    Args:
        gaps: `(gaps, 2)` samples, as `fill_gaps` returns them.
        rate: Rate of these samples in Hz.
        windows: Number of windows.
        window: Length of a window in seconds.

    Returns: `(windows,)` bool.
    """
    touched, edge = np.zeros(windows, bool), max(GAP_EDGE, 1 / rate)
    for start, stop in gaps:
        first, last = (start / rate + edge) / window, (stop / rate - edge) / window
        touched[max(0, int(np.floor(first + 1e-9))) : max(0, int(np.ceil(last - 1e-9)))] = True
    return touched


def extremes(values, rate, windows, window):
    """Lowest and highest value in each second of each window; in longer pieces where a second holds few samples.

    Returns: two arrays `(windows, seconds)`. A window that is not a whole number of seconds is divided into parts
        of about one second.
    """
    seconds = max(1, round(window / max(1.0, FLAT_SAMPLES / rate)))
    step = window / seconds * rate
    if step == int(step):
        pieces = values[: windows * seconds * int(step)].reshape(windows, seconds, -1)
        return pieces.min(axis=2), pieces.max(axis=2)
    starts = np.ceil(np.arange(windows * seconds + 1) * step - 1e-6).astype(np.int64)
    values, starts = values[: starts[-1]], np.minimum(starts[:-1], len(values) - 1)
    return (function.reduceat(values, starts).reshape(windows, seconds) for function in (np.minimum, np.maximum))


def flat_windows(lowest, highest):
    """The flat windows: at least half of their seconds have a constant value.

    A detached electrode or a saturated amplifier causes this; noise of one digital step does not.

    Args:
        lowest: `(windows, seconds)`, as `extremes` returns it.
        highest: `(windows, seconds)`, as `extremes` returns it.

    Returns: `(windows,)` bool.
    """
    return (lowest == highest).mean(axis=1) >= FLAT_SHARE


def robust_scale(values):
    """Median and interquartile range of all values."""
    low, middle, high = np.percentile(values, _QUARTILES)
    return float(middle), float(high - low)


def to_int16(values, offset, factor, clip):
    """Scale, clip and store: round((values - offset) / factor / INT16_SCALE) as int16. Changes `values`."""
    values -= np.float32(offset)
    values *= np.float32(1 / (factor * INT16_SCALE))
    limit = np.float32(clip / INT16_SCALE)
    np.clip(values, -limit, limit, out=values)
    return np.rint(values, out=values).astype(np.int16)
