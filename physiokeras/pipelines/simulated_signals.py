"""Channels of a simulated polysomnogram, block by block, from the latent course of a night.

Each generator yields `(channels, samples)` in physical units for one block after another, so that memory does not
grow with the length of the night. Amplitudes are plausible, invented, and no data about anyone.
"""

import numpy as np
from scipy.signal import butter, sosfilt, sosfreqz, zpk2sos

from physiokeras.pipelines.challenge_files import RATE
from physiokeras.pipelines.simulated_physiology import GRID
from physiokeras.pipelines.simulated_sleep import W, generator

BLOCK = 60 * GRID
"""Grid values of a block."""

_STEP = RATE // GRID
_RAMP = np.arange(_STEP, dtype=np.float32) / _STEP


class Noise:
    """Gaussian noise of unit variance in a frequency band, continuous from call to call.

    Args:
        rng: Generator.
        low: Lower edge in Hz, or None for a 1/f spectrum from 0.4 Hz.
        high: Upper edge in Hz.
        rows: Number of independent rows.
    """

    def __init__(self, rng, low, high, rows=1):
        if low is None:
            poles, zeros = np.array([0.4, 4.0, 40.0]), np.array([1.3, 13.0])
            sos = zpk2sos(np.exp(-2 * np.pi * zeros / RATE), np.exp(-2 * np.pi * poles / RATE), 1.0)
        else:
            sos = butter(2, [low, high], "bandpass", fs=RATE, output="sos")
        _, response = sosfreqz(sos, 1 << 16)
        sos[0, :3] /= np.sqrt(np.mean(np.abs(response) ** 2))
        self.rng, self.rows, self.sos = rng, rows, sos.astype(np.float32)
        self.state = np.zeros((len(sos), rows, 2), np.float32)

    def __call__(self, count):
        """The next `(rows, count)` samples."""
        white = self.rng.standard_normal((self.rows, count), dtype=np.float32)
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
    time, shapes = _seconds(2.5), []
    for _ in times:
        size = rng.choice((-1.0, 1.0)) * 110 * np.exp(0.4 * rng.standard_normal())
        dwell = rng.uniform(0.2, 0.9)
        jump = 1 / (1 + np.exp(-(time - 0.06) / 0.012))
        back = 1 / (1 + np.exp(-(time - 0.06 - dwell) / 0.02))
        shapes.append(size * (jump - back) * np.exp(-time / 1.2))
    return blinks, Waves(times, shapes)


def _slow_waves(night):
    """The common slow oscillation of the cortex; the same for whoever asks, EEG or EOG."""
    return Noise(generator(night.seed, "slow waves"), 0.5, 2.2)


def _slow_level(night):
    """Amplitude of slow waves in uV: stage, depth, age, and suppression by arousals."""
    level = night.person.gain * (night.by_stage(4, 6, 4, 0, 7) + night.person.delta * night.by_stage(0, 0, 11, 36, 0))
    return level * np.exp(0.22 * night.depth) * (1 - 0.5 * night.arousal)


def _spindles(night, rng):
    """Spindles in N2, fewer in N3, grouped by the infraslow rhythm: `Waves` of 25 uV and a little more."""
    slow = 1 + 0.6 * np.sin(2 * np.pi * 0.02 * np.arange(len(night.arousal), dtype=np.float32) / GRID)
    density = night.person.spindles * night.by_stage(0, 0, 5.5, 1.5, 0) * slow * (1 - night.arousal)
    times, shapes = _poisson(rng, 60 * density), []
    for _ in times:
        length = np.clip(rng.normal(0.95, 0.2), 0.5, 1.8)
        time, pitch = _seconds(length), night.person.spindle_frequency + 0.3 * rng.standard_normal()
        size = 27 * night.person.spindles * np.exp(0.2 * rng.standard_normal())
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


