"""Channels of a simulated polysomnogram, block by block, from the latent course of a night.

Each generator yields `(channels, samples)` in physical units for one block after another, so that memory does not
grow with the length of the night. Amplitudes are plausible, invented, and no data about anyone.
"""

from functools import cache

import numpy as np
from scipy.signal import butter, sosfilt, zpk2sos

from physiokeras.pipelines.challenge_files import RATE
from physiokeras.pipelines.simulated_physiology import GRID
from physiokeras.pipelines.simulated_sleep import W, generator

BLOCK = 120 * GRID
"""Grid values of a block."""

_STEP = RATE // GRID
_RAMP = np.arange(_STEP, dtype=np.float32) / _STEP


@cache
def _filter(low, high):
    """Sections that turn white noise of unit variance into noise of unit variance in a band."""
    if low is None:
        poles, zeros = np.array([0.4, 4.0, 40.0]), np.array([1.3, 13.0])
        sos = zpk2sos(np.exp(-2 * np.pi * zeros / RATE), np.exp(-2 * np.pi * poles / RATE), 1.0)
    elif high is None:
        sos = butter(2, low, "highpass", fs=RATE, output="sos")
    else:
        sos = butter(2, [low, high], "bandpass", fs=RATE, output="sos")
    impulse = np.zeros(60 * RATE)
    impulse[0] = 1
    sos[0, :3] /= np.linalg.norm(sosfilt(sos, impulse))
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
        # Uniform noise is drawn four times faster than normal noise, and filtering makes it all but Gaussian.
        white = (self.rng.random((self.rows, count), dtype=np.float32) - np.float32(0.5)) * np.float32(12**0.5)
        shaped, self.state = sosfilt(self.sos, white, zi=self.state)
        return shaped


class Waves:
    """Short waveforms placed at samples.

    Args:
        times: Begin of each in seconds.
        shapes: The waveform of each, float32, at `RATE`.
    """

    def __init__(self, times, shapes):
        order = np.argsort(times, kind="stable")
        self.starts = np.rint(np.asarray(times, float)[order] * RATE).astype(int)
        self.shapes = [np.asarray(shapes[index], np.float32) for index in order]
        self.longest = max((len(shape) for shape in self.shapes), default=0)

    def __call__(self, block):
        """The sum of the waveforms within a block of the grid: `(samples,)`."""
        begin, end = block.start * _STEP, block.stop * _STEP
        out = np.zeros(end - begin, np.float32)
        first, last = np.searchsorted(self.starts, (begin - self.longest, end))
        for start, shape in zip(self.starts[first:last], self.shapes[first:last], strict=True):
            cut = max(0, begin - start)
            part = shape[cut : end - start]
            out[start + cut - begin : start + cut - begin + len(part)] += part
        return out


def blocks(night):
    """Slices of the grid, one after another."""
    count = len(night.arousal)
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def fine(course, block):
    """A latent course, or rows of them, at `RATE` within a block, by linear interpolation."""
    values = course[..., block.start : block.stop + 1]
    if values.shape[-1] == block.stop - block.start:
        values = np.concatenate([values, values[..., -1:]], axis=-1)
    rise = np.diff(values, axis=-1)
    samples = values[..., :-1, None] + rise[..., None] * _RAMP
    return samples.reshape(*values.shape[:-1], -1).astype(np.float32, copy=False)


def _poisson(rng, hourly):
    """Times in seconds of events whose rate an hour is a course on the grid."""
    hits = np.flatnonzero(rng.random(len(hourly), dtype=np.float32) < hourly / (3600 * GRID))
    return (hits + rng.random(len(hits))) / GRID


def _seconds(length):
    return np.arange(int(length * RATE), dtype=np.float32) / RATE


def _gauss(time, centre, width):
    return np.exp(-0.5 * ((time - centre) / width) ** 2)


def _eye_waves(night):
    """Blinks in wake, and rapid eye movements in phasic REM and open-eyed wake, in uV at the eye: both `Waves`."""
    rng, time = generator(night.seed, "eyes"), _seconds(0.5)
    blink = _gauss(time, 0.18, 0.06) - 0.25 * _gauss(time, 0.36, 0.08)
    times = _poisson(rng, 3600 * (0.25 * night.open_eyes + 0.05 * night.arousal * night.weights[W]))
    blinks = Waves(times, [blink * (160 * np.exp(0.25 * rng.standard_normal())) for _ in times])
    times = _poisson(rng, 3600 * (1.1 * night.phasic + 0.35 * night.open_eyes))
    time, shapes = _seconds(1.6), []
    for _ in times:
        size = rng.choice((-1.0, 1.0)) * 110 * np.exp(0.4 * rng.standard_normal())
        dwell = rng.uniform(0.2, 0.9)
        jump = 1 / (1 + np.exp(-(time - 0.06) / 0.012))
        back = 1 / (1 + np.exp(-(time - 0.06 - dwell) / 0.02))
        shapes.append(size * (jump - back) * np.exp(-time / 1.0))
    return blinks, Waves(times, shapes)


