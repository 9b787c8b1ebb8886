"""Annotations and times of EDF+ as recorders and exporters really write them."""

import numpy as np
import pytest
from edf_bytes import channel, entry, keep, write, write_scores

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.driver import convert
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.labels.window_labels import first_window, read_labels
from physiokeras.pipelines.readers.records import read_header, read_signal
from physiokeras.pipelines.readers.units import convert_unit
from physiokeras.pipelines.signals.channels import record_windows

TABLE = {
    "name": "mine",
    "records": "**/*-PSG.edf",
    "modalities": {"eeg": {"rate": 100, "unit": "uV", "channels": ["EEG Fpz-Cz"]}},
    "labels": {
        "stage": {
            "kind": "stages",
            "file": "{record:.2}*-Hypnogram.edf",
            "prefix": "Sleep stage ",
            "classes": ["W", "N1", "N2", "N3", "R"],
            "mapping": {"1": "N1", "2": "N2", "3": "N3", "4": "N3"},
            "unscored": ["?", "Movement time"],
        }
    },
}
MINE = Definition.from_dict(TABLE)
STAGES = ("W", "1", "2", "3", "R")


@pytest.fixture
def night(tmp_path):
    return write(tmp_path / "a1-PSG.edf", [channel()])


def scores(folder, entries, **options):
    """A hypnogram of (begin, duration, stage)."""
    known = (*STAGES, "?")
    entries = [(begin, length, f"Sleep stage {text}" if text in known else text) for begin, length, text in entries]
    return write_scores(folder / "a1-Hypnogram.edf", entries, **options)


def stages(path, definition=MINE, **options):
    report = []
    return read_labels(read_header(path), definition, {}, report, **options)["stage"].tolist(), report


@pytest.mark.parametrize("odd", ["-30", "", "30s", "nan", "1,5"])
def test_a_duration_that_cannot_be_lasts_to_the_next_mark_and_is_said(night, odd):
    scores(night.parent, [(0, 60, "W"), (60, 60, "1"), (120, odd, "2"), (180, 60, "3"), (240, 60, "R")])
    found, report = stages(night)
    assert found == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [f"byte 560: 'Sleep stage 2' has the duration {odd!r}" in line for line in report] == [True] * bool(odd)


def test_what_cannot_be_read_is_counted_and_named(night):
    path = scores(night.parent, [(0, 60, "W"), ("soon", 60, "2"), (60, 240, "3")])
    found, report = stages(night)
    assert found == [0, 0] + [3] * 8
    assert report == [f"{path.name}: byte 538: no annotation could be read from 'soon\\x1560\\x14Sleep stage 2\\x14'"]


def test_a_file_without_an_entry_that_keeps_the_time_loses_no_mark(night):
    scores(night.parent, [(30, 60, "W"), (90, 210, "R")], first=b"")
    assert stages(night)[0] == [-1, 0, 0] + [4] * 7


def test_several_texts_of_one_entry_and_of_the_one_that_keeps_the_time_are_kept(night):
    lists = keep(0)[:-1] + b"Sleep stage W\x14\0" + entry(60, None, "Lights off\x14Sleep stage 2")
    write(night.parent / "a1-Hypnogram.edf", [], [lists], duration=0)
    found, report = stages(night)
    assert found == [0, 0] + [2] * 8
    assert report == ["a1-Hypnogram.edf: 1 x 'Lights off', without effect on labels"]


@pytest.mark.parametrize("unscored", [["?", "Movement time"], ["?", "Sleep stage M"]])
def test_an_unscored_text_ends_the_stage_before_it_with_or_without_the_prefix(night, unscored):
    label = {**TABLE["labels"]["stage"], "unscored": unscored}
    scores(night.parent, [(0, None, "W"), (60, None, "1"), (120, None, unscored[1]), (180, None, "3")])
    found, _ = stages(night, Definition.from_dict({**TABLE, "labels": {"stage": label}}))
    assert found == [0, 0, 1, 1, -1, -1, 3, 3, 3, 3]