# Rows: F3 F4 C3 C4 O1 O2. Columns say how strongly each electrode sees the source.
_TOPOGRAPHY = {
    name: np.array(values, np.float32)[:, None]
    for name, values in {
        "slow": (1.10, 1.08, 1.0, 0.98, 0.55, 0.55),
        "side": (0.25, -0.25, 0.25, -0.25, 0.15, -0.15),
        "theta": (0.8, 0.8, 1.0, 1.0, 0.7, 0.7),
        "alpha": (0.45, 0.45, 0.7, 0.7, 1.35, 1.30),
        "spindle": (0.75, 0.75, 1.0, 1.0, 0.35, 0.35),
        "complex": (1.0, 0.98, 0.8, 0.8, 0.35, 0.35),
        "vertex": (0.6, 0.6, 1.0, 1.0, 0.3, 0.3),
        "eyes": (0.32, 0.22, 0.09, 0.07, 0.02, 0.02),
        "muscle": (1.1, 1.1, 0.6, 0.6, 0.8, 0.8),
    }.items()
}


def eeg(night, seed):
    """Six EEG channels in uV: common sources with a topography, waves, leaks of eyes, heart and movement."""
    rng, person = generator(seed, "eeg"), night.person
    slow, side = _slow_waves(night), Noise(rng, 0.5, 4.0)
    theta, muscle = Noise(rng, 4.0, 7.5), Noise(rng, 20.0, 80.0, 6)
    waking, dreaming = (Noise(rng, f - 0.9, f + 0.9) for f in (person.alpha_frequency, person.alpha_frequency - 1.2))
    drift, common, own = Noise(rng, 0.2, 1.5, 2), Noise(rng, None, None), Noise(rng, None, None, 6)
    spindles, (complexes, vertices), eyes = _spindles(night, rng), _sharp_waves(night, rng), _eye_waves(night)
    hourly = 0.6 * np.exp(rng.standard_normal(6))
    pops = [_pops(rng, len(night.arousal), rate) for rate in hourly]
    gains = np.exp(0.08 * rng.standard_normal((6, 1))).astype(np.float32)
    swing = rng.normal(0, 1, (6, 2)).astype(np.float32)
    closed = night.weights[W] * (1 - 0.85 * night.open_eyes / night.weights[W].clip(0.01))
    levels = person.gain * np.stack(
        [
            night.by_stage(4, 5, 5, 9, 4),
            night.by_stage(3, 8, 5.5, 6, 7) + 3 * night.arousal,
            person.alpha * (15 * closed + night.by_stage(0, 2.5, 1.5, 1, 0) + 8 * night.arousal * (1 - closed)),
            person.alpha * night.by_stage(0, 0, 0, 0, 3),
            night.by_stage(6, 6, 7, 8, 5.5),
        ]
    )
    levels = np.concatenate([levels, [_slow_level(night), night.by_stage(3.5, 1.6, 0.8, 0.6, 0.7) + 5 * night.arousal]])
    levels = levels.astype(np.float32)
    shape = _TOPOGRAPHY
    for block in blocks(night):
        level, move = fine(levels, block), fine(night.movement, block)
        count = level.shape[1]
        signal = own(count) * (0.6 * level[4]) + shape["slow"] * (common(count)[0] * (0.8 * level[4]))
        signal += shape["slow"] * (slow(count)[0] * level[5]) + shape["side"] * (side(count)[0] * level[0] * 1.5)
        signal += shape["theta"] * (theta(count)[0] * level[1])
        signal += shape["alpha"] * (waking(count)[0] * level[2] + dreaming(count)[0] * level[3])
        waves = {"spindle": spindles, "complex": complexes, "vertex": vertices}
        for name, wave in waves.items():
            signal += shape[name] * (person.gain * wave(block))
        signal += shape["eyes"] * (person.eyes * (1.6 * eyes[0](block) + eyes[1](block)))
        signal += muscle(count) * shape["muscle"] * (level[6] + 18 * move)
        signal += swing @ (drift(count) * (110 * move)) + person.leak * _heartbeat(night, block)
        for channel, pop in enumerate(pops):
            signal[channel] += pop(block)
        yield signal * gains