def _slow_waves(night):
    """The common slow oscillation of the cortex; the same for whoever asks, EEG or EOG."""
    return Noise(generator(night.seed, "slow waves"), 0.5, 2.2)


def _slow_level(night):
    """Amplitude of slow waves in uV: stage, depth, age, and suppression by arousals."""
    level = night.person.gain * (night.by_stage(4, 6, 4, 0, 7) + night.person.delta * night.by_stage(0, 0, 10, 30, 0))
    return level * np.exp(0.22 * night.depth) * (1 - 0.5 * night.arousal)


def _spindles(night, rng):
    """Spindles in N2, fewer in N3, grouped by the infraslow rhythm: `Waves` of about 20 uV."""
    slow = 1 + 0.6 * np.sin(2 * np.pi * 0.02 * np.arange(len(night.arousal), dtype=np.float32) / GRID)
    density = night.person.spindles * night.by_stage(0, 0, 5.5, 1.5, 0) * slow * (1 - night.arousal)
    times, shapes = _poisson(rng, 60 * density), []
    for _ in times:
        length = np.clip(rng.normal(0.95, 0.2), 0.5, 1.8)
        time, pitch = _seconds(length), night.person.spindle_frequency + 0.3 * rng.standard_normal()
        size = 20 * night.person.spindles * np.exp(0.2 * rng.standard_normal())
        shapes.append(size * np.hanning(len(time)) * np.sin(2 * np.pi * pitch * time + rng.uniform(0, 6)))
    return Waves(times, shapes)


def _sharp_waves(night, rng):
    """K complexes of N2 (frontal) and vertex waves of N1 (central): two `Waves`."""
    time = _seconds(1.3)
    complex_ = -_gauss(time, 0.35, 0.08) + 0.65 * _gauss(time, 0.72, 0.16)
    times = _poisson(rng, 60 * night.by_stage(0, 0, 1.2, 0, 0) * (1 + night.arousal))
    complexes = Waves(times, [complex_ * 115 * np.exp(0.2 * rng.standard_normal()) for _ in times])
    time = _seconds(0.4)
    vertex = 0.3 * _gauss(time, 0.06, 0.03) - _gauss(time, 0.15, 0.035) + 0.35 * _gauss(time, 0.26, 0.05)
    times = _poisson(rng, 60 * night.by_stage(0, 2.0, 0.3, 0, 0))
    return complexes, Waves(times, [vertex * 70 * np.exp(0.2 * rng.standard_normal()) for _ in times])


def _pops(rng, count, hourly):
    """Electrode pops of one channel: a jump that decays."""
    times, time = _poisson(rng, np.full(count, hourly, np.float32)), _seconds(3)
    return Waves(times, [rng.choice((-1, 1)) * rng.uniform(150, 600) * np.exp(-time / 0.45) for _ in times])


_TOPOGRAPHY = {
    # How strongly F3 F4 C3 C4 O1 O2 see each source.
    "background": (1.0, 1.0, 1.0, 1.0, 0.9, 0.9),
    "slow": (1.10, 1.08, 1.0, 0.98, 0.55, 0.55),
    "left": (0.55, 0.0, 0.5, 0.0, 0.2, 0.0),
    "right": (0.0, 0.55, 0.0, 0.5, 0.0, 0.2),
    "back": (-0.2, -0.2, 0.0, 0.0, 0.45, 0.45),
    "theta": (0.8, 0.8, 1.0, 1.0, 0.7, 0.7),
    "alpha": (0.45, 0.45, 0.7, 0.7, 1.35, 1.30),
    "spindles": (0.75, 0.75, 1.0, 1.0, 0.35, 0.35),
    "complexes": (1.0, 0.98, 0.8, 0.8, 0.35, 0.35),
    "vertices": (0.6, 0.6, 1.0, 1.0, 0.3, 0.3),
    "blinks": (0.50, 0.48, 0.15, 0.14, 0.02, 0.02),
    "saccades": (0.25, -0.18, 0.07, -0.05, 0.01, -0.01),
    "heart": (1.0, -0.7, 0.9, -0.6, 0.7, -0.5),
}
_MUSCLE = np.array([[1.1], [1.1], [0.6], [0.6], [0.8], [0.8]], np.float32)


