"""Derived channels against NumPy on wfdb's own reading; names and aliases against what headers hold."""

import numpy as np
import pytest
import wfdb

from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.definitions.montage import find_sources
from physiokeras.pipelines.inspecting.inspection import inspect_record
from physiokeras.pipelines.readers.channel_names import matches
from physiokeras.pipelines.readers.records import read_header
from physiokeras.pipelines.signals.channels import is_absent, record_windows
from physiokeras.pipelines.signals.derivation import Reader

NAMES = ("C3", "C4", "A1", "A2")
RATE, SECONDS = 100, 120
RULES = {
    "C3-M2": ["C3", "M2"],
    "C3-linked": ["C3", ["M1", "M2"]],
    "average": [["C3", "C4", "-M1"]],
    "C4-average": ["C4", "average"],
    "upside down": ["-C4"],
}
BY_HAND = {
    "C3-M2": lambda c3, c4, a1, a2: c3 - a2,
    "C3-linked": lambda c3, c4, a1, a2: c3 - (a1 + a2) / 2,
    "C4-average": lambda c3, c4, a1, a2: c4 - (c3 + c4 - a1) / 3,
    "upside down": lambda c3, c4, a1, a2: -c4,
}


def definition(channels=tuple(BY_HAND), montage=RULES, alias=None, **modality):
    eeg = {"rate": RATE, "unit": "uV", "bandpass": [0.5, 40.0], "channels": list(channels), **modality}
    alias = {"M1": "A1", "M2": ["A2", "EEG A2*"]} if alias is None else alias
    return Definition.from_dict({"name": "d", "modalities": {"eeg": eeg}, "montage": montage, "alias": alias})


def write(folder, names=NAMES, rates=None, units=None, change=None):
    """A record of four channels of noise, in microvolts, however its header puts them."""
    values = np.random.default_rng(0).normal(0, 30, (RATE * SECONDS, len(NAMES)))[:, : len(names)]
    if change:
        change(values)
    units = units or ["uV"] * len(names)
    scaled = values * [{"uV": 1.0, "mV": 1e-3}.get(unit, 1.0) for unit in units]
    each = [rate // RATE for rate in rates or [RATE] * len(names)]
    signals = [np.repeat(column, count) for column, count in zip(scaled.T, each, strict=True)]
    wfdb.wrsamp("r", fs=RATE, units=units, sig_name=list(names), e_p_signal=signals, samps_per_frame=each,
                fmt=["16"] * len(names), write_dir=str(folder))  # fmt: skip
    return read_header(folder / "r.hea")


@pytest.fixture
def header(tmp_path):
    return write(tmp_path, units=["uV", "uV", "uV", "mV"])


def recorded(header):
    record = wfdb.rdrecord(str(header.path.with_suffix("")))
    return [column * (1e3 if unit == "mV" else 1) for column, unit in zip(record.p_signal.T, record.units, strict=True)]


@pytest.mark.parametrize("name", BY_HAND)
def test_a_derivation_is_its_arithmetic_whatever_the_parts_units(header, name):
    source = find_sources(header, definition())[name]
    values, flat = Reader(header).read(source)
    np.testing.assert_allclose(values, BY_HAND[name](*recorded(header)), atol=2e-3)
    assert flat is None


def test_a_mean_that_is_kept_is_that_of_the_next_channel_too(header):
    rules = {"average": RULES["average"], "C4-average": ["C4", "average"], "C3-average": ["C3", "average"]}
    sources = find_sources(header, definition(["C4-average", "C3-average"], rules, {"M1": "A1"}))
    reader = Reader(header)
    reader.read(sources["C4-average"])
    c3, c4, a1, _ = recorded(header)
    np.testing.assert_allclose(reader.read(sources["C3-average"])[0], c3 - (c3 + c4 - a1) / 3, atol=2e-3)


def test_windows_of_a_derived_channel_say_what_they_are_of(header):
    stored, present, quality = record_windows(header, definition())
    assert present.all()
    assert [channel["source"] for channel in quality] == ["C3 - A2", "C3 - mean(A1, A2)", "C4 - average", "-C4"]
    assert quality[1]["parts"] == ["C3", "A1", "A2"]
    inverted = record_windows(header, definition(["C4"], {}, {}))[0]["eeg"]
    difference = inverted[..., 0].astype(int) + stored["eeg"][..., 3]
    assert abs(difference).max() <= 2


def test_what_is_recorded_is_taken_before_it_is_derived(tmp_path):
    header = write(tmp_path, ("C3", "C3-M2", "A1", "A2"))
    assert find_sources(header, definition())["C3-M2"].text == "C3-M2"


def test_a_missing_part_makes_the_channel_missing_and_is_named(tmp_path):
    header = write(tmp_path, ("C3", "C4", "A1", "X"))
    _, present, quality = record_windows(header, definition())
    assert present.any(axis=0).tolist() == [False, False, True, True]
    assert quality[0]["notes"] == ["not in the record, and C3 - M2 lacks M2"]
    assert is_absent(quality[0])
    assert not is_absent(quality[2])
    required = definition([{"name": "C3-M2", "required": True}], {"C3-M2": RULES["C3-M2"]}, {})
    with pytest.raises(DataError, match="C3 - M2 lacks M2"):
        find_sources(header, required)


def test_a_dead_part_is_not_hidden_by_the_other_one(tmp_path):
    def die(values):
        values[: 60 * RATE, 3] = 7.0

    rules = {name: RULES[name] for name in ("C3-M2", "upside down")}
    _, present, quality = record_windows(write(tmp_path, change=die), definition([*rules], rules, {"M2": "A2"}))
    assert present.tolist() == [[False, True], [False, True], [True, True], [True, True]]
    assert quality[0]["notes"] == ["its part A2 is flat in 50% of the windows", "flat in 50% of the windows"]


def test_what_a_part_misses_the_channel_misses(tmp_path):
    def drop(values):
        values[35 * RATE : 40 * RATE, 3] = np.nan

    rules = {"C3-M2": ["C3", "M2"]}
    _, present, _ = record_windows(write(tmp_path, change=drop), definition(["C3-M2"], rules, {"M2": "A2"}))
    assert present[:, 0].tolist() == [True, False, True, True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"rates": [100, 100, 100, 200]}, "channel A2: all parts of C3 - A2 must have one rate, 100 Hz. Received: 200"),
     ({"units": ["uV", "uV", "uV", "degC"]}, "channel A2: its unit is 'degC', but")])  # fmt: skip
