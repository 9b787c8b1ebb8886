"""Chin EMG, ECG, breathing and oxygen saturation of a simulated night. Amplitudes are plausible but invented.

Each generator yields `(channels, samples)` in physical units, one block of the night at a time.
"""

import numpy as np

from physiokeras.pipelines.simulation.challenge_files import RATE
from physiokeras.pipelines.simulation.physiology import GRID, wander
from physiokeras.pipelines.simulation.signals import STEP, Noise, blocks, fine, heartbeat, poisson
from physiokeras.pipelines.simulation.sleep import generator


def emg(night, seed):
    """One chin EMG channel in uV: tone by stage and depth, bursts in arousals and movements, twitches in REM."""
    rng, person = generator(seed, "emg"), night.person
    noise, floor, drift = Noise(rng, 12.0, None), Noise(rng, None, None), Noise(rng, 0.3, 2.0)
    twitch = np.zeros_like(night.phasic)
    twitch[rng.random(len(twitch)) < 0.006 * night.phasic] = 1.0
    tone = night.by_stage(17, 10, 7.5, 6.5, 2.8) * np.exp(-0.12 * night.depth) + 9 * twitch
    tone = tone * np.exp(0.35 * wander(rng, len(tone), 50))
    tone = person.tone * (tone + 24 * night.arousal + 45 * night.movement).astype(np.float32)
    for block in blocks(night):
        level, move = fine(tone, block), fine(night.movement, block)
        count = len(level)
        clock = np.arange(block.start * STEP, block.stop * STEP) / RATE
        hum = person.hum * np.sin(2 * np.pi * (60 * clock % 1)).astype(np.float32)
        signal = noise(count) * level + 1.5 * floor(count) + 60 * drift(count) * move
        yield signal + hum + 3 * person.leak * heartbeat(night, block)


def ecg(night, seed):
    """One ECG channel in mV: PQRST waves, respiration in amplitude and baseline, muscle noise, mains."""
    rng, person = generator(seed, "ecg"), night.person
    muscle, drift = Noise(rng, 15.0, None), Noise(rng, 0.05, 0.6)
    level = (0.012 * night.by_stage(1.3, 1, 0.9, 0.8, 0.8) + 0.05 * night.arousal).astype(np.float32)
    for block in blocks(night):
        effort, move = fine(night.effort, block), fine(night.movement, block)
        count = len(effort)
        signal = person.ecg * heartbeat(night, block) * (1 + 0.08 * effort) + 0.05 * effort
        signal = signal + muscle(count) * (fine(level, block) + 0.10 * move) + drift(count) * (0.03 + 0.35 * move)
        clock = np.arange(block.start * STEP, block.stop * STEP) / RATE
        yield signal + (0.004 * person.hum * np.sin(2 * np.pi * (60 * clock % 1))).astype(np.float32)


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
    """SaO2 in %, quantised as by an oximeter; movement in wake occasionally loses the signal."""
    rng = generator(seed, "saturation")
    course = np.repeat(np.round(2 * night.saturation[::GRID]) / 2, GRID)
    lost = poisson(rng, 60 * 0.04 * night.movement)
    for time in lost:
        begin = int(time * GRID)
        course[begin : begin + int(rng.uniform(4, 20) * GRID)] = 0
    for block in blocks(night):
        yield fine(course, block)[None]
