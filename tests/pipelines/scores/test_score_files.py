"""Score files in the layouts that their makers document, generated; labels worked out by hand."""

import dataclasses
import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import edf_bytes
import numpy as np
import pytest
import wfdb

from physiokeras.errors import DataError
from physiokeras.pipelines import convert, from_arrays
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.definitions.parts import Label, Split
from physiokeras.pipelines.labels.window_labels import first_window, read_labels
from physiokeras.pipelines.readers.records import Header, read_header
from physiokeras.pipelines.scores.stage_names import KALES, YASA, standard_stage

pytestmark = pytest.mark.once

STAGES = {"kind": "stages", "classes": ["W", "N1", "N2", "N3", "R"]}
WANTED = [0, 0, 1, 2, 2, 3, 3, 4, 4, -1]
"""Of 300 s: W 60 s, N1 30, N2 60, N3 30, stage 4 30, REM 60, unscored 30."""

SPANS = [(0, 60, "Wake|0"), (60, 30, "Stage 1 sleep|1"), (90, 60, "Stage 2 sleep|2"), (150, 30, "Stage 3 sleep|3"),
         (180, 30, "Stage 4 sleep|4"), (210, 60, "REM sleep|5"), (270, 30, "Unscored|9")]  # fmt: skip
EVENTS = [("Obstructive apnea|Obstructive Apnea", 65.5, 12), ("Hypopnea|Hypopnea", 118, 14.2),
          ("Arousal|Arousal ()", 200, 5)]  # fmt: skip
RESPIRATORY = {"kind": "events", "events": ["*apnea*", "*hypopnea*"]}


def nsrr(spans=SPANS, events=EVENTS, *, clock="00.00.00 22.00.00", seconds=300, start="Start"):
    def event(kind, concept, begin, duration):
        inside = f"<EventType>{kind}</EventType><EventConcept>{concept}</EventConcept><{start}>{begin}</{start}>"
        return f"<ScoredEvent>{inside}<Duration>{duration}</Duration></ScoredEvent>\n"

    scored = "".join(event("Respiratory|Respiratory", *each) for each in events)
    scored += "".join(event("Stages|Stages", text, begin, length) for begin, length, text in spans)
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<PSGAnnotation>\n'
        "<SoftwareVersion>Compumedics</SoftwareVersion>\n<EpochLength>30</EpochLength>\n<ScoredEvents>\n"
        "<ScoredEvent><EventType/><EventConcept>Recording Start Time</EventConcept><Start>0</Start>"
        f"<Duration>{seconds}</Duration><ClockTime>{clock}</ClockTime></ScoredEvent>\n"
        f"{scored}</ScoredEvents>\n</PSGAnnotation>\n"
    )


def profusion(stages="0012234559", epoch="<EpochLength>30</EpochLength>", events=EVENTS):
    scored = "".join(
        f"<ScoredEvent><Name>{name.split('|')[1]}</Name><Start>{begin}</Start><Duration>{length}</Duration>"
        "<Input>ABDO RES</Input></ScoredEvent>" for name, begin, length in events
    )  # fmt: skip
    listed = "".join(f"<SleepStage>{stage}</SleepStage>" for stage in stages)
    return (
        f'<?xml version="1.0"?><CMPStudyConfig>{epoch}<StepChannels/><ScoredEventSettings/>'
        f"<ScoredEvents>{scored}</ScoredEvents><SleepStages>{listed}</SleepStages></CMPStudyConfig>"
    )


def rows(head, separator=",", names="W N1 N2 N3 S4 REM ?"):
    """A table of `SPANS`; `head` names what each column is: on, off, len or text."""
    lines = [separator.join(name for name, _ in head)]
    for (begin, length, _), name in zip(SPANS, names.split(), strict=True):
        cells = {"on": begin, "off": begin + length, "len": length, "ms": 1000 * begin, "text": name, "x": "a"}
        lines.append(separator.join(str(cells[what]) for _, what in head))
    return "\n".join(lines) + "\n"


ONSET = (("onset", "on"), ("duration", "len"), ("description", "text"))
LONG = ["W", "W", "N1", "N2", "N2", "N3", "S4", "REM", "REM", "?"]
NUMBERS = ["0", "0", "1", "2", "2", "3", "4", "5", "5", "9"]

