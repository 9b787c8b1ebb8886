"""Simulated people and their nights: traits, hypnogram, respiratory events. No person was recorded."""

from dataclasses import dataclass

import numpy as np

from physiokeras.seeds import derive

W, N1, N2, N3, R = range(5)

_EXCHANGE = np.zeros((5, 5))
for _pair, _rate in {(W, N1): 0.3, (W, N2): 0.05, (W, N3): 0.01, (W, R): 0.03, (N1, N2): 0.3, (N1, R): 0.06}.items():
    _EXCHANGE[_pair] = _EXCHANGE[_pair[::-1]] = _rate
_EXCHANGE[N2, N3] = _EXCHANGE[N3, N2] = 0.2
_EXCHANGE[N2, R] = _EXCHANGE[R, N2] = 0.06

_APNEAS = {
    "resp_hypopnea": 0.60,
    "resp_obstructiveapnea": 0.22,
    "resp_centralapnea": 0.14,
    "resp_mixedapnea": 0.04,
}


def generator(seed, *path):
    """Random generator with the name `path`, independent of all others."""
    return np.random.Generator(np.random.SFC64(derive(seed, *path)))


@dataclass(frozen=True)
class Person:
    """Traits of one simulated person; amplitudes and indices are factors around 1 unless a unit is stated.

    Age reduces slow waves, spindles, deep sleep and heart-rate variability, and increases light sleep and breathing
    disorders. Directions follow the literature on sleep medicine; strengths are invented.
    """

    age: int
    sex: str
    old: float  # standard deviations above 55 years
    gain: float
    delta: float
    spindles: float
    spindle_frequency: float  # Hz
    alpha: float
    alpha_frequency: float  # Hz
    eyes: float
    tone: float
    heart_rate: float  # beats/min during sleep
    variability: float
    ecg: float
    ectopic: float  # premature beats/min
    leak: float  # uV of ECG in the electrodes of the head
    hum: float  # uV of 60 Hz mains
    breath_rate: float  # breaths/min
    chest: float
    abdomen: float
    saturation: float  # %
    apneas: float  # an hour of sleep
    efforts: float  # respiratory-effort arousals per hour of sleep


def draw_person(seed):
    """Draw a `Person`; men and older people have more apneas on average."""
    rng = generator(seed, "person")

    def factor(spread, age=0.0):
        return float(np.exp(age * old + spread * rng.standard_normal()))

    age = int(np.clip(rng.normal(55, 16), 18, 90))
    old = (age - 55) / 16
    sex = "M" if rng.random() < 0.65 else "F"
    return Person(
        age=age,
        sex=sex,
        old=old,
        gain=factor(0.15),
        delta=factor(0.16, -0.24),
        spindles=factor(0.18, -0.20),
        spindle_frequency=float(13.4 + 0.4 * rng.standard_normal()),
        alpha=factor(0.35, -0.05),
        alpha_frequency=round(float(9.8 - 0.35 * old + 0.5 * rng.standard_normal()), 1),
        eyes=factor(0.2),
        tone=factor(0.35),
        heart_rate=float(np.clip(62 + 7 * rng.standard_normal(), 45, 85)),
        variability=factor(0.20, -0.42),
        ecg=factor(0.25),
        ectopic=float(rng.exponential(1.5) if rng.random() < 0.1 + 0.05 * max(0.0, old) else 0.0),
        leak=factor(0.8) * 2.0,
        hum=factor(0.7) * 1.0,
        breath_rate=float(np.clip(14.5 + 1.7 * rng.standard_normal(), 10, 20)),
        chest=factor(0.3),
        abdomen=factor(0.3),
        saturation=float(np.clip(96.3 - 0.5 * old + 0.8 * rng.standard_normal(), 92, 99)),
        apneas=min(80.0, factor(0.8, 0.2) * (14 if sex == "M" else 9)),
        efforts=min(40.0, factor(0.5) * 10),
    )