def eog(night, seed):
    """One EOG channel in uV: blinks, rapid and slow eye movements, frontal EEG, muscle."""
    rng, person = generator(seed, "eog"), night.person
    slow, rolling = _slow_waves(night), Noise(rng, 0.15, 0.45)
    own, muscle, drift = Noise(rng, None, None), Noise(rng, 20.0, 80.0), Noise(rng, 0.2, 1.5)
    blinks, saccades = _eye_waves(night)
    drowsy = night.by_stage(8, 55, 5, 2, 6) + 12 * night.weights[W] * (1 - night.open_eyes)
    levels = np.stack([_slow_level(night), person.eyes * drowsy, night.by_stage(7, 6, 6, 6, 5) * person.gain])
    levels = np.concatenate([levels, [night.by_stage(4, 2, 1.2, 1, 0.9) + 6 * night.arousal]]).astype(np.float32)
    for block in blocks(night):
        level, move = fine(levels, block), fine(night.movement, block)
        count = level.shape[1]
        signal = 0.45 * slow(count) * level[0] + rolling(count) * level[1] + own(count) * level[2]
        signal += person.eyes * (0.8 * blinks(block) + saccades(block)) + person.leak * _heartbeat(night, block)
        yield signal + muscle(count) * (level[3] + 18 * move) + drift(count) * (130 * move)


def emg(night, seed):
    """One chin EMG channel in uV: tone by stage and depth, bursts in arousals and movements, twitches in REM."""
    rng, person = generator(seed, "emg"), night.person
    noise, floor, drift = Noise(rng, 12.0, 92.0), Noise(rng, None, None), Noise(rng, 0.3, 2.0)
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
    muscle, drift = Noise(rng, 15.0, 80.0), Noise(rng, 0.05, 0.6)
    level = (0.012 * night.by_stage(1.3, 1, 0.9, 0.8, 0.8) + 0.05 * night.arousal).astype(np.float32)
    for block in blocks(night):
        effort, move = fine(night.effort, block), fine(night.movement, block)
        count = len(effort)
        signal = person.ecg * _heartbeat(night, block) * (1 + 0.08 * effort) + 0.05 * effort
        signal = signal + muscle(count) * (fine(level, block) + 0.10 * move) + drift(count) * (0.03 + 0.35 * move)
        clock = np.arange(block.start * _STEP, block.stop * _STEP) / RATE
        yield signal + (0.004 * person.hum * np.sin(2 * np.pi * (60 * clock % 1))).astype(np.float32)


_PULSE = np.arange(-0.35, 0.9, 0.002)
_PQRST = sum(
    height * _gauss(_PULSE, centre, width)
    for height, centre, width in (
        (0.11, -0.165, 0.022),
        (-0.09, -0.030, 0.009),
        (1.05, 0.000, 0.0095),
        (-0.22, 0.028, 0.010),
        (0.24, 0.270, 0.045),
    )
)
_PREMATURE = 1.25 * _gauss(_PULSE, 0.02, 0.035) - 0.45 * _gauss(_PULSE, 0.26, 0.06)


def _heartbeat(night, block):
    """The heart's signal around 1 mV at the R peak, `(samples,)`; the T wave comes earlier in fast beats."""
    clock = np.arange(block.start * _STEP, block.stop * _STEP) / RATE
    spacing = np.diff(night.beats, append=night.beats[-1] + 1.0)
    index = np.searchsorted(night.beats - 0.3 * np.minimum(1.0, np.roll(spacing, 1)), clock, side="right") - 1
    index = index.clip(0)
    after = clock - night.beats[index]
    pace = np.sqrt(spacing[index].clip(0.3, 1.6))
    after = np.where(after > 0.06, 0.06 + (after - 0.06) / pace, after)
    regular = np.interp(after, _PULSE, _PQRST, left=0, right=0)
    if night.ectopic.any():
        regular = np.where(night.ectopic[index], np.interp(after, _PULSE, _PREMATURE, left=0, right=0), regular)
    return regular.astype(np.float32)


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