def test_parts_that_do_not_fit_are_refused_by_name(tmp_path, changes, words):
    found = inspect_record(write(tmp_path, **changes).path, definition(), {})
    assert words in found.error


@pytest.mark.parametrize(
    ("wanted", "names", "places"),
    [
        ("EEG", ["eeg", "EEG"], [1]),
        ("eeg*", ["EEG 2", "ECG"], [0]),
        ("EEG?(sec)", ["EEG(sec)", "EEG (SEC)"], [1]),
        ("EEG [x]*", ["EEG x", "EEG [X] 1"], [1]),
        ("odd?", ["odd?", "oddX"], [0]),
        ("*", ["a", "b"], [0, 1]),
        ("EEG C3", ["EEG\u00a0 C3", "EEGC3"], [0]),
        ("EEG C3", ["EEG  C3", "EEG C3"], [1]),
        ("Mu\u0308ller", ["Muller", "M\u00fcller"], [1]),
    ],
)
def test_names_are_exact_and_patterns_ignore_case(wanted, names, places):
    assert matches(wanted, names) == places


def test_two_signals_for_one_name_and_one_for_two_are_refused(header):
    with pytest.raises(DataError, match=r"the alias matches several channels: C3, C4. Narrow it"):
        find_sources(header, definition(["x"], {}, {"x": "C?"}))
    with pytest.raises(DataError, match="channel C3: two channels of the definition take it: C3 and x"):
        find_sources(header, definition(["C3", "x"], {}, {"x": "*3"}))


BROKEN = {
    "cycle": ({"C3-M2": ["C3", "M2"], "C3": ["-C3-M2"]}, {}, "C3-M2 -> C3"),
    "itself": ({"C3-M2": ["C3-M2", "M2"]}, {}, "C3-M2 -> C3-M2"),
    "tower": ({"C3-M2": ["-x0", "M2"], **{f"x{n}": [f"-x{n + 1}"] for n in range(2000)}}, {}, "9 times"),
    "three terms": ({"C3-M2": ["C3", "M2", "M1"]}, {}, "one or two names"),
    "no term": ({"C3-M2": []}, {}, "one or two names"),
    "empty mean": ({"C3-M2": ["C3", []]}, {}, "one or two names"),
    "empty name": ({"C3-M2": ["C3", "-"]}, {}, "one or two names"),
    "number": ({"C3-M2": ["C3", 2]}, {}, "one or two names"),
    "text": ({"C3-M2": "C3"}, {}, "one or two names"),
    "part twice": ({"C3-M2": ["C3", ["M1", "-M1"]]}, {}, "each part of a mean once"),
    "nothing left": ({"C3-M2": ["C3", "C3"]}, {}, "a term from itself"),
    "another name": ({"C3-M2": ["EEG C3"]}, {}, "write it in .alias."),
    "unused rule": ({"C3M2": ["C3", "M2"]}, {}, "a part of another rule"),
    "alias of nothing": ({}, {"M2": ["A2"]}, "a part in .montage."),
    "alias of no name": ({}, {"C3-M2": []}, "must list other names"),
    "alias is a number": ({}, {"C3-M2": 2}, "must be a list"),
    "no table": ([], {}, "must be a table"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_rule_that_cannot_be_is_refused(fault):
    montage, alias, words = BROKEN[fault]
    with pytest.raises(DataError, match=words):
        definition(["C3-M2"], montage, alias)
