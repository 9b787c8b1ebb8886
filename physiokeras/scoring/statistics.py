"""Sleep statistics of a hypnogram as the AASM manual defines them, and its agreement with a scorer's."""

from collections.abc import Sequence

import numpy as np

from physiokeras.evaluation.scores import class_scores

WAKE = "W"
REM = ("R", "REM")
"""Names of REM sleep."""


def is_staging(classes: Sequence[str]) -> bool:
    """Whether classes are sleep stages: wakefulness, called "W", and at least one stage of sleep called R, REM or N...

    Args:
        classes: Class names.

    Returns: true or false.
    """
    others = [name for name in classes if name != WAKE]
    return WAKE in classes and any(name in REM or name.startswith("N") for name in others)


def sleep_statistics(stages: np.ndarray, classes: Sequence[str], window: float = 30.0) -> dict[str, float]:
    """Sleep statistics of a night. Lights are taken to be off from the first window to the end of the last.

    Args:
        stages: `(windows,)` class numbers in order of time, -1 where unscored.
        classes: Names of the class numbers; "W" is wakefulness, "R" or "REM" is REM sleep, all others are sleep.
        window: Seconds per window.

    Returns: dict of minutes, unless a name says otherwise; NaN where something does not occur.
        `tib`: time in bed, the hypnogram's length;
        `spt`: sleep period, from the first to the end of the last window of sleep;
        `tst`: total sleep time;
        `se_percent`: sleep efficiency, TST / TIB;
        `sol`: sleep onset latency, from the start to the first window of any sleep;
        `waso`: wakefulness after sleep onset, to the end of the recording;
        `waso_in_spt`: the part of it inside the sleep period, which other programs call WASO;
        `rem_latency`: from sleep onset to the first window of REM sleep;
        `awakenings`: number of changes from sleep to wakefulness;
        `unscored`;
        and for each class `minutes_NAME`, and for stages of sleep `percent_NAME`, the share of TST.

    Source: Iber et al. 2007, The AASM Manual for the Scoring of Sleep; formulae as in its parameters to be reported.
    """
    stages, minutes = np.asarray(stages), window / 60
    names = np.array([*classes, ""])[stages]  # "" for -1
    scored, wake = stages >= 0, names == WAKE
    asleep, rem = scored & ~wake, np.isin(names, REM)
    where = np.flatnonzero(asleep)
    first, last = (where[0], where[-1]) if len(where) else (len(stages), len(stages) - 1)
    tst = asleep.sum() * minutes
    found = {
        "tib": len(stages) * minutes,
        "spt": (last + 1 - first) * minutes,
        "tst": tst,
        "se_percent": 100 * asleep.mean() if len(stages) else np.nan,
        "sol": first * minutes if len(where) else np.nan,
        "waso": wake[first:].sum() * minutes if len(where) else np.nan,
        "waso_in_spt": wake[first : last + 1].sum() * minutes if len(where) else np.nan,
        "rem_latency": (np.argmax(rem) - first) * minutes if rem.any() else np.nan,
        "awakenings": np.sum(asleep[:-1] & wake[1:]),
        "unscored": np.sum(~scored) * minutes,
    }
    found |= {f"minutes_{name}": np.sum(names == name) * minutes for name in classes}
    share = {name: found[f"minutes_{name}"] / tst if tst else np.nan for name in classes if name != WAKE}
    found |= {f"percent_{name}": 100 * value for name, value in share.items()}
    return {name: float(value) for name, value in found.items()}


def agreement(scored: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Agreement of predicted classes with a scorer's, over the windows that both have.

    Args:
        scored: `(windows,)` class numbers, -1 where unscored.
        probabilities: `(windows, classes)`, NaN in windows without a prediction.

    Returns: dict of `windows`, `accuracy`, `balanced_accuracy`, `macro_f1` and Cohen's `kappa`; empty without a window
        in common.
    """
    scored, probabilities = np.asarray(scored), np.asarray(probabilities)
    both = (scored >= 0) & np.isfinite(probabilities).all(axis=1)
    if not both.any():
        return {}
    scores = class_scores(scored[both], probabilities[both])
    return {name: scores[name] for name in ("windows", "accuracy", "balanced_accuracy", "macro_f1", "kappa")}
