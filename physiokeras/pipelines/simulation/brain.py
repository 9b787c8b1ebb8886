"""EEG and EOG of a simulated night. Amplitudes are plausible but invented.

Each generator yields `(channels, samples)` in uV, one block of the night at a time.
"""

import numpy as np

from physiokeras.pipelines.simulation.physiology import GRID, wander
from physiokeras.pipelines.simulation.signals import Noise, Waves, blocks, fine, gauss, heartbeat, poisson, seconds
from physiokeras.pipelines.simulation.sleep import W, generator


def _eye_waves(night):
    """Blinks in wake, and rapid eye movements in phasic REM and open-eyed wake, in uV at the eye: two `Waves`."""
    rng, time = generator(night.seed, "eyes"), seconds(0.5)
    blink = gauss(time, 0.18, 0.06) - 0.25 * gauss(time, 0.36, 0.08)
    times = poisson(rng, 3600 * (0.25 * night.open_eyes + 0.05 * night.arousal * night.weights[W]))
    blinks = Waves(times, [blink * (160 * np.exp(0.25 * rng.standard_normal())) for _ in times])
    times = poisson(rng, 3600 * (1.1 * night.phasic + 0.35 * night.open_eyes))
    time, shapes = seconds(1.6), []
    for _ in times:
        size = rng.choice((-1.0, 1.0)) * 110 * np.exp(0.4 * rng.standard_normal())
        dwell = rng.uniform(0.2, 0.9)
        jump = 1 / (1 + np.exp(-(time - 0.06) / 0.012))
        back = 1 / (1 + np.exp(-(time - 0.06 - dwell) / 0.02))
        shapes.append(size * (jump - back) * np.exp(-time / 1.0))
    return blinks, Waves(times, shapes)


def _common(night):
    """Sources that scalp and eye electrodes share, the same in every call: `Noise` of unit variance.

    Returns: background, slow waves, theta, and the sway of the head in movements (two rows).
    """
    bands = {"background": (None, None), "slow waves": (0.5, 2.2), "theta": (4.0, 7.5)}
    noises = [Noise(generator(night.seed, name), low, high) for name, (low, high) in bands.items()]
    return [*noises, Noise(generator(night.seed, "sway"), 0.2, 1.5, 2)]


def _rolling(night):
    """Slow rolling eye movements, the same in every call: `Noise`, and its amplitude in uV at the eye."""
    rng = generator(night.seed, "rolling")
    level = night.by_stage(6, 36, 8, 3, 8) + 6 * night.weights[W] * (1 - night.open_eyes)
    return Noise(rng, 0.2, 0.6), night.person.eyes * level * np.exp(0.4 * wander(rng, len(level), 30))


def _slow_level(night):
    """Amplitude of slow waves in uV: by stage, depth and age; arousals suppress them."""
    level = night.person.gain * (night.by_stage(4, 6, 4, 0, 7) + night.person.delta * night.by_stage(0, 0, 10, 30, 0))
    return level * np.exp(0.22 * night.depth) * (1 - 0.5 * night.arousal)


def _spindles(night, rng):
    """Spindles in N2, fewer in N3, grouped by the infraslow rhythm: `Waves` of about 20 uV."""
    slow = 1 + 0.6 * np.sin(2 * np.pi * 0.02 * np.arange(len(night.arousal), dtype=np.float32) / GRID)
    density = night.person.spindles * night.by_stage(0, 0, 7, 2, 0) * slow * (1 - night.arousal)
    times, shapes = poisson(rng, 60 * density), []
    for _ in times:
        length = np.clip(rng.normal(0.95, 0.2), 0.5, 1.8)
        time, pitch = seconds(length), night.person.spindle_frequency + 0.3 * rng.standard_normal()
        size = 20 * night.person.spindles * np.exp(0.2 * rng.standard_normal())
        shapes.append(size * np.hanning(len(time)) * np.sin(2 * np.pi * pitch * time + rng.uniform(0, 6)))
    return Waves(times, shapes)


def _sharp_waves(night, rng):
    """K complexes of N2 (frontal) and vertex waves of N1 (central): two `Waves`."""
    time = seconds(1.3)
    complex_ = -gauss(time, 0.35, 0.08) + 0.65 * gauss(time, 0.72, 0.16)
    times = poisson(rng, 60 * night.by_stage(0, 0, 1.2, 0, 0) * (1 + night.arousal))
    complexes = Waves(times, [complex_ * 115 * np.exp(0.2 * rng.standard_normal()) for _ in times])
    time = seconds(0.4)
    vertex = 0.3 * gauss(time, 0.06, 0.03) - gauss(time, 0.15, 0.035) + 0.35 * gauss(time, 0.26, 0.05)
    times = poisson(rng, 60 * night.by_stage(0, 2.0, 0.3, 0, 0))
    return complexes, Waves(times, [vertex * 70 * np.exp(0.2 * rng.standard_normal()) for _ in times])