def _eeg_levels(night):
    """Amplitudes in uV on the grid, one row each: background, local, slow, theta, alpha, REM alpha, own, muscle."""
    person, arousal = night.person, night.arousal
    closed = night.weights[W] - 0.85 * night.open_eyes
    alpha = 15 * closed + night.by_stage(0, 2.5, 1.5, 1, 0) + 8 * arousal * (1 - closed)
    slow = _slow_level(night)
    brain = [
        0.8 * night.by_stage(6, 6, 7, 8, 5.5),
        0.5 * slow + 0.5 * night.by_stage(4, 5, 5, 8, 4),
        0.9 * slow / person.gain,
        night.by_stage(3, 8, 5.5, 6, 7) + 3 * arousal,
        person.alpha * alpha,
        person.alpha * night.by_stage(0, 0, 0, 0, 3),
        0.65 * night.by_stage(6, 6, 7, 8, 5.5),
    ]
    muscle = night.by_stage(3.5, 1.6, 0.8, 0.6, 0.7) + 5 * arousal + 18 * night.movement
    return np.stack([*(person.gain * row for row in brain), muscle]).astype(np.float32)


def eeg(night, seed):
    """Six EEG channels in uV: common sources with a topography, waves, leaks of eyes, heart and movement."""
    rng, person = generator(seed, "eeg"), night.person
    background, slow, local = Noise(rng, None, None), _slow_waves(night), Noise(rng, 0.5, 3.5, 3)
    theta = Noise(rng, 4.0, 7.5)
    waking, dreaming = (Noise(rng, f - 0.9, f + 0.9) for f in (person.alpha_frequency, person.alpha_frequency - 1.2))
    spindles, (complexes, vertices) = _spindles(night, rng), _sharp_waves(night, rng)
    blinks, saccades = _eye_waves(night)
    own, muscle, drift = Noise(rng, None, None, 6), Noise(rng, 20.0, None, 6), Noise(rng, 0.2, 1.5, 2)
    pops = [_pops(rng, len(night.arousal), rate) for rate in 0.6 * np.exp(rng.standard_normal(6))]
    gains = np.exp(0.08 * rng.standard_normal((6, 1))).astype(np.float32)
    mixing = np.array([*_TOPOGRAPHY.values(), *rng.normal(0, 110, (2, 6))], np.float32).T
    levels = _eeg_levels(night)
    for block in blocks(night):
        level, move = fine(levels, block), fine(night.movement, block)
        count = len(move)
        sources = [
            background(count) * level[0],
            slow(count) * level[2],
            local(count) * level[1],
            theta(count) * level[3],
            waking(count) * level[4] + dreaming(count) * level[5],
            *(person.gain * wave(block)[None] for wave in (spindles, complexes, vertices)),
            *(person.eyes * wave(block)[None] for wave in (blinks, saccades)),
            person.leak * _heartbeat(night, block)[None],
            drift(count) * move,
        ]
        # einsum, because the threads of a BLAS product would cost more than they give and compete with other workers.
        signal = np.einsum("cs,st->ct", mixing, np.concatenate(sources))
        signal += own(count) * level[6]
        signal += muscle(count) * (_MUSCLE * level[7])
        for channel, pop in enumerate(pops):
            signal[channel] += pop(block)
        yield signal * gains


def eog(night, seed):
    """One EOG channel in uV: blinks, rapid and slow eye movements, frontal EEG, muscle."""
    rng, person = generator(seed, "eog"), night.person
    slow, rolling = _slow_waves(night), Noise(rng, 0.15, 0.45)
    own, muscle, drift = Noise(rng, None, None), Noise(rng, 20.0, None), Noise(rng, 0.2, 1.5)
    blinks, saccades = _eye_waves(night)
    drowsy = night.by_stage(8, 55, 5, 2, 6) + 12 * night.weights[W] * (1 - night.open_eyes)
    levels = np.stack([_slow_level(night), person.eyes * drowsy, night.by_stage(7, 6, 6, 6, 5) * person.gain])
    levels = np.concatenate([levels, [night.by_stage(4, 2, 1.2, 1, 0.9) + 6 * night.arousal]]).astype(np.float32)
    for block in blocks(night):
        level, move = fine(levels, block), fine(night.movement, block)
        count = level.shape[1]
        signal = 0.45 * slow(count) * level[0] + rolling(count) * level[1] + own(count) * level[2]
        signal += person.eyes * (saccades(block) - 0.7 * blinks(block)) + person.leak * _heartbeat(night, block)
        yield signal + muscle(count) * (level[3] + 18 * move) + drift(count) * (130 * move)