FILES = {
    "nsrr.xml": nsrr(),
    "older.xml": nsrr([(b, d, f"SDO:{t}") for b, d, t in [
        (0, 60, "WakeState"), (60, 30, "NonRapidEyeMovementSleep-N1"), (90, 60, "NonRapidEyeMovementSleep-N2"),
        (150, 30, "NonRapidEyeMovementSleep-N3"), (180, 30, "NonRapidEyeMovementSleep-N4"),
        (210, 60, "RapidEyeMovementSleep")]], [], start="Starttime")
    .replace("<EventType>Stages|Stages</EventType>", ""),
    "profusion.xml": profusion(),
    "comma.csv": rows(ONSET),
    "kales.csv": rows(ONSET, names="0 1 2 3 4 5 9"),
    "bids.tsv": rows((("onset", "on"), ("duration", "len"), ("trial_type", "text"), ("file", "x")), "\t"),
    "semicolon.csv": rows((("Start [s]", "on"), ("Duration (sec)", "len"), ("Stage", "text")), ";")
    .replace("60;30;N1", "60,0;30,0;N1"),
    "unicode.txt": rows(ONSET, "\t").replace("60\t30\tN1", "60,0\t30,0\tN1").encode("utf-16"),
    "stated.csv": "sep=;\r\n" + rows(ONSET, ";").replace("60;30;N1", "60,000;30;N1"),
    "end.csv": "\ufeff" + rows((("Sleep Stage", "text"), ("Start", "on"), ("End", "off"))),
    "milliseconds.csv": rows((("onset_ms", "ms"), ("dur", "len"), ("label", "text"))),
    "grid.csv": "time,stage\n" + "".join(f"{30 * k},{stage}\n" for k, stage in enumerate(LONG)),
    "epochs.csv": "Epoch,Stage\n" + "".join(f"{k},{stage}\n" for k, stage in enumerate(LONG)),
    "headed.csv": "stage\r\n" + "\r\n".join(LONG),
    "yasa.csv": ",Stage\n" + "".join(f"{k},{stage}\n" for k, stage in enumerate([0, 0, 1, 2, 2, 3, 3, 4, 4, -1])),
    "names.txt": "\n".join(LONG) + "\n\n",
    "kales.txt": "# night 1\n" + "\n".join(NUMBERS),
    "savetxt.txt": "".join(f"{float(number):.18e}\n" for number in NUMBERS),
    "luna.eannot": "\n".join(["wake", "wake", "NREM1", "NREM2", "NREM2", "NREM3", "NREM4", "REM", "REM", "?"]),
    "mne.csv": rows(ONSET).replace("\n0,", "\n1970-01-01 00:00:00.000000,").replace("\n60,", "\n1970-01-01 00:01:00,")
    .replace("\n90,", "\n1970-01-01 00:01:30,").replace("\n150,", "\n1970-01-01 00:02:30,")
    .replace("\n180,", "\n1970-01-01 00:03:00,").replace("\n210,", "\n1970-01-01 00:03:30,")
    .replace("\n270,", "\n1970-01-01 00:04:30,"),
    "mne.txt": "# MNE-Annotations\n" + rows(ONSET).replace("onset,duration,desc", "# onset, duration, desc"),
}  # fmt: skip


def header(folder, seconds=300):
    return Header(folder / "r.hea", "r", 10, seconds * 10, ())


