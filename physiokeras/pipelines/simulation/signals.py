"""Components of simulated channels: noise, waveforms and heart beats, generated in blocks to bound memory."""

from functools import cache, lru_cache

import numpy as np
from scipy.signal import butter, sosfilt, zpk2sos

from physiokeras.pipelines.simulation.challenge_files import RATE
from physiokeras.pipelines.simulation.physiology import GRID

BLOCK = 120 * GRID
"""Number of grid values in a block."""

STEP = RATE // GRID
_RAMP = np.arange(STEP, dtype=np.float32) / STEP


@cache
def _filter(low, high):
    """Filter sections that turn uniform white noise in [-0.5, 0.5) into band-limited noise of unit variance."""
    if low is None:
        poles, zeros = np.array([0.4, 4.0, 40.0]), np.array([1.3, 13.0])
        sos = zpk2sos(np.exp(-2 * np.pi * zeros / RATE), np.exp(-2 * np.pi * poles / RATE), 1.0)
    elif high is None:
        sos = butter(2, low, "highpass", fs=RATE, output="sos")
    else:
        sos = butter(2, [low, high], "bandpass", fs=RATE, output="sos")
    impulse = np.zeros(60 * RATE)
    impulse[0] = 1
    sos[0, :3] *= np.sqrt(12 / np.sum(sosfilt(sos, impulse) ** 2))
    return sos.astype(np.float32)


class Noise:
    """Noise of unit variance in a frequency band, continuous from call to call.

    Args:
        rng: Generator.
        low: Lower edge in Hz, or None for a 1/f spectrum from 0.4 Hz.
        high: Upper edge in Hz, or None for none.
        rows: Number of independent rows.
    """

    def __init__(self, rng, low, high, rows=1):
        self.rng, self.rows, self.sos = rng, rows, _filter(low, high)
        self.state = np.zeros((len(self.sos), rows, 2), np.float32)

    def __call__(self, count):
        """The next `(rows, count)` samples."""
        # Drawing uniform noise is four times faster than normal noise, and filtering makes it nearly Gaussian.
        white = self.rng.random((self.rows, count), dtype=np.float32)
        white -= np.float32(0.5)
        shaped, self.state = sosfilt(self.sos, white, zi=self.state)
        return shaped


class Waves:
    """Short waveforms at given times.

    Args:
        times: Start of each waveform in seconds.
        shapes: Samples of each waveform, float32, at `RATE`.
    """

    def __init__(self, times, shapes):
        order = np.argsort(times, kind="stable")
        self.starts = np.rint(np.asarray(times, float)[order] * RATE).astype(int)
        self.shapes = [np.asarray(shapes[index], np.float32) for index in order]
        self.longest = max((len(shape) for shape in self.shapes), default=0)

    def __call__(self, block):
        """The sum of the waveforms within a block of the grid: `(samples,)`."""
        begin, end = block.start * STEP, block.stop * STEP
        out = np.zeros(end - begin, np.float32)
        first, last = np.searchsorted(self.starts, (begin - self.longest, end))
        for start, shape in zip(self.starts[first:last], self.shapes[first:last], strict=True):
            cut = max(0, begin - start)
            part = shape[cut : end - start]
            out[start + cut - begin : start + cut - begin + len(part)] += part
        return out


def blocks(night):
    """Consecutive slices of the grid."""
    count = len(night.arousal)
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def fine(course, block):
    """Interpolate a latent course, or rows of courses, linearly to `RATE` within a block."""
    values = course[..., block.start : block.stop + 1]
    if values.shape[-1] == block.stop - block.start:
        values = np.concatenate([values, values[..., -1:]], axis=-1)
    rise = np.diff(values, axis=-1)
    samples = values[..., :-1, None] + rise[..., None] * _RAMP
    return samples.reshape(*values.shape[:-1], -1).astype(np.float32, copy=False)


def poisson(rng, hourly):
    """Times in seconds of events whose rate an hour is a course on the grid."""
    hits = np.flatnonzero(rng.random(len(hourly), dtype=np.float32) < hourly / (3600 * GRID))
    return (hits + rng.random(len(hits))) / GRID


def seconds(length):
    """Times of the samples of a waveform that lasts `length` seconds."""
    return np.arange(int(length * RATE), dtype=np.float32) / RATE


def gauss(time, centre, width):
    """Gaussian bump of height 1."""
    return np.exp(-0.5 * ((time - centre) / width) ** 2)


_PULSE = np.arange(-0.35, 0.9, 0.0005)
_PQRST = sum(
    height * gauss(_PULSE, centre, width)
    for height, centre, width in (
        (0.11, -0.165, 0.022),
        (-0.09, -0.032, 0.010),
        (1.05, 0.000, 0.0110),
        (-0.22, 0.030, 0.011),
        (0.24, 0.270, 0.045),
    )
)
_PREMATURE = 1.25 * gauss(_PULSE, 0.02, 0.035) - 0.45 * gauss(_PULSE, 0.26, 0.06)
_BEATS = np.stack([_PQRST, _PREMATURE]).astype(np.float32)
_BEATS[:, [0, -1]] = 0


def heartbeat(night, block):
    """Cardiac signal, `(samples,)`, about 1 mV at the R peak; the QT interval shortens with the heart rate."""
    return _heartbeat(night, block.start, block.stop)


@lru_cache(maxsize=1)
def _heartbeat(night, start, stop):
    clock = np.arange(start * STEP, stop * STEP) / RATE
    first, last = np.searchsorted(night.beats, (clock[0] - 2.5, clock[-1] + 2.5))
    beats, ectopic = night.beats[first:last], night.ectopic[first:last].astype(int)
    spacing = np.diff(beats, append=beats[-1] + 1.0)
    begins = beats - 0.3 * np.minimum(1.0, np.concatenate([[1.0], spacing[:-1]]))
    counts = np.diff(np.searchsorted(clock, begins), prepend=0, append=len(clock))
    index = np.repeat(np.arange(-1, len(beats)), counts).clip(0)
    after = clock - beats[index]
    pace = 1 / np.sqrt(spacing.clip(0.3, 1.6))
    after = np.where(after > 0.06, 0.06 + (after - 0.06) * pace[index], after)
    place = ((after - _PULSE[0]) * 2000).astype(np.int32).clip(0, len(_PULSE) - 1)
    return _BEATS[ectopic[index], place]