def emg(night, seed):
    """One chin EMG channel in uV: tone by stage and depth, bursts in arousals and movements, twitches in REM."""
    rng, person = generator(seed, "emg"), night.person
    noise, floor, drift = Noise(rng, 12.0, None), Noise(rng, None, None), Noise(rng, 0.3, 2.0)
    twitch = np.zeros_like(night.phasic)
    twitch[rng.random(len(twitch)) < 0.006 * night.phasic] = 1.0
    tone = night.by_stage(20, 11, 7.5, 6, 2.2) * np.exp(-0.12 * night.depth) + 9 * twitch
    tone = person.tone * (tone + 24 * night.arousal + 45 * night.movement).astype(np.float32)
    for block in blocks(night):
        level, move = fine(tone, block), fine(night.movement, block)
        count = len(level)
        clock = np.arange(block.start * _STEP, block.stop * _STEP) / RATE
        hum = person.hum * np.sin(2 * np.pi * (60 * clock % 1)).astype(np.float32)
        signal = noise(count) * level + 1.5 * floor(count) + 60 * drift(count) * move
        yield signal + hum + person.leak * _heartbeat(night, block)


def ecg(night, seed):
    """One ECG channel in mV: PQRST at the night's beats, breathing in height and baseline, muscle, mains."""
    rng, person = generator(seed, "ecg"), night.person
    muscle, drift = Noise(rng, 15.0, None), Noise(rng, 0.05, 0.6)
    level = (0.012 * night.by_stage(1.3, 1, 0.9, 0.8, 0.8) + 0.05 * night.arousal).astype(np.float32)
    for block in blocks(night):
        effort, move = fine(night.effort, block), fine(night.movement, block)
        count = len(effort)
        signal = person.ecg * _heartbeat(night, block) * (1 + 0.08 * effort) + 0.05 * effort
        signal = signal + muscle(count) * (fine(level, block) + 0.10 * move) + drift(count) * (0.03 + 0.35 * move)
        clock = np.arange(block.start * _STEP, block.stop * _STEP) / RATE
        yield signal + (0.004 * person.hum * np.sin(2 * np.pi * (60 * clock % 1))).astype(np.float32)


_PULSE = np.arange(-0.35, 0.9, 0.0005)
_PQRST = sum(
    height * _gauss(_PULSE, centre, width)
    for height, centre, width in (
        (0.11, -0.165, 0.022),
        (-0.09, -0.032, 0.010),
        (1.05, 0.000, 0.0110),
        (-0.22, 0.030, 0.011),
        (0.24, 0.270, 0.045),
    )
)
_PREMATURE = 1.25 * _gauss(_PULSE, 0.02, 0.035) - 0.45 * _gauss(_PULSE, 0.26, 0.06)
_BEATS = np.stack([_PQRST, _PREMATURE]).astype(np.float32)
_BEATS[:, [0, -1]] = 0


def _heartbeat(night, block):
    """The heart's signal around 1 mV at the R peak, `(samples,)`; the T wave comes earlier in fast beats."""
    clock = np.arange(block.start * _STEP, block.stop * _STEP) / RATE
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


def respiration(night, seed):
    """Abdomen, chest and airflow in uV, with drift, movement and small beats of the heart in the flow."""
    rng, person = generator(seed, "respiration"), night.person
    noise, drift = Noise(rng, 0.3, 8.0, 3), Noise(rng, 0.05, 0.4, 3)
    sizes = np.array([420 * person.abdomen, 380 * person.chest, 160 * np.exp(0.3 * rng.standard_normal())], np.float32)
    courses = np.stack([night.abdomen, night.effort, night.airflow])
    for block in blocks(night):
        move = fine(night.movement, block)
        count = len(move)
        signal = fine(courses, block) + 0.02 * noise(count) + drift(count) * (0.05 + 1.2 * move)
        yield signal * sizes[:, None]


def saturation(night, seed):
    """SaO2 in %: the night's course, held in steps of the oximeter; movement in wake loses the finger now and then."""
    rng = generator(seed, "saturation")
    course = np.repeat(np.round(2 * night.saturation[::GRID]) / 2, GRID)
    lost = _poisson(rng, 60 * 0.04 * night.movement)
    for time in lost:
        begin = int(time * GRID)
        course[begin : begin + int(rng.uniform(4, 20) * GRID)] = 0
    for block in blocks(night):
        yield fine(course, block)[None]


MODALITIES = {"eeg": eeg, "eog": eog, "emg": emg, "respiration": respiration, "saturation": saturation, "ecg": ecg}
"""Modality -> generator of its channels, in the order of the record's channels."""