def _occupancy(epochs, cycles, old):
    """Target share of each stage, `(epochs, 5)`."""
    night = (np.arange(epochs) + 0.5) / epochs
    cycle = night * cycles % 1

    def bump(centre, width):
        return np.exp(-(((cycle - centre) / width) ** 2))

    share = np.empty((epochs, 5))
    edges = np.exp(-((night / 0.05) ** 2)) + np.exp(-(((1 - night) / 0.04) ** 2))
    share[:, W] = np.maximum(0.04, 0.08 + 0.04 * old + 0.1 * bump(1.0, 0.06)) + edges
    share[:, N1] = np.maximum(0.05, 0.11 + 0.03 * old)
    share[:, N2] = 0.42
    share[:, N3] = 0.01 + 1.1 * bump(0.4, 0.16) * np.exp(-1.8 * night) * np.clip(1 - 0.35 * old, 0.25, 1.6)
    share[:, R] = 0.004 + bump(0.85, 0.13) * (0.45 + 0.8 * night)
    return share / share.sum(axis=1, keepdims=True)


def _transitions(epochs, old):
    """Transition probabilities between stages for each epoch: `(epochs, from, to)`.

    The rate of a transition is proportional to sqrt(target share of the new stage / target share of the old stage),
    which makes the shares of `_occupancy` stationary. A short record contains a compressed night of at least two
    cycles; its rates grow with the square root of the compression.
    """
    hours = epochs / 120
    cycles = int(np.clip(round(hours / 1.6), 2, 6))
    share = _occupancy(epochs, cycles, old)
    haste = max(1.0, 1.6 * cycles / hours) ** 0.5
    rates = _EXCHANGE * np.sqrt(share[:, None, :] / share[:, :, None])
    total = rates.sum(axis=2, keepdims=True)
    leave = 1 - np.exp(-total * haste * 0.5)
    return np.where(np.eye(5, dtype=bool), 1 - leave, leave * rates / total)


def draw_hypnogram(seed, epochs, old=0.0):
    """Draw the stages of a night from time-varying transition rates.

    The draw is repeated until each stage has at least min(2, `epochs // 20`) epochs, so that 20 minutes contain all.

    Args:
        seed: Seed of the draw.
        epochs: Number of 30 s epochs, into which a whole night is compressed.
        old: Age in standard deviations above the mean.

    Returns: int8 `(epochs,)`, 0 to 4 for W, N1, N2, N3, R; the first is W.
    """
    rng = generator(seed, "hypnogram")
    cumulative = _transitions(epochs, old).cumsum(axis=2).tolist()
    for _ in range(1000):
        draws, stages, stage = rng.random(epochs).tolist(), np.empty(epochs, np.int8), W
        for epoch in range(epochs):
            stages[epoch] = stage
            row = cumulative[epoch][stage]
            stage = next((k for k in range(4) if draws[epoch] < row[k]), 4)
        if np.bincount(stages, minlength=5).min() >= min(2, epochs // 20):
            break
    return stages


def draw_events(seed, stages, person):
    """Draw respiratory events in sleep by thinning one Poisson process; events do not overlap.

    Args:
        seed: Seed of the draw.
        stages: `(epochs,)`.
        person: `Person`, who has the indices of apneas, hypopneas and respiratory-effort arousals.

    Returns: list of `(kind, begin, end)` in seconds.
    """
    rng = generator(seed, "events")
    kinds = [*_APNEAS, "arousal_rera", "resp_partialobstructive"]
    hourly = np.array([*(person.apneas * np.array(list(_APNEAS.values()))), person.efforts, 0.05 * person.efforts])
    by_stage = np.array([0.0, 1.3, 1.1, 0.5, 1.2])
    events, time, seconds = [], 0.0, len(stages) * 30
    while True:
        time += rng.exponential(3600 / (1.3 * hourly.sum()))
        length = float(np.clip(np.exp(rng.normal(2.95, 0.25)), 10, 45))
        if time + length + 20 > seconds:
            return events
        begin, end = stages[int(time // 30)], stages[int((time + length) // 30)]
        if end != W and rng.random() < by_stage[begin] / 1.3:
            events.append((kinds[rng.choice(len(kinds), p=hourly / hourly.sum())], time, time + length))
            time += length + 12