@pytest.mark.parametrize("length", [None, 150])
def test_a_mark_before_the_record_lasts_into_it(night, length):
    scores(night.parent, [(-90, length, "W"), (60, None, "2")])
    assert stages(night)[0] == [0, 0] + [2] * 8


def test_marks_before_the_record_alone_are_left_out_and_counted(night):
    scores(night.parent, [(-90, 30, "W"), (-60, 60, "1"), (0, 300, "2")])
    found, report = stages(night)
    assert found == [2] * 10
    assert "2 marks of [labels.stage] lie before or behind the record" in report[0]


CONTRADICTIONS = {
    "same begin and length": [(0, 60, "W"), (60, 120, "2"), (60, 120, "R"), (180, 120, "1")],
    "same begin, the other order": [(0, 60, "W"), (60, 120, "R"), (60, 120, "2"), (180, 120, "1")],
    "without durations": [(0, None, "W"), (60, None, "2"), (60, None, "R"), (180, None, "1")],
    "stage and unscored": [(0, 60, "W"), (60, 120, "2"), (60, 120, "?"), (180, 120, "1")],
    "other lengths": [(0, 180, "W"), (60, 120, "R"), (180, 120, "1")],
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_two_scorers_who_contradict_leave_no_stage_and_a_note(night, case):
    scores(night.parent, CONTRADICTIONS[case])
    found, report = stages(night)
    assert found == [0, 0, -1, -1, -1, -1, 1, 1, 1, 1]
    assert "contradict each other at the same time for 120 s, from second 60 on" in report[0]


def test_two_scorers_who_agree_and_lengths_that_were_rounded_up_are_no_contradiction(night):
    scores(night.parent, [(0, 60, "W"), (0, 30, "W"), (30, 30.4, "W"), (60, 240, "2"), (60, 120, "2"), (180, 120, "2")])
    assert stages(night) == ([0, 0] + [2] * 8, [])


@pytest.mark.parametrize(
    ("date", "time", "wanted"),
    [
        ("02.03.20", "00.01.00", 60),  # midnight lies between
        ("01.03.20", "23.59.30", -30),
        ("03.03.20", "12.00.00", None),
        ("02.03.20", "23.59.00", None),
        ("29.02.20", "23.59.30", None),
        ("01.01.85", "00.01.00", 60),  # a date that is not to be known
        ("01.01.85", "23.59.30", -30),
        ("99.99.99", "00.01.00", 60),
    ],
)
def test_scores_are_placed_by_their_date_and_refused_where_they_are_another_nights(tmp_path, date, time, wanted):
    options = {"date": "02.03.20", "time": "00.00.00"}
    night = write(tmp_path / "a1-PSG.edf", [channel()], **options)
    scores(tmp_path, [(0, 120, "2")], date=date, time=time)
    if wanted is None:
        with pytest.raises(DataError, match=r"a1-Hypnogram\.edf: byte 168: by the dates of both files it starts"):
            stages(night)
    else:
        begin = wanted / 30
        assert stages(night)[0] == [2 if begin <= k < begin + 4 else -1 for k in range(10)]


def test_the_date_that_edf_plus_keeps_goes_before_the_short_one(tmp_path):
    options = {"recording": "Startdate 02-MAR-2020 X X X", "date": "01.01.85"}
    night = write(tmp_path / "a1-PSG.edf", [channel()], **options)
    scores(tmp_path, [(0, 120, "2")], date="03.03.20")
    with pytest.raises(DataError, match=r"starts \+24\.0 h from the recording"):
        stages(night)
    # A month in another language is none; the short date is then known all the same.
    write(night, [channel()], recording="Startdate 02-MRZ-2020 X X X", date="02.03.20")
    with pytest.raises(DataError, match=r"starts \+24\.0 h from the recording"):
        stages(night)


def test_a_recording_of_two_days_finds_its_scores_on_the_second(tmp_path):
    night = tmp_path / "a1-PSG.edf"
    write(night, [channel(rate=300, seconds=4000)], duration=30, date="01.03.20", time="09.00.00")
    scores(tmp_path, [(0, 600, "2")], date="02.03.20", time="10.00.00")
    assert np.flatnonzero(np.array(stages(night)[0]) == 2).tolist() == [120 * 25 + k for k in range(20)]


def test_undated_scores_are_placed_on_the_day_that_holds_most_of_them_which_is_said(tmp_path):
    night = tmp_path / "a1-PSG.edf"
    write(night, [channel(rate=300, seconds=4000)], duration=30, time="09.00.00")
    scores(tmp_path, [(0, 600, "2")], time="22.30.00")
    found, report = stages(night)
    assert np.flatnonzero(np.array(found) == 2).tolist() == [60 * 27 + k for k in range(20)]
    assert "the dates are unknown; taken to start +13.5 h from the recording" in report[0]


@pytest.mark.parametrize("time", ["24.00.00", "        ", "12.60.00"])
def test_a_start_that_is_no_time_is_an_error_of_the_file_that_has_it(night, time):
    scores(night.parent, [(0, 300, "2")])
    write(night, [channel()], time=time)
    with pytest.raises(DataError, match="byte 176: the start must be a time of day") as error:
        stages(night)
    assert error.value.file == night


def test_a_start_between_two_seconds_costs_no_label(tmp_path):
    entries = [(30 * k, 30, STAGES[k % 5]) for k in range(10)]
    night = write(tmp_path / "a1-PSG.edf", [channel()], [keep(k + 0.005) for k in range(300)])
    scores(tmp_path, entries)
    assert stages(night)[0] == [0, 1, 2, 3, 4] * 2


def gapped(path, kind="EDF+C", late=60.0, more=b""):
    """100 s, a gap, 200 s; each second holds its number among the recorded ones."""
    onsets = [k + 0.25 + late * (k >= 100) for k in range(300)]
    lists = [keep(onset) + more * (k == 200) for k, onset in enumerate(onsets)]
    return write(path, [channel(data=np.repeat(np.arange(300), 100), pmin=-32767, pmax=32767)], lists, kind=kind)


@pytest.mark.parametrize("kind", ["EDF+C", "EDF+D"])
def test_a_gap_between_data_records_is_missing_data_and_what_follows_lies_at_its_time(tmp_path, kind):
    path = gapped(tmp_path / "a1-PSG.edf", kind, more=entry(260.25, 100, "Sleep stage R"))
    header = read_header(path)
    values = read_signal(header, 0)
    assert header.seconds == 360
    assert "1 gap between data records, 60.0 s in all" in header.notes[0]
    np.testing.assert_allclose(values.reshape(360, 100)[:, 50], [*range(100), *[np.nan] * 60, *range(100, 300)])
    label = {**TABLE["labels"]["stage"], "file": "{record}.edf"}
    found, _ = stages(path, Definition.from_dict({**TABLE, "labels": {"stage": label}}))
    assert found == [-1] * 9 + [4] * 3


def test_a_list_of_epochs_as_long_as_the_data_without_a_gap_is_refused(tmp_path):
    path = gapped(tmp_path / "a1-PSG.edf")
    own = {"kind": "stages", "file": "a1.txt", "classes": ["W", "N2"]}
    listed = Definition.from_dict({**TABLE, "labels": {"stage": own}})
    seconds = read_header(path).seconds
    (tmp_path / "a1.txt").write_text("W\n" * round((seconds - 60) / 30))
    with pytest.raises(DataError, match="as the data do without the 60 s of the recording's gaps"):
        stages(path, listed)
    (tmp_path / "a1.txt").write_text("W\n" * round(seconds / 30))
    assert stages(path, listed)[0] == [0] * round(seconds / 30)


def test_sub_second_starts_are_placed_as_mne_places_them(tmp_path):
    mne = pytest.importorskip("mne")
    path = gapped(tmp_path / "a1-PSG.edf", "EDF+C", late=0.0, more=entry(120.25, 30, "Sleep stage R"))
    raw = mne.io.read_raw_edf(path, verbose="error")
    values = read_signal(read_header(path), 0)
    np.testing.assert_allclose(values * 1e-6, raw.get_data()[0], atol=1e-9)
    label = {**TABLE["labels"]["stage"], "file": "{record}.edf"}
    found, _ = stages(path, Definition.from_dict({**TABLE, "labels": {"stage": label}}))
    assert found.index(4) * 30 == pytest.approx(raw.annotations.onset[0], abs=0.3)


@pytest.mark.parametrize(
    ("kind", "onsets", "words"),
    [
        ("EDF+C", [0, 1, 2, 1.5, 2.5], "data record 3: data records must follow each other"),
        ("EDF+D", [0, 1, 2, float("nan"), 9], "data record 3: each data record must keep its time"),
        ("EDF+D", [0, 1, 2, 3, 9e7], "gaps between data records are too long"),
    ],
)
def test_times_that_cannot_be_are_errors(tmp_path, kind, onsets, words):
    lists = [keep(onset) if onset == onset else b"\0" for onset in onsets]
    path = write(tmp_path / "a1-PSG.edf", [channel(seconds=5)], lists, kind=kind)
    with pytest.raises(DataError, match=words):
        read_header(path)


def test_windows_follow_the_grid_of_the_scores_where_the_definition_says_so(tmp_path):
    lengths = [STAGES[k % 5] for k in range(10)]
    night = write(tmp_path / "a1-PSG.edf", [channel()], time="22.00.15")
    scores(tmp_path, [(30 * k, 30, stage) for k, stage in enumerate(lengths)], time="22.00.00")
    found, report = stages(night)
    assert found == [-1] * 10
    assert "10 of 10 windows with marks of [labels.stage] without a label" in report[0]
    assert "begins 15 s off the windows, see `grid`" in report[0]
    grid = Definition.from_dict({**TABLE, "grid": "stage"})
    start = first_window(read_header(night), grid)
    assert start == 15
    assert stages(night, grid, start=start)[0] == [1, 2, 3, 4, 0, 1, 2, 3, 4]
    manifest = convert(tmp_path, grid, tmp_path / "out", progress=None)
    assert (manifest.records[0]["start"], manifest.records[0]["windows"]) == (15.0, 9)
    assert "windows begin 15 s after the record, on the grid of stage" in manifest.records[0]["notes"][0]
    cut = write(tmp_path / "b1-PSG.edf", [channel(data=channel()["data"][1500:])])
    whole, later = (record_windows(read_header(path), MINE, start=begin)[0]["eeg"]
                    for path, begin in ((night, 15.0), (cut, 0.0)))  # fmt: skip
    np.testing.assert_array_equal(whole, later)


def test_a_recorder_that_lost_power_keeps_its_whole_data_records_and_the_scores_on_them(tmp_path):
    night = write(tmp_path / "a1-PSG.edf", [channel()], stated=-1)
    night.write_bytes(night.read_bytes()[:-237])
    scores(tmp_path, [(0, 150, "W"), (150, 300, "2"), (450, 30, "R")])
    header = read_header(night)
    assert header.frames == 298
    assert header.notes[1] == "a1-PSG.edf: 163 bytes of an unfinished data record at its end are left out"
    found, report = stages(night)
    assert found == [0] * 5 + [2] * 4
    assert report == ["a1-Hypnogram.edf: 1 marks lie behind the unfinished record's end; left out"]
    write(night, [channel()], stated=300).write_bytes(night.read_bytes()[:-237])
    with pytest.raises(DataError, match="Incomplete data record"):
        read_header(night)


CALIBRATIONS = {
    "physical range empty": {"pmin": 0, "pmax": 0},
    "digital range empty": {"dmin": 0, "dmax": 0},
    "digital range upside down": {"dmin": 1, "dmax": -1},
    "digital range unsigned": {"dmin": 0, "dmax": 65535},
    "physical range no number": {"pmin": "low"},
    "no samples": {"count": 0, "data": np.zeros(0)},
}


@pytest.mark.parametrize("fault", CALIBRATIONS)
def test_a_channel_that_nobody_asked_for_is_a_note_and_one_that_is_asked_for_an_error(tmp_path, fault):
    other = channel("-", seed=1, **CALIBRATIONS[fault])
    path = write(tmp_path / "a1-PSG.edf", [channel(), other])
    header = read_header(path)
    assert header.index(MINE.channels[0]) == 0
    assert header.notes[0].startswith("-: cannot be used: ")
    lone = write(tmp_path / "b1-PSG.edf", [channel()])
    np.testing.assert_array_equal(read_signal(header, 0), read_signal(read_header(lone), 0))
    swapped = write(tmp_path / "a1-PSG.edf", [channel("EEG Fpz-Cz", **CALIBRATIONS[fault]), channel("X")])
    with pytest.raises(DataError, match="channel EEG Fpz-Cz"):
        read_header(swapped).index(MINE.channels[0])


def test_the_prefix_of_stages_is_found_in_any_case(night):
    write_scores(night.parent / "a1-Hypnogram.edf", [(0, 60, "SLEEP STAGE W"), (60, 60, "Sleep Stage 2")])
    assert stages(night)[0] == [0, 0, 2, 2] + [-1] * 6


def test_marks_in_latin_1_are_read_as_those_in_utf_8(night):
    lists = b"".join(
        entry(begin, 60, text) for begin, text in [(0, "Sleep stage W"), (60, "Größe"), (60, "Sleep stage 2")]
    )
    path = write(night.parent / "a1-Hypnogram.edf", [], [keep(0) + lists], duration=0)
    for encoded in ("Größe".encode(), "Größe".encode("latin-1")):
        write(path, [], [keep(0) + lists.replace("Größe".encode(), encoded)], duration=0)
        found, report = stages(night)
        assert found == [0, 0, 2, 2] + [-1] * 6
        assert report == ["a1-Hypnogram.edf: 1 x 'Größe', without effect on labels"]


@pytest.mark.parametrize("unit", ["µV".encode(), "μV".encode(), b"\xb5V", b"UV", b"uV"])
def test_micro_volts_are_read_in_utf_8_and_latin_1(tmp_path, unit):
    path = write(tmp_path / "a1-PSG.edf", [channel("Müller".encode(), dim=unit)])
    signal = read_header(path).signals[0]
    assert signal.name == "Müller"
    values = convert_unit(np.ones(1), signal.unit, "mV")
    assert values == pytest.approx(1e-3)


def test_fields_that_are_filled_with_nul_are_read(tmp_path):
    (signal,) = read_header(write(tmp_path / "a.edf", [channel(b"EEG Fpz-Cz\0\0", dim=b"uV\0\0")])).signals
    assert (signal.name, signal.unit) == ("EEG Fpz-Cz", "uV")


@pytest.mark.parametrize("lost", ["scores", "recording"])
def test_a_start_that_is_unknown_on_one_side_is_that_of_the_recording_which_is_said(tmp_path, lost):
    """Whoever removes dates and times writes 01.01.85 00.00.00; two hours off, most marks would still fit."""
    known, unknown = {"time": "22.00.00"}, {"time": "00.00.00"}
    path = write(tmp_path / "a1-PSG.edf", [channel()], **(unknown if lost == "recording" else known))
    scores(tmp_path, [(0, 60, "W"), (60, 60, "2")], **(unknown if lost == "scores" else known))
    found, report = stages(path)
    assert found == [0, 0, 2, 2] + [-1] * 6
    assert "starts at midnight of no date, which is unknown" in report[0]


@pytest.mark.parametrize("length", [None, 0])
def test_the_last_of_marks_of_one_epoch_each_lasts_one_epoch_too(night, length):
    scores(night.parent, [(30 * number, length, stage) for number, stage in enumerate("W12")])
    assert stages(night)[0] == [0, 1, 2] + [-1] * 7
    scores(night.parent, [(0, length, "W"), (60, length, "1"), (90, length, "2")])
    assert stages(night)[0] == [0, 0, 1] + [2] * 7


def test_an_inverted_physical_range_is_read_as_inverted_and_said(tmp_path):
    plain = write(tmp_path / "a.edf", [channel(seconds=2)])
    inverted = write(tmp_path / "b.edf", [channel(seconds=2, pmin=500, pmax=-500)])
    header = read_header(inverted)
    np.testing.assert_allclose(read_signal(header, 0), -read_signal(read_header(plain), 0), atol=1e-4)
    assert header.notes == ("EEG Fpz-Cz: physical minimum above the maximum; read as inverted",)
    assert not header.unfinished