def _pops(rng, count, hourly):
    """Electrode pops of one channel: a jump that decays."""
    times, time = poisson(rng, np.full(count, hourly, np.float32)), seconds(3)
    return Waves(times, [rng.choice((-1, 1)) * rng.uniform(100, 300) * np.exp(-time / 0.45) for _ in times])


_TOPOGRAPHY = {
    # Weights of each source at F3, F4, C3, C4, O1 and O2.
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
    "rolling": (0.35, 0.33, 0.12, 0.11, 0.02, 0.02),
    "heart": (1.0, -0.7, 0.9, -0.6, 0.7, -0.5),
}
_MUSCLE = np.array([[1.1], [1.1], [0.6], [0.6], [0.8], [0.8]], np.float32)


def _eeg_levels(night, rng):
    """Amplitudes in uV on the grid, by row: background, local, slow, theta, alpha, REM alpha, electrode, muscle."""
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
    loose = [person.gain * row * np.exp(0.15 * wander(rng, len(slow), 50)) for row in brain]
    return np.stack([*loose, muscle * np.exp(0.3 * wander(rng, len(slow), 60))]).astype(np.float32)


def eeg(night, seed):
    """Six EEG channels in uV: common sources with a topography, waves, leaks of eyes, heart and movement."""
    rng, person = generator(seed, "eeg"), night.person
    background, slow, theta, sway = _common(night)
    local = Noise(rng, 0.5, 3.5, 3)
    waking, dreaming = (Noise(rng, f - 0.9, f + 0.9) for f in (person.alpha_frequency, person.alpha_frequency - 1.2))
    spindles, (complexes, vertices) = _spindles(night, rng), _sharp_waves(night, rng)
    blinks, saccades = _eye_waves(night)
    own, muscle = Noise(rng, None, None, 6), Noise(rng, 20.0, None, 6)
    pops = [_pops(rng, len(night.arousal), rate) for rate in 0.6 * np.exp(rng.standard_normal(6))]
    gains = np.exp(0.08 * rng.standard_normal((6, 1))).astype(np.float32)
    mixing = np.array([*_TOPOGRAPHY.values(), *rng.normal(0, 45, (2, 6))], np.float32).T
    rolling, drowsy = _rolling(night)
    levels = np.stack([*_eeg_levels(night, rng), drowsy]).astype(np.float32)
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
            rolling(count) * level[8],
            person.leak * heartbeat(night, block)[None],
            sway(count) * move,
        ]
        # einsum, because a threaded BLAS product is slower at this size and competes with other workers.
        signal = np.einsum("cs,st->ct", mixing, np.concatenate(sources))
        signal += own(count) * level[6]
        signal += muscle(count) * (_MUSCLE * level[7])
        for channel, pop in enumerate(pops):
            signal[channel] += pop(block)
        yield signal * gains


def eog(night, seed):
    """One EOG channel in uV: blinks, rapid and slow eye movements, frontal EEG, muscle."""
    rng, person = generator(seed, "eog"), night.person
    background, slow, theta, sway = _common(night)
    own, muscle = Noise(rng, None, None), Noise(rng, 20.0, None)
    rolling, drowsy = _rolling(night)
    blinks, saccades = _eye_waves(night)
    # The electrode beside the eye records the frontal cortex at half to two thirds of its amplitude at F3.
    cortex = person.gain * np.stack([night.by_stage(3, 3, 3.5, 4, 3), night.by_stage(1.5, 4, 3, 3, 3.5)])
    other = [drowsy, night.by_stage(3.5, 3, 3, 3, 2.5) * person.gain]
    levels = np.stack(
        [0.6 * _slow_level(night), *cortex, *other, night.by_stage(4, 2, 1.2, 1, 0.9) + 6 * night.arousal]
    )
    levels, tilt = levels.astype(np.float32), rng.normal(0, 45, 2).astype(np.float32)
    for block in blocks(night):
        level, move = fine(levels, block), fine(night.movement, block)
        count = level.shape[1]
        signal = slow(count) * level[0] + background(count) * level[1] + theta(count) * level[2]
        signal = signal + rolling(count) * level[3] + own(count) * level[4]
        signal += person.eyes * (saccades(block) - 0.7 * blinks(block)) + person.leak * heartbeat(night, block)
        yield signal + muscle(count) * (level[5] + 18 * move) + (tilt @ sway(count)) * move
