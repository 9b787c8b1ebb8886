"""Latent physiology of a simulated night, which drives all channels, on a grid of 10 values per second.

Directions of effects follow the literature on sleep medicine; strengths are invented. No person was recorded.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter

from physiokeras.pipelines.simulation.sleep import R, W, draw_events, draw_hypnogram, generator

GRID = 10
"""Latent values per second."""

_INTRUSIONS = np.array(
    # Mean share of an epoch scored as the row's stage that is spent in W, N1, N2, N3 or R instead.
    [
        [0.00, 0.13, 0.00, 0.00, 0.00],
        [0.13, 0.00, 0.16, 0.00, 0.04],
        [0.02, 0.10, 0.00, 0.07, 0.01],
        [0.00, 0.00, 0.20, 0.00, 0.00],
        [0.02, 0.10, 0.02, 0.00, 0.00],
    ]
)


@dataclass(frozen=True, eq=False)
class Night:
    """Latent courses that all channels share: float32 `(seconds * GRID,)` unless stated otherwise.

    Attributes:
        seed: Seed of the night, from which common sources of channels derive.
        person: The simulated person.
        stages: int8 `(epochs,)`, 0 to 4.
        events: `(kind, begin, end)` in seconds.
        weights: `(5, time)`, share of each stage, smooth at transitions; scored epochs mix stages.
        arousal: 0 to 1.
        movement: 0 and up; body movements.
        depth: Slow course of sleep depth, standardised; it affects brain, muscle, heart and breathing.
        phasic: 0 to 1; phasic REM.
        open_eyes: 0 to 1; in wake only.
        effort: Respiratory movement of the chest; `abdomen`: of the abdomen.
        airflow: Nasal flow.
        saturation: Oxygen saturation in %.
        beats: Times of heart beats in seconds, `(beats,)`; `ectopic` marks premature ones.
    """

    seed: int
    person: object
    stages: np.ndarray
    events: list
    weights: np.ndarray
    arousal: np.ndarray
    movement: np.ndarray
    depth: np.ndarray
    phasic: np.ndarray
    open_eyes: np.ndarray
    effort: np.ndarray
    abdomen: np.ndarray
    airflow: np.ndarray
    saturation: np.ndarray
    beats: np.ndarray
    ectopic: np.ndarray

    def by_stage(self, *values: float) -> np.ndarray:
        """A course that takes one value in each of W, N1, N2, N3, R."""
        return by_stage(self.weights, *values)


def by_stage(weights, *values):
    """A course that takes one value in each of W, N1, N2, N3, R; `weights` is `(5, time)`."""
    # Not `@`: a threaded BLAS product is slower at this size.
    return np.einsum("s,st->t", np.asarray(values, np.float32), weights)


def simulate_night(seed, person, epochs, turn=0.0):
    """The latent physiology of one person's night.

    Args:
        seed: Seed of the night.
        person: The `Person`.
        epochs: Number of 30 s epochs.
        turn: Share of the night, in [0, 1), by which the hypnogram is rotated, to remove the effect of time of night.

    Returns: `Night`.
    """
    stages = np.roll(draw_hypnogram(seed, epochs, person.old), int(turn * epochs))
    events = draw_events(seed, stages, person)
    rng, count = generator(seed, "latents"), epochs * 30 * GRID
    weights = _weights(rng, stages)
    arousal = _arousals(rng, events, count)
    depth = wander(rng, count, 60)
    phasic = weights[R] * _smooth(wander(rng, count, 5) > 0.3, 1.0)
    open_eyes = weights[W] * _smooth(wander(rng, count, 15) > 0.4, 0.5)
    movement = _movements(rng, weights, arousal)
    effort, abdomen, airflow, ventilation = _breathing(rng, person, events, weights, arousal, phasic, depth)
    saturation = _saturation(rng, person, ventilation)
    rate = _heart_rate(rng, person, weights, arousal, movement, depth, phasic, effort, ventilation)
    beats, ectopic = _beats(rng, rate, person.ectopic)
    return Night(
        seed=seed,
        person=person,
        stages=stages,
        events=events,
        weights=weights,
        arousal=arousal,
        movement=movement,
        depth=depth,
        phasic=phasic,
        open_eyes=open_eyes,
        effort=effort,
        abdomen=abdomen,
        airflow=airflow,
        saturation=saturation,
        beats=beats,
        ectopic=ectopic,
    )


def _weights(rng, stages):
    """Shares of the stages on the grid: a scored epoch holds 5 s pieces of its neighbours in depth and in time."""
    pieces = np.repeat(stages, 6)
    doubt = np.repeat(rng.random(len(stages)) * 2, 6)
    change = _INTRUSIONS[pieces] * doubt[:, None]
    drawn = (rng.random((len(pieces), 1)) > change.cumsum(axis=1)).sum(axis=1)
    drawn = np.where(drawn == 5, pieces, drawn)
    late = (rng.random(len(pieces)) < 0.5) & (np.arange(len(pieces)) % 6 == 0)
    mixed = np.where(late, np.roll(pieces, 1), drawn)
    onehot = (mixed[None] == np.arange(5)[:, None]).astype(np.float32)
    return uniform_filter1d(np.repeat(onehot, 5 * GRID, axis=1), 3 * GRID, axis=1, mode="nearest")


def _decay(course, seconds):
    """One-pole low pass, by its time constant."""
    pole = np.float32(np.exp(-1 / (seconds * GRID)))
    return lfilter(np.array([1 - pole], np.float32), np.array([1, -pole], np.float32), course)


def wander(rng, count, seconds):
    """Stationary noise of unit variance with the given time constant."""
    pole = np.exp(-1 / (seconds * GRID))
    noise = rng.standard_normal(count, dtype=np.float32) * np.float32((1 - pole**2) ** 0.5)
    noise[0] = rng.standard_normal()
    return lfilter(np.ones(1, np.float32), np.array([1, -pole], np.float32), noise)


def _smooth(course, seconds):
    return uniform_filter1d(np.asarray(course, np.float32), max(1, int(seconds * GRID)), mode="nearest")


def _spans(count, spans, seconds=1.0):
    """A course that is `height` within each `(begin, end, height)`, the highest where they overlap."""
    course = np.zeros(count, np.float32)
    for begin, end, height in spans:
        part = slice(max(0, int(begin * GRID)), max(0, int(end * GRID)))
        course[part] = np.maximum(course[part], height)
    return _smooth(course, seconds)


def _arousals(rng, events, count):
    """Cortical arousals: after all effort arousals, most obstructive events, and some shallow events."""
    chance = {"arousal_rera": 1.0, "resp_partialobstructive": 1.0, "resp_hypopnea": 0.6}
    spans = []
    for kind, begin, end in events:
        if rng.random() < chance.get(kind, 0.8):
            start = max(begin, end - 5) if chance.get(kind) == 1.0 else end - 1
            spans.append((start, start + rng.uniform(6, 14), rng.uniform(0.7, 1.0)))
    return _spans(count, spans)


def _movements(rng, weights, arousal):
    """Movements: about one per minute in wake, with some arousals, and rarely otherwise."""
    hazard = (0.9 * weights[W] + 1.2 * arousal + 0.03) / (60 * GRID)
    starts = np.flatnonzero(rng.random(len(hazard), dtype=np.float32) < hazard) / GRID
    spans = [(start, start + rng.uniform(1.5, 8), np.exp(0.5 * rng.standard_normal())) for start in starts]
    return _spans(len(hazard), spans, 0.7)


def _breathing(rng, person, events, weights, arousal, phasic, depth):
    """Chest, abdomen, airflow and ventilation (1 at rest) from breaths, respiratory events and recovery."""
    count = len(arousal)
    kinds = {
        # kind: (remaining flow, remaining effort, paradoxical breathing)
        "resp_hypopnea": (0.40, 0.75, 0.45),
        "resp_obstructiveapnea": (0.03, 0.85, 1.0),
        "resp_centralapnea": (0.02, 0.04, 0.0),
        "resp_mixedapnea": (0.02, 0.45, 0.5),
        "arousal_rera": (0.68, 1.25, 0.25),
        "resp_partialobstructive": (0.72, 1.1, 0.2),
    }

    def course(column, rest):
        spans = [(begin, end, abs(kinds[kind][column] - rest)) for kind, begin, end in events]
        return _spans(count, spans, 2.0)

    flow = 1 - course(0, 1.0)
    effort = np.ones(count, np.float32)
    for kind, begin, end in events:
        part = slice(int(begin * GRID), int(end * GRID))
        effort[part] = kinds[kind][1] * np.linspace(0.8, 1.2, part.stop - part.start)
    effort, paradox = _smooth(effort, 2.0), course(2, 0.0)
    recovery = _decay(np.roll(1 - flow, 2 * GRID), 6) * (flow > 0.8)
    unsteady = by_stage(weights, 0.30, 0.16, 0.08, 0.04, 0.22)
    rate = person.breath_rate * by_stage(weights, 1.10, 1.03, 1.0, 0.97, 1.05)
    rate = rate * (1 + 0.6 * unsteady * wander(rng, count, 6) + 0.25 * arousal + 0.15 * recovery)
    phase = np.cumsum(rate.clip(5, 40) / 60 / GRID, dtype=np.float64)
    tide = (1 + unsteady * wander(rng, count, 8) - 0.25 * phasic + 0.6 * recovery + 0.5 * arousal).clip(0.25, 2.5)
    tide *= by_stage(weights, 1.05, 0.95, 1.0, 1.05, 0.85) * (1 - 0.04 * depth)
    angle = 2 * np.pi * phase
    skew = angle + 0.35 * np.sin(angle)
    chest = tide * effort * np.sin(skew)
    abdomen = tide * effort * np.sin(skew + 0.2 - np.pi * paradox)
    breath = np.cos(skew)
    flat = np.tanh(2.5 * breath) / np.tanh(2.5)
    limited = (2 * (1 - flow)).clip(0, 1)
    airflow = tide * flow * (breath + limited * (flat - breath))
    return (x.astype(np.float32) for x in (chest, abdomen, airflow, tide * flow))


def _saturation(rng, person, ventilation):
    """Saturation falls with reduced ventilation after the circulation delay, and never exceeds 100 %."""
    deficit = _decay((1 - ventilation).clip(-0.2, 1), 4)
    lost = np.zeros_like(deficit)
    lost[15 * GRID :] = _decay(_decay(deficit, 7), 3)[: -15 * GRID]
    course = person.saturation - 11 * lost.clip(0) + 0.4 * wander(rng, len(lost), 300)
    return course.clip(50, 100).astype(np.float32)


def _heart_rate(rng, person, weights, arousal, movement, depth, phasic, effort, ventilation):
    """Heart rate in 1/min: stage, depth, arousals (rise, then undershoot), breathing, apnea, slow variability."""
    stage = by_stage(weights, 9.0, 2.5, 0.0, -2.0, 4.0)
    vagal = person.variability * by_stage(weights, 0.7, 0.9, 1.0, 1.1, 0.6)
    stir = np.maximum(arousal, 0.6 * movement.clip(0, 1.5))
    rate = person.heart_rate + stage - 1.2 * depth + 2.5 * phasic
    rate += 16 * _decay(stir, 2) - 8 * _decay(stir, 14) - 7 * _decay((0.7 - ventilation).clip(0), 5)
    rate += vagal * (3.8 * effort + 1.6 * wander(rng, len(rate), 3)) + 2.0 * person.variability * wander(
        rng, len(rate), 40
    )
    return rate.clip(35, 150)


def _beats(rng, rate, ectopic):
    """Beat times by integrating the rate; a pause follows each premature beat."""
    phase = np.cumsum(rate, dtype=np.float64) / (60 * GRID)
    beats = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(1, len(rate) + 1) / GRID)
    early = rng.random(len(beats)) < ectopic / rate.mean()
    early[1:] &= ~early[:-1]
    beats[early] -= 0.35 * 60 / rate.mean()
    return beats, early
