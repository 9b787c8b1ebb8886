"""Guesses of what a channel measures, from its name alone, and how such signals are usually prepared."""

import re
from dataclasses import dataclass

VOLTS = ("V", "mV", "uV", "nV")


@dataclass(frozen=True)
class Guess:
    """A kind of signal.

    Attributes:
        names: Regular expression on a channel's name.
        rate: Usual target rate in Hz.
        bandpass: Usual edges in Hz, or None.
        unit: Unit to convert to where it is recorded in one of the same quantity, or None.
        fixed: `(offset, factor)` of a fixed scale, where the unit is that one; None: scaled by record.
    """

    names: str
    rate: int
    bandpass: tuple | None
    unit: str | None
    fixed: tuple | None = None


ELECTRODE = r"(fp|af|f|fc|ft|c|cp|t|tp|p|po|o|i)(z|\d{1,2})"
"""Regular expression of the 10-20 system's names."""

GUESSES = {
    "eog": Guess(r"eog|\b[er]oc\b|\bloc\b|\be[12]\b|\be[12]-|eye", 100, (0.3, 35.0), "uV"),
    "emg": Guess(r"emg|chin|\bleg|\b[lr]?leg\b|\btib|\b[lr]at\b|masseter", 200, (10.0, 95.0), "uV"),
    "ecg": Guess(r"ecg|ekg|\bml?ii?i?\b|^(i|ii|iii|v[1-6]?|av[rlf])$", 100, (0.5, 40.0), "mV", (0, 0.25)),
    "eeg": Guess(
        rf"eeg|^{ELECTRODE}$|^{ELECTRODE}\s*[-:/]\s*({ELECTRODE}|[am][12]|ref|le|re|avg|lm)", 100, (0.3, 35.0), "uV"
    ),
    "spo2": Guess(r"sp?[ao]o?2|\bosat\b|saturation", 4, None, "%", (95, 5)),
    "bvp": Guess(r"\bbvp\b|ppg|pleth|\bpulse", 64, (0.5, 8.0), None),
    "pressure": Guess(r"\b(a?bp|art|pap|cvp|icp|nibp)\b|blood pressure", 50, (0.5, 20.0), "mmHg"),
    "resp": Guess(
        r"resp|thor|chest|abd|flow|\bair\b|nasal|breath|cannula|\beffort\b|\bsum\b|\brip\b", 20, (0.05, 5.0), None
    ),
    "eda": Guess(r"\beda\b|gsr|skin ?cond|electroderm", 4, None, "uS"),
    "temp": Guess(r"temp", 4, None, "degC"),
    "acc": Guess(r"\bacc|accel", 32, None, "g", (0, 1)),
}
"""Kinds of signals in the order in which they are tried, which is that of the tokens in a draft."""

_NEVER = r"impedance|status|quality|marker|trigger|event|annotation|battery|\bdiff\b|\bhr\b|rate\b|posit"
"""What tells that a channel is no signal of a body, or one that is made of another."""


def guess(name):
    """The kind of signal that a channel's name suggests, one of `GUESSES`; None for no suggestion."""
    if re.search(_NEVER, name, re.IGNORECASE):
        return None
    plain = name.replace("_", " ").strip()
    return next((kind for kind, g in GUESSES.items() if re.search(g.names, plain, re.IGNORECASE)), None)
