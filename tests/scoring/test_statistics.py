import itertools
import math

import numpy as np
import pytest

from physiokeras.scoring import agreement, events_of, sleep_statistics
from physiokeras.scoring.events import per_hour
from physiokeras.scoring.statistics import is_staging

pytestmark = pytest.mark.once

CLASSES = ("W", "N1", "N2", "N3", "R")
YASA = {"W": "WAKE", "R": "REM"}


def hypnogram(seed, windows=400, wake=0.3):
    """Random stages in bouts of random length, some unscored."""
    draw, stages = np.random.default_rng(seed), []
    while len(stages) < windows:
        stage = 0 if draw.random() < wake else int(draw.integers(-1, 5))
        stages += [stage] * int(draw.integers(1, 12))
    return np.array(stages[:windows])


def by_hand(stages, minutes):
    """The manual's formulae, window by window."""
    asleep = [index for index, stage in enumerate(stages) if stage > 0]
    onset, end = asleep[0], asleep[-1] + 1
    rem = [index for index, stage in enumerate(stages) if stage == 4]
    waking = sum(1 for a, b in itertools.pairwise(stages) if a > 0 and b == 0)
    after = [stage for stage in stages[onset:] if stage == 0]
    return {
        "tib": len(stages) * minutes,
        "spt": (end - onset) * minutes,
        "tst": len(asleep) * minutes,
        "se_percent": 100 * len(asleep) / len(stages),
        "sol": onset * minutes,
        "waso": len(after) * minutes,
        "waso_in_spt": sum(1 for stage in stages[onset:end] if stage == 0) * minutes,
        "rem_latency": (rem[0] - onset) * minutes if rem else math.nan,
        "awakenings": waking,
        "unscored": sum(1 for stage in stages if stage < 0) * minutes,
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("window", [20, 30])
def test_sleep_statistics_are_those_of_the_manual(seed, window):
    stages = hypnogram(seed)
    found = sleep_statistics(stages, CLASSES, window)
    for name, value in by_hand(stages.tolist(), window / 60).items():
        assert found[name] == pytest.approx(value, nan_ok=True), name
    minutes = [found[f"minutes_{name}"] for name in CLASSES]
    assert sum(minutes) + found["unscored"] == pytest.approx(found["tib"])
    assert sum(found[f"percent_{name}"] for name in CLASSES[1:]) == pytest.approx(100)


@pytest.mark.parametrize("seed", range(5))
def test_sleep_statistics_are_those_of_yasa(seed):
    yasa = pytest.importorskip("yasa")
    stages = hypnogram(seed, wake=0.2)
    names = np.array([*(YASA.get(name, name) for name in CLASSES), "UNS"])[stages]
    theirs = yasa.Hypnogram(names, freq="30s").sleep_statistics()
    ours = sleep_statistics(stages, CLASSES)
    same = {"tib": "TIB", "spt": "SPT", "tst": "TST", "se_percent": "SE", "sol": "SOL", "waso_in_spt": "WASO"}
    same |= {f"minutes_{name}": YASA.get(name, name) for name in CLASSES}
    same |= {f"percent_{name}": f"%{YASA.get(name, name)}" for name in CLASSES[1:]}
    for name, theirs_called in same.items():
        assert ours[name] == pytest.approx(theirs[theirs_called], abs=1e-3), name
    assert ours["rem_latency"] == pytest.approx(theirs["Lat_REM"] - theirs["SOL"], abs=1e-3)
    assert ours["awakenings"] == pytest.approx(theirs["SFI"] * theirs["TST"] / 60, abs=1e-2)


def test_night_without_sleep_has_no_latencies():
    found = sleep_statistics(np.zeros(10, int), CLASSES)
    assert (found["tst"], found["se_percent"], found["spt"], found["awakenings"]) == (0, 0, 0, 0)
    assert all(math.isnan(found[name]) for name in ("sol", "waso", "rem_latency", "percent_N2"))
    assert found["minutes_W"] == 5


def test_agreement_is_that_of_the_windows_that_both_have():
    scored = np.array([0, 1, 1, 2, -1, 2])
    probabilities = np.eye(3)[[0, 1, 0, 2, 1, 0]]
    probabilities[5] = np.nan
    found = agreement(scored, probabilities)
    assert (found["windows"], found["accuracy"]) == (4, 0.75)
    # Of four windows 3 agree; by chance (1 x 2 + 2 x 1 + 1 x 1) / 16 would.
    assert found["kappa"] == pytest.approx((3 / 4 - 5 / 16) / (1 - 5 / 16))
    assert agreement(np.full(6, -1), probabilities) == {}


def test_stages_are_told_from_other_classes():
    assert is_staging(CLASSES)
    assert is_staging(("W", "NREM", "REM"))
    assert not is_staging(("no arousal", "arousal"))
    assert not is_staging(("W", "other"))


def test_events_join_neighbours_and_break_at_gaps():
    values = np.array([0, 1, 1, 0, 1, -1, 1, 1])
    probabilities = np.stack([1 - 0.1 * np.arange(8), 0.1 * np.arange(8)], axis=1)
    starts = np.array([0, 30, 60, 90, 120, 150, 180, 300])
    found = events_of(values, probabilities, starts, 30, ("no arousal", "arousal"))
    assert [(e.onset, e.duration) for e in found] == [(30, 60), (120, 30), (180, 30), (300, 30)]
    assert [e.probability for e in found] == pytest.approx([0.15, 0.4, 0.6, 0.7])
    assert {e.name for e in found} == {"arousal"}
    assert per_hour(found, 0.5) == 8
    assert math.isnan(per_hour([], 0))