def read(folder, name, content, own=None, record=None, **label):
    """Labels of a record whose scores are `content`, and the report; `label` changes the label of stages."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    own = {**(own or STAGES), "file": name, **label}
    table = {"name": "d", "modalities": {"x": {"rate": 4, "channels": ["X"]}}, "labels": {"own": own}}
    report = []
    found = read_labels(record or header(folder), Definition.from_dict(table), {}, report)
    return found["own"].tolist(), report


@pytest.mark.parametrize("name", FILES)
def test_stages_of_every_layout_are_those_worked_out_by_hand(tmp_path, name):
    stages, report = read(tmp_path, name, FILES[name])
    assert stages == WANTED
    assert [line for line in report if "without effect" not in line] == []


@pytest.mark.parametrize("content", [nsrr(), profusion()], ids=["nsrr", "profusion"])
def test_events_reach_into_the_windows_that_they_overlap(tmp_path, content):
    # 65.5 to 77.5 s, and 118 to 132.2 s: 2 s of the window at 90 s, 12.2 s of that at 120 s.
    windows, report = read(tmp_path, "r.xml", content, RESPIRATORY)
    assert windows == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert sum("without effect" in line for line in report) >= 6
    assert read(tmp_path, "r.xml", content, RESPIRATORY, positive=5)[0] == [0, 0, 1, -1, 1, 0, 0, 0, 0, 0]
    arousals, _ = read(tmp_path, "r.xml", content, RESPIRATORY, events=["arousal*"])
    assert arousals == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_events_of_other_formats(tmp_path):
    table = "onset,duration,description\n10,5,Hypopnea\n12,2,Hypopnea\n95,,Apnea\n-5,10,Apnea\n"
    windows, report = read(tmp_path, "r.csv", table, RESPIRATORY)
    assert windows == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert "r.csv: 1 marks of [labels.own] have no duration; taken for moments" in report
    # Overlapping events are no longer than they last: 10 to 15 s and 0 to 5 s.
    assert read(tmp_path, "r.csv", table, RESPIRATORY, positive=10)[0][0] == 1
    assert read(tmp_path, "r.csv", table, RESPIRATORY, positive=11)[0][0] == -1


def test_what_a_file_does_not_score_has_no_events(tmp_path):
    windows, report = read(tmp_path, "r.xml", profusion("0012"), RESPIRATORY)
    assert windows == [0, 0, 1, 1, 1, -1, -1, -1, -1, -1]
    assert "it scores 120 s of 300 s; 5 windows behind have no [labels.own]" in report[0]


def test_events_among_stages_are_ignored_by_name(tmp_path):
    mixed = rows(ONSET) + "65,12,Hypopnea\n100,5,Arousal (RERA)\n"
    with pytest.raises(DataError, match=r"line 9: a mark of .*'Hypopnea'\. Add .* `ignore`"):
        read(tmp_path, "r.csv", mixed)
    stages, report = read(tmp_path, "r.csv", mixed, ignore=["Hypo*", "Arousal*"])
    assert stages == WANTED
    assert report == ["r.csv: 1 x 'Hypopnea', without effect on labels",
                      "r.csv: 1 x 'Arousal (RERA)', without effect on labels"]  # fmt: skip


def test_the_number_4_is_read_where_the_file_tells_what_it_is(tmp_path):
    assert read(tmp_path, "r.txt", "3\n4\n5\n" + "0\n" * 7)[0][:3] == [3, 3, 4]
    assert read(tmp_path, "r.txt", "3\n4\n-1\n" + "0\n" * 7)[0][:3] == [3, 4, -1]
    assert read(tmp_path, "r.txt", "3\n4\nR\n" + "M\n" * 7)[0][:4] == [3, 3, 4, -1]
    for numbers in ("3\n4\n", "4\n5\n-1\n"):
        with pytest.raises(DataError, match=r"line [12]: .*REM in YASA's numbers, stage 4 in others"):
            read(tmp_path, "r.txt", numbers)
    assert read(tmp_path, "r.txt", "3\n4\n" * 5, mapping={"4": "R"})[0][:2] == [3, 4]
    assert read(tmp_path, "r.txt", "3\n4\n" * 5, mapping={"4": "N3"})[0][:2] == [3, 3]


def test_names_of_stages():
    assert [standard_stage(text) for text in ("n2", "Sleep stage 4", "Stage 4 sleep|4", "REM", "4", "Hypopnea|2")] == [
        "N2", "S4", "S4", "R", None, None]  # fmt: skip
    assert (standard_stage("4", KALES), standard_stage("4", YASA)) == ("S4", "R")
    assert standard_stage("Stage 1 sleep|2") is None


def test_numbers_of_stages_with_decimals_are_those_without():
    marks = [(30 * k, 30, text) for k, text in enumerate(("0.0", "2.0", "4.0", "5.0", "3.0"))]
    record = from_arrays({"X": np.zeros(3000)}, 10, name="r", scores=marks).header
    for mapping, wanted in (({}, 3), ({"4": "R"}, 4), ({"4.0": "N1"}, 1)):
        own = {"kind": "stages", "classes": STAGES["classes"], "mapping": mapping}
        table = {"name": "d", "modalities": {"x": {"rate": 4, "channels": ["X"]}}, "labels": {"own": own}}
        found = read_labels(record, Definition.from_dict(table), {})["own"]
        assert found.tolist() == [0, 2, wanted, 4, 3] + [-1] * 5


def test_classes_of_ones_own_get_the_known_names(tmp_path):
    three = {"classes": ["wake", "NREM", "REM"], "mapping": {"N1": "NREM", "N2": "NREM", "N3": "NREM"}}
    assert read(tmp_path, "r.xml", nsrr(), **three)[0] == [0, 0, 1, 1, 1, 1, 1, 2, 2, -1]
    kales = {"classes": ["W", "S1", "S2", "S3", "S4", "R"]}
    assert read(tmp_path, "r.xml", nsrr(), **kales)[0] == [0, 0, 1, 2, 2, 3, 4, 5, 5, -1]
    with pytest.raises(DataError, match=r"ScoredEvent 6: .* must be one of wake, sleep"):
        read(tmp_path, "r.xml", nsrr(), classes=["wake", "sleep"])


def test_the_definitions_mapping_wins(tmp_path):
    stages, _ = read(tmp_path, "r.xml", nsrr(), mapping={"Stage 4 sleep|4": "R"}, unscored=["Stage 1 sleep|1"])
    assert stages == [0, 0, -1, 2, 2, 3, 4, 4, 4, -1]


def test_epochs_of_another_length(tmp_path):
    stages, report = read(tmp_path, "r.txt", "W\n" * 6 + "R\n" * 9, epoch=20)
    assert (stages, report) == ([0, 0, 0, 0, 4, 4, 4, 4, 4, 4], [])
    twenty = profusion("000000555555555", "<EpochLength>20</EpochLength>")
    assert read(tmp_path, "r.xml", twenty)[0] == stages
    assert read(tmp_path, "r.xml", profusion(epoch=""), epoch=30)[0] == WANTED


def test_a_hypnogram_of_another_length_is_said_or_refused(tmp_path):
    stages, report = read(tmp_path, "r.txt", "W\n" * 7)
    assert stages == [0] * 7 + [-1] * 3
    assert report[0] == "r.txt: 7 epochs of 30 s are 210 s; the record lasts 300 s"
    # The last epoch of a night is begun, not ended.
    assert read(tmp_path, "r.txt", "W\n" * 11, record=header(tmp_path, 310))[1] == []
    with pytest.raises(DataError, match=r"r.txt: line 12: must lie in the record, which ends at 300 s"):
        read(tmp_path, "r.txt", "W\n" * 13)


def test_two_scorers_that_contradict_have_no_class(tmp_path):
    table = rows(ONSET) + "60,30,N2\n90,60,N2\n"
    stages, report = read(tmp_path, "r.csv", table)
    assert stages == [0, 0, -1, 2, 2, 3, 3, 4, 4, -1]
    assert "contradict each other at the same time for 30 s, from second 60 on" in report[0]
    two = "epoch,first,second\n" + "".join(f"{k},W,{stage}\n" for k, stage in enumerate(LONG))
    assert read(tmp_path, "r.csv", two, column="Second")[0] == WANTED
    with pytest.raises(DataError, match="line 1: must have a header line with the columns onset"):
        read(tmp_path, "r.csv", two)


def test_durations_that_cannot_be_are_counted(tmp_path):
    content = nsrr().replace("<Duration>60</Duration>", "<Duration>-60</Duration>")
    content = content.replace("<Duration>30</Duration>", "<Duration>?</Duration>")
    stages, report = read(tmp_path, "r.xml", content)
    assert stages == WANTED
    assert "r.xml: ScoredEvent 5: 'Wake|0' has the duration '-60'; read as if none were given" in report
    assert "r.xml: 7 durations that cannot be in all" in report


def test_rows_and_events_without_a_name_are_counted(tmp_path):
    stages, report = read(tmp_path, "r.csv", rows(ONSET) + "270,30,\n280,1,n/a\n")
    assert (stages, report[0]) == (WANTED, "r.csv: 2 rows without a description are left out, line 9 first")
    _, report = read(tmp_path, "r.xml", profusion().replace("<Name>Hypopnea</Name>", "<Name/>"))
    assert report[0] == "r.xml: 1 events without <Name> are left out, ScoredEvent 2 first"


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]>'
FAULTS = {
    "cut": ("r.xml", nsrr()[:900], r"line \d+, column \d+: must be whole XML"),
    "entities": ("r.xml", nsrr().replace("<PSGA", f"{BOMB}<PSGA", 1), "without a DTD and entities"),
    "outside": ("r.xml", nsrr().replace("<PSGA", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><PSGA', 1), "without a DTD"),
    "encoding": ("r.xml", nsrr().replace("UTF-8", "EBCDIC-X"), "must be .*XML"),
    "bytes": ("r.xml", nsrr().encode().replace(b"REM sleep", b"REM \xe9"), "must be whole XML"),
    "too large": ("r.xml", " " * ((8 << 20) + 1), "may have 8388608 bytes"),
    "tags": ("r.xml", "<a>" + "<b/>" * 1_000_000 + "</a>", "may have 1000000 tags"),
    "lines": ("r.txt", "0\r\n" * 200_001, "may have 200000 lines. Received: 200001"),
    "columns": ("r.csv", "a," * 2000 + "\n", "may have 1000 columns. Received: 2000"),
    "empty": ("r.xml", "", "an empty file"),
    "other XML": ("r.xml", "<patient/>", "NSRR's or Profusion's XML.*<patient>"),
    "no events": ("r.xml", nsrr([], []), "must hold scores. Received: none"),
    "no begin": ("r.xml", nsrr().replace("<Start>60</Start>", ""), "ScoredEvent 6: <Start> must be a number"),
    "strange begin": ("r.xml", nsrr().replace("<Start>60<", "<Start>nan<"), "ScoredEvent 6: <Start> must be a number"),
    "far begin": ("r.xml", nsrr().replace("<Start>60<", "<Start>9000<"), "ScoredEvent 6: must lie in the record"),
    "stage": ("r.xml", nsrr().replace("REM sleep|5", "Dream|5"), "ScoredEvent 10: a mark of .*'Dream|5'"),
    "no epoch length": ("r.xml", profusion(epoch=""), "must have <EpochLength>"),
    "epoch length": ("r.xml", profusion(epoch="<EpochLength>0</EpochLength>"), "must be above 0"),
    "empty stage": ("r.xml", profusion().replace("<SleepStage>1<", "<SleepStage><"), "SleepStage 3: must hold a stage"),
    "longer": ("r.xml", profusion("0" * 13), "SleepStage 12: must lie in the record"),
    "Latin-1": ("r.csv", rows(ONSET).encode() + b"270,5,r\xe9veil\n", r"byte \d+: must be UTF-8. Received: byte 0xe9"),
    "UTF-16": ("r.csv", rows(ONSET).encode("utf-16-le"), "character 1: must be a text. Received: a NUL"),
    "spreadsheet": ("r.csv", b"PK\3\4" + bytes(99), "is a spreadsheet, or an archive. Save it as CSV"),
    "named so": ("r.xlsx", b"PK\3\4" + bytes(99), "is a spreadsheet, or an archive. Save it as CSV"),
    "thousands": ("r.tsv", rows(ONSET, "\t").replace("\n270", "\n1,020"), "may be decimal ones, or separate thousands"),
    "NUL": ("r.txt", "W\nW\n\0\n", "character 4: must be a text"),
    "no columns": ("r.csv", "when,what\n0,W\n", r"line 1: must have a header line .* Received: \['when', 'what'\]"),
    "cells": ("r.csv", rows(ONSET) + "270,30\n", "line 9: must have 3 cells. Received: 2"),
    "quote": ("r.csv", rows(ONSET) + '270,30,"W\n', "must be a table"),
    "number": ("r.csv", rows(ONSET).replace("\n60,", "\nsixty,"), "line 3: the onset must be a number of seconds"),
    "underscore": ("r.csv", rows(ONSET).replace("\n60,", "\n6_0,"), "line 3: the onset must be a number of seconds"),
    "exchanged": ("r.csv", "start,end,stage\n30,0,W\n60,30,N1\n", "line 2: every mark ends before it begins"),
    "samples": ("r.csv", rows((("Start sample", "on"), ("Stage", "text"))), "has a row an epoch, .*: Start sample"),
    "no onset": ("r.csv", rows((("duration", "len"), ("Stage", "text"))), "has a row an epoch, .*: duration"),
    "two texts": ("r.csv", rows((*ONSET, ("stage", "text"))), "several columns may be .*: description, stage"),
    "missing epoch": ("r.csv", "epoch,stage\n1,W\n3,W\n", "line 3: epochs must count by one.*Received: 3"),
    "late epoch": ("r.csv", "epoch,stage\n5,W\n6,W\n", "line 2: epochs must count by one.*Received: 5"),
    "empty line": ("r.txt", "W\n\nW\n", "line 2: each line must hold a stage"),
    "unknown": ("r.txt", "W\nN1\nX7\n", "line 3: a mark of .*'X7'"),
    "comments": ("r.txt", "# nothing\n", "comments alone"),
    "time of day": ("r.csv", "onset,duration,stage\n22:00:00,30,W\n", 'line 2: .*times = "clock" or "elapsed"'),
    "two times": ("r.csv", "onset,duration,stage\n1970-01-01 00:00:00,30,W\n30,30,W\n", "line 3: each onset must be a"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused_with_its_place(tmp_path, fault):
    name, content, words = FAULTS[fault]
    with pytest.raises(DataError, match=words) as error:
        read(tmp_path, name, content)
    assert name in str(error.value)


@pytest.fixture
def night(tmp_path):
    """A recording in EDF of 300 s that starts at 22:00:00 on the 2nd of March 2003."""
    path = edf_bytes.write(tmp_path / "r.edf", [edf_bytes.channel(seconds=300)], date="02.03.03")
    return read_header(path)


def test_scores_that_begin_at_another_time_than_the_recording(tmp_path, night):
    for clock in ("00.00.00 22.00.00", "01.01.85 22.00.01", "00.00.00 00.00.00", ""):
        assert read(tmp_path, "n.xml", nsrr(clock=clock), record=night)[0] == WANTED
    other = nsrr(clock="00.00.00 21.59.00")
    with pytest.raises(DataError, match="its scores begin at 21:59:00, the recording at 22:00:00"):
        read(tmp_path, "n.xml", other, record=night)
    assert read(tmp_path, "n.xml", other, record=night, times="elapsed")[0] == WANTED
    stages, report = read(tmp_path, "n.xml", other, record=night, times="clock")
    assert stages == [*WANTED[2:], -1, -1]
    assert "n.xml: placed by its clock, -60 s from the recording's start" in report


CLOCKS = {
    "clock": ("onset,duration,stage\n22:00:30,60,W\n22:01:30,30,R\n", {"times": "clock"}),
    "half days": ("onset;duration;stage\n10:00:30 PM;60;W\n10:01:30 pm;30;R\n", {}),
    "dates": ("start,end,stage\n2003-03-02T22:00:30,2003-03-02T22:01:30,W\n"
              "2003-03-02 22:01:30,2003-03-02 22:02:00,R\n", {}),
    "elapsed": ("onset,duration,stage\n0:00:30,60,W\n0:01:30.0,30,R\n", {"times": "elapsed"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CLOCKS)
def test_times_of_day_are_placed_on_the_recording(tmp_path, night, case):
    content, options = CLOCKS[case]
    assert read(tmp_path, "n.csv", content, record=night, **options)[0] == [-1, 0, 0, 4] + [-1] * 6


def test_times_of_day_are_placed_on_what_mne_reads(tmp_path):
    mne = pytest.importorskip("mne")
    raw = mne.io.RawArray(np.zeros((1, 3000)), mne.create_info(["X"], 10, "eeg"), verbose="ERROR")
    raw.set_meas_date(datetime(2003, 3, 2, 22, tzinfo=UTC))
    raw.save(tmp_path / "n_raw.fif.gz", verbose="ERROR")
    record = read_header(tmp_path / "n_raw.fif.gz")
    content, _ = CLOCKS["dates"]
    assert read(tmp_path, "n.csv", content, record=record)[0] == [-1, 0, 0, 4] + [-1] * 6
    with pytest.raises(DataError, match="its scores begin at 21:00:00, the recording at 22:00:00"):
        read(tmp_path, "n.xml", nsrr(clock="02.03.03 21.00.00"), record=record)


def test_times_of_day_pass_midnight(tmp_path):
    path = edf_bytes.write(tmp_path / "r.edf", [edf_bytes.channel(seconds=300)], time="23.59.00")
    table = "onset,end,stage\n23:59:00,00:00:00,W\n00:00:00,00:01:00,R\n"
    assert read(tmp_path, "n.csv", table, record=read_header(path), times="clock")[0] == [0, 0, 4, 4] + [-1] * 6


def test_times_of_day_over_half_a_day_apart_or_out_of_order_lie_in_the_recording(tmp_path):
    path = edf_bytes.write(tmp_path / "r.edf", [edf_bytes.channel(rate=1, seconds=24 * 3600)], time="08.00.00")
    table = "time,duration,event\n09:00:00,9,Apnea\n23:30:00,9,Apnea\n07:00:00,9,Apnea\n12:00:00,9,Apnea\n"
    windows, report = read(tmp_path, "n.csv", table, RESPIRATORY, read_header(path), times="clock")
    assert np.flatnonzero(np.array(windows) == 1).tolist() == [120, 480, 1860, 2760]
    assert report == []
    table = "onset,duration,event\n-90,9,Apnea\n30,9,Apnea\n"
    assert "n.csv: 1 mark of [labels.own] before the record; left out" in read(tmp_path, "n.csv", table, RESPIRATORY)[1]
    # On which of two days is a time that goes back? Dates tell, also where the recording has none.
    longer = edf_bytes.write(tmp_path / "r.edf", [edf_bytes.channel(rate=1, seconds=40 * 3600)], time="08.00.00")
    table = (
        "time,duration,event\n2003-03-02 09:00:00,9,Apnea\n2003-03-03 11:00:00,9,Apnea\n2003-03-02 23:30:00,9,Apnea\n"
    )
    windows, _ = read(tmp_path, "n.csv", table, RESPIRATORY, read_header(longer))
    assert np.flatnonzero(np.array(windows) == 1).tolist() == [120, 1860, 3240]
    table = "time,duration,event\n14:00:00,9,Apnea\n20:00:00,9,Apnea\n11:00:00,9,Apnea\n"
    with pytest.raises(DataError, match=r"line 4: times of day go back by 9\.0 h here"):
        read(tmp_path, "n.csv", table, RESPIRATORY, read_header(longer), times="clock")


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("durations", [True, False])
def test_a_change_of_clocks_is_refused_where_it_happens(tmp_path, night, hours, durations):
    clock = [timedelta(hours=22, seconds=30 * row + 3600 * hours * (row >= 12)) for row in range(20)]
    rows = [f"{time},{'30,' * durations}W" for time in clock]
    table = f"onset,{'duration,' * durations}stage\n" + "\n".join(rows)
    with pytest.raises(DataError, match="line 14: its clock jumps by an hour"):
        read(tmp_path, "n.csv", table, record=night, times="clock")


def test_times_of_day_of_another_recording_or_of_none_are_refused(tmp_path, night):
    table = "onset,duration,stage\n2003-03-04 22:00:30,60,W\n"
    with pytest.raises(DataError, match="line 2: must lie in the record"):
        read(tmp_path, "n.csv", table, record=night)
    with pytest.raises(DataError, match="can be placed only on a recording that keeps when"):
        read(tmp_path, "n.csv", table)


def test_scores_may_lie_in_another_folder(tmp_path):
    (tmp_path / "edfs" / "shhs1").mkdir(parents=True)
    (tmp_path / "scores" / "shhs1").mkdir(parents=True)
    (tmp_path / "scores" / "shhs1" / "r-nsrr.xml").write_text(nsrr())
    record = header(tmp_path / "edfs" / "shhs1")
    label = {**STAGES, "file": "../../scores/{folder}/{record}-nsrr.xml"}
    table = {"name": "d", "modalities": {"x": {"rate": 4, "channels": ["X"]}}, "labels": {"own": label}, "grid": "own"}
    definition = Definition.from_dict(table)
    assert read_labels(record, definition, {})["own"].tolist() == WANTED
    assert first_window(record, definition) == 0
    (tmp_path.parent / "secret.xml").write_text(nsrr())
    (tmp_path / "scores" / "shhs1" / "r-nsrr.xml").unlink()
    (tmp_path / "scores" / "shhs1" / "r-nsrr.xml").symlink_to(tmp_path.parent / "secret.xml")
    with pytest.raises(DataError, match="must not be a link"):
        read_labels(record, definition, {})
    for file in ("/etc/{record}", "a/../../x", "*/x.xml", "a//x", "..", "{name}.xml"):
        with pytest.raises(DataError, match="must be a pattern relative to the record's folder"):
            Definition.from_dict({**table, "labels": {"own": {**label, "file": file}}})


def test_events_of_wfdb_and_edf(tmp_path, night):
    notes = [(300, "(resp_hypopnea"), (420, "resp_hypopnea)"), (1000, "(arousal_rera"), (1005, "arousal_rera)")]
    samples, texts = zip(*notes, strict=True)
    wfdb.wrann("r", "arousal", np.array(samples), ['"'] * 4, aux_note=list(texts), fs=10, write_dir=str(tmp_path))
    events = {"kind": "events", "file": "r.arousal"}
    content = (tmp_path / "r.arousal").read_bytes()
    # Begin and end of an event are samples 300 and 420 of 10 Hz: 30 to 42 s.
    assert read(tmp_path, "r.arousal", content, events, events=["resp*"])[0] == [0, 1] + [0] * 8
    assert read(tmp_path, "r.arousal", content, events, events=["*rera"])[0] == [0, 0, 0, 1] + [0] * 6
    content = edf_bytes.write_scores(
        tmp_path / "e.edf", [(10, 25, "Apnea"), (30, 30, "Sleep stage W")], time="22.00.00", date="02.03.03"
    ).read_bytes()
    assert read(tmp_path, "e.edf", content, events, record=night, events=["apnea"])[0] == [1, 1] + [0] * 8


def test_files_of_no_record_are_said_and_sums_of_other_folders_are_checked(tmp_path):
    for folder in ("edfs", "scores"):
        (tmp_path / folder).mkdir()
    for name in ("r", "stray"):
        (tmp_path / "scores" / f"{name}-nsrr.xml").write_text(nsrr(clock="00.00.00 00.00.00"))
    edf_bytes.write(tmp_path / "edfs" / "r.edf", [edf_bytes.channel("X", seconds=300)])
    table = {"name": "d", "records": "edfs/*.edf", "modalities": {"x": {"rate": 4, "channels": ["X"]}}}
    table["labels"] = {"own": {**STAGES, "file": "../scores/{record}-nsrr.xml"}}
    said = []
    manifest = convert(tmp_path, Definition.from_dict(table), tmp_path / "out", progress=said.append)
    assert manifest.records[0].labels["own"] == {"-1": 1, "0": 2, "1": 1, "2": 2, "3": 2, "4": 2}
    assert "Annotations of no record, by their names: scores/stray-nsrr.xml." in said
    sums = hashlib.sha256((tmp_path / "scores" / "r-nsrr.xml").read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS.txt").write_text(f"{sums}  scores/r-nsrr.xml\n")
    said.clear()
    convert(tmp_path, Definition.from_dict(table), tmp_path / "out", progress=said.append)
    assert "d: 1 record, 0 to convert by 1 worker." in said
    (tmp_path / "SHA256SUMS.txt").write_text(f"{sums[::-1]}  scores/r-nsrr.xml\n")
    with pytest.warns(UserWarning, match=r"no record could be converted.*r-nsrr.xml: its SHA-256"):
        convert(tmp_path, Definition.from_dict(table), tmp_path / "out", progress=None)


@pytest.mark.parametrize("kind", [Label, Split])
def test_every_key_is_documented(kind):
    page = (Path(__file__).parents[3] / "docs" / "scores.md").read_text()
    missing = [
        field.name for field in dataclasses.fields(kind) if not re.search(rf"`{field.name}\b|\n{field.name} = ", page)
    ]
    assert missing == (["name"] if kind is Label else [])


def test_spans_of_a_table(tmp_path):
    label = {"kind": "spans", "classes": ["rest", "stress"]}
    windows, _ = read(tmp_path, "r.tsv", "onset\tduration\tdescription\n0\t60\trest\n60\t90\tstress\n", label)
    np.testing.assert_array_equal(windows, [0, 0, 1, 1, 1, -1, -1, -1, -1, -1])


def test_columns_of_one_name_are_refused_where_they_are_read(tmp_path):
    for content, label in (("onset,onset,stage\n0,30,W\n", {}), ("onset,a,a\n0,W,R\n", {"column": "a"})):
        with pytest.raises(DataError, match="line 1: each column must have a name of its own"):
            read(tmp_path, "r.csv", content, **label)
    assert read(tmp_path, "r.csv", "onset,stage,x,x\n0,W,1,2\n")[0] == [0] * 10


def test_times_of_day_on_a_recording_whose_start_is_unknown_are_refused(tmp_path):
    path = edf_bytes.write(tmp_path / "n.edf", [edf_bytes.channel()], time="00.00.00")
    with pytest.raises(DataError, match=r"r.csv: line 2: .*midnight of no date stands for an unknown one"):
        read(tmp_path, "r.csv", "onset,stage\n00:00:30,W\n", record=read_header(path), times="clock")


def test_times_in_another_unit_never_fill_the_record(tmp_path):
    days = "".join(f"{30 * k / 86400:.7f},{30 / 86400:.7f},{'W' if k < 9 else 'R'}\n" for k in range(10))
    assert read(tmp_path, "r.csv", f"onset,duration,stage\n{days}")[0] == [-1] * 10
    minutes = "".join(f"{k / 2},{'W' if k < 12 else 'R'}\n" for k in range(13))
    assert read(tmp_path, "r.csv", f"onset,stage\n{minutes}")[0] == [-1] * 10
    for own, text in ((STAGES, "W"), (RESPIRATORY, "apnea")):
        report = read(tmp_path, "r.csv", f"onset,duration,event\n0,30000,{text}\n", own)[1]
        assert "1 marks of [labels.own] last over 60 s beyond the record; are durations in another unit?" in report[0]


def test_text_under_another_extension_is_called_text(tmp_path):
    with pytest.raises(DataError, match=r"r.ids: is a text, but files of scores in text are called .csv"):
        read(tmp_path, "r.ids", "0,30,W\n30,30,N1\n")


def test_a_file_of_events_without_any_says_that_there_were_none(tmp_path):
    for name, content in (("r.csv", "onset,duration,event\n"), ("r.xml", nsrr([], []))):
        found, report = read(tmp_path, name, content, RESPIRATORY)
        assert (found, report) == ([0] * 10, [f"{name}: it holds no marks; taken for a record without events"])
        with pytest.raises(DataError, match="must hold scores"):
            read(tmp_path, name, content)
