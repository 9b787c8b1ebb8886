import dataclasses

import numpy as np
import pytest
import wfdb

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.record_list import find_records
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.labels.window_labels import Person, read_labels, read_people
from physiokeras.pipelines.readers.records import Header, read_header

SLEEP = Definition.read("physionet2018")
STRESS = Definition.read("stress_predict")
BEATS = Definition.read("mitdb")


def header(folder, seconds=300, rate=10, name="r"):
    return Header(folder / f"{name}.hea", name, rate, seconds * rate, ())


def annotate(folder, annotator, marks, *, symbols=None, rate=10):
    """Write an annotation file with wfdb; `marks` are (sample, note)."""
    samples, notes = zip(*marks, strict=True)
    symbols = ['"'] * len(marks) if symbols is None else symbols
    wfdb.wrann("r", annotator, np.array(samples), symbols, aux_note=list(notes), fs=rate, write_dir=str(folder))


def labels(definition, folder, name, **options):
    report = []
    return read_labels(header(folder, **options), definition, {}, report)[name].tolist(), report


def test_stages_follow_the_scoring(tmp_path):
    annotate(
        tmp_path, "arousal", [(300, "W"), (600, "N1"), (1200, "R"), (1500, "(resp_hypopnea"), (1520, "resp_hypopnea)")]
    )
    stages, _ = labels(SLEEP, tmp_path, "stage")
    assert stages == [-1, 0, 1, 1, 4, 4, 4, 4, 4, 4]


def test_a_scoring_of_events_alone_has_no_stages_and_is_reported(tmp_path):
    annotate(tmp_path, "arousal", [(701, "(arousal_rera"), (750, "arousal_rera)")])
    stages, report = labels(SLEEP, tmp_path, "stage")
    assert stages == [-1] * 10
    assert "r.arousal: no mark of [labels.stage]" in report
    assert labels(SLEEP, tmp_path, "arousal")[0] == [0, 0, 1] + [0] * 7


def test_window_with_two_stages_has_none(tmp_path):
    annotate(tmp_path, "arousal", [(1, "W"), (601, "N1"), (1050, "N2")])
    stages, _ = labels(SLEEP, tmp_path, "stage")
    assert stages == [0, 0, 1, -1, 2, 2, 2, 2, 2, 2]


def test_arousals_come_from_annotations_where_there_is_no_vector(tmp_path):
    annotate(tmp_path, "arousal", [(1, "N2"), (701, "(arousal_rera"), (750, "arousal_rera)"), (1201, "W")])
    arousals, _ = labels(SLEEP, tmp_path, "arousal")
    # +1 over 68 to 85 s; -1 from 110 s on, so that 20 s of the window at 90 s are scored.
    assert arousals == [0, 0, 1, 0, -1, -1, -1, -1, -1, -1]


def test_spans_want_the_whole_window(tmp_path):
    annotate(tmp_path, "stress", [(50, "rest"), (600, "stress"), (1199, "rest"), (2400, "unscored")])
    stress, _ = labels(STRESS, tmp_path, "stress")
    assert stress == [-1, 0, 1, -1, 0, 0, 0, 0, -1, -1]


def test_beats_make_a_window_abnormal(tmp_path):
    marks = [(0, "(N"), (100, ""), (350, ""), (400, ""), (650, ""), (950, ""), (1000, ""), (1250, ""), (2999, "")]
    annotate(tmp_path, "atr", marks, symbols=["+", "N", "N", "V", "A", "N", "Q", "~", "L"])
    beats, _ = labels(BEATS, tmp_path, "abnormal")
    assert beats == [0, 1, 1, -1, -1, -1, -1, -1, -1, 0]


def test_annotations_may_count_faster_than_frames(tmp_path):
    annotate(tmp_path, "stress", [(0, "rest"), (60_000, "stress")], rate=1000)
    stress, _ = labels(STRESS, tmp_path, "stress")
    assert stress == [0, 0] + [1] * 8


@pytest.mark.parametrize("name", ["r.arousal", "r-arousal.mat"])
def test_annotations_that_are_links_out_of_the_folder_are_refused(tmp_path, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    annotate(tmp_path, "arousal", [(1, "N2")])
    (tmp_path / "r-arousal.mat").write_bytes(b"secret")
    (inside / name).symlink_to(tmp_path / name)
    with pytest.raises(DataError, match="must not be a link to a file outside"):
        labels(SLEEP, inside, "arousal")


def test_record_without_annotations_is_unlabelled_and_reported(tmp_path):
    stages, report = labels(SLEEP, tmp_path, "stage")
    assert stages == [-1] * 10
    assert report == [
        "r: no r.arousal; without the label stage",
        "r: no r.arousal; without the label arousal",
        "r: not in the table of people; age and sex unknown",
    ]


def test_record_shorter_than_a_window_has_no_labels(tmp_path):
    annotate(tmp_path, "arousal", [(1, "W")])
    found = read_labels(header(tmp_path, seconds=29), SLEEP, {"r": Person("F", 40.0)})
    assert [values.shape for values in found.values()] == [(0,)] * 3
    assert [values.dtype for values in found.values()] == [np.int32, np.int32, np.float32]


def test_age_is_the_persons_or_nan(tmp_path):
    ages = [read_labels(header(tmp_path), SLEEP, people)["age"] for people in ({"r": Person("F", 61.0)}, {})]
    np.testing.assert_array_equal(ages[0], [61] * 10)
    np.testing.assert_array_equal(ages[1], [np.nan] * 10)


@pytest.mark.parametrize(
    ("definition", "annotator", "mark", "words"),
    [
        (SLEEP, "arousal", (10, "N5"), "sample 9: a mark of .labels.stage. must be one of W, N1.*'N5'"),
        (STRESS, "stress", (10, "relax"), "must be one of rest, stress, unscored"),
        (STRESS, "stress", (3001, "rest"), "sample 3001: must lie in the record"),
        (BEATS, "atr", (10**9, ""), "must lie in the record"),
    ],
)
def test_impossible_marks_are_errors(tmp_path, definition, annotator, mark, words):
    annotate(tmp_path, annotator, [(1, definition.labels and "W" if annotator == "arousal" else "rest"), mark])
    with pytest.raises(DataError, match=words):
        labels(definition, tmp_path, next(iter(definition.labels)))


def test_stage_names_can_be_mapped(tmp_path):
    stage = dataclasses.replace(SLEEP.labels["stage"], mapping={"N4": "N3"}, unscored=("MT",))
    definition = dataclasses.replace(SLEEP, labels={"stage": stage})
    annotate(tmp_path, "arousal", [(1, "N4"), (601, "MT"), (1201, "W")])
    assert labels(definition, tmp_path, "stage")[0] == [3, 3, -1, -1] + [0] * 6


def test_unclosed_event_is_clipped_and_reported(tmp_path):
    annotate(tmp_path, "arousal", [(1, "N2"), (2701, "(arousal_rera")])
    arousals, report = labels(SLEEP, tmp_path, "arousal")
    assert arousals == [0] * 8 + [1, 1]
    assert any("never ends" in line for line in report)


def test_real_labels_have_the_known_counts(real_data):
    people = read_people(real_data / "cinc2018", SLEEP)
    counts = {}
    for name in ("tr03-0005", "tr14-0291"):
        found = read_labels(read_header(real_data / f"cinc2018/{name}.hea", check_files=False), SLEEP, people)
        counts[name] = [
            np.unique(found[label], return_counts=True)[1].tolist() for label in ("stage", "arousal", "age")
        ]
    # Stages are the seconds of the published vectors / 30: none, W, N1, N2, N3, R; arousals: none, 0, 1.
    assert counts["tr03-0005"] == [[12, 367, 58, 267, 72, 81], [431, 373, 53], [857]]
    assert counts["tr14-0291"] == [[26, 43, 84, 552, 64, 184], [122, 776, 55], [953]]


def test_real_stress_windows_are_those_of_the_reference(real_data):
    counts = np.zeros(3, int)
    for path in find_records(real_data / "stress_predict", STRESS):
        counts += np.bincount(read_labels(read_header(path), STRESS, {})["stress"] + 1, minlength=3)
    assert counts[1:].sum() == 2783
    assert round(counts[2] / counts[1:].sum(), 2) == 0.32


def test_real_people_are_complete(real_data):
    people = read_people(real_data / "cinc2018", SLEEP)
    assert len(people) == 1983
    assert {person.sex for person in people.values()} == {"F", "M"}
    assert people["tr14-0291"] == Person("M", 80.0)
    assert read_people(real_data / "mitdb", BEATS) == {}


def people_of(folder, text):
    (folder / "age-sex.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_people(folder, SLEEP)


def test_lower_case_and_unknown_are_accepted(tmp_path):
    people = people_of(tmp_path, b"\xef\xbb\xbfrecord,AGE,Sex\r\na,55,m\r\n\r\nb,NA,Female\r\nc,.,n/a\r\na,55,M\r\n")
    assert people["a"] == Person("M", 55.0)
    assert (people["b"].sex, people["c"].sex) == ("F", None)
    assert np.isnan([people["b"].age, people["c"].age]).all()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,M,old", "line 2: age must be a number .* 'old'"),
        ("a,M,-1", "line 2: age"),
        ("a,M,121", "line 2: age"),
        ("a,M,inf", "line 2: age"),
        ("a,X,50", "line 2: sex must be F, M or empty. Received: 'X'"),
        ("a,M", "line 2: must have 3 cells"),
        ("a,M,50\na,F,50", "line 3: a record must have one entry"),
    ],
)
def test_implausible_entry_is_an_error_with_its_line(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        people_of(tmp_path, f"Record,Sex,Age\n{rows}\n")


@pytest.mark.parametrize("data", ["", "a,b,c\n1,2,3\n", b"\xff\xfe", "Record|Sex|Age\n"])
def test_other_tables_are_refused(tmp_path, data):
    with pytest.raises(DataError, match=r"columns Record, Sex, Age|table in UTF-8"):
        people_of(tmp_path, data)


def test_table_that_is_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "people.csv").write_text("Record,Sex,Age\n")
    (tmp_path / "inside" / "age-sex.csv").symlink_to(tmp_path / "people.csv")
    with pytest.raises(DataError, match="must not be a link to a file outside"):
        read_people(tmp_path / "inside", SLEEP)


def test_missing_table_is_an_error_with_the_way_out(tmp_path):
    with pytest.raises(DataError, match="Put it there, or remove what needs it"):
        read_people(tmp_path, SLEEP)


@pytest.mark.parametrize(("prefix", "classes"), [("", ["(N", "(AFIB"]), ("(", ["N", "AFIB"])])
def test_rhythms_with_a_parenthesis_are_spans_where_the_label_names_them(tmp_path, prefix, classes):
    annotate(tmp_path, "atr", [(0, "(N"), (600, "(AFIB"), (700, ""), (1500, "(N")], symbols=["+", "+", "N", "+"])
    table = {"kind": "spans", "annotator": "atr", "prefix": prefix, "classes": classes}
    rhythms = Definition.from_dict({**BEATS.to_dict(), "labels": {"rhythm": table}})
    found, report = labels(rhythms, tmp_path, "rhythm")
    assert found == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert report == ["r.atr: 1 x 'N', without effect on labels"]


def test_marks_that_no_label_uses_are_counted_once_a_file(tmp_path):
    marks = [(1, "W"), (5, "(resp_hypopnea"), (9, "resp_hypopnea)"), (700, "W")]
    annotate(tmp_path, "arousal", marks)
    assert labels(SLEEP, tmp_path, "stage")[1] == ["r: not in the table of people; age and sex unknown"]
    alone = dataclasses.replace(SLEEP, labels={"stage": SLEEP.labels["stage"]})
    assert labels(alone, tmp_path, "stage")[1] == [
        "r.arousal: 1 x '(resp_hypopnea', without effect on labels",
        "r.arousal: 1 x 'resp_hypopnea)', without effect on labels",
    ]


def test_two_notes_at_one_sample_that_contradict_leave_no_stage(tmp_path):
    annotate(tmp_path, "arousal", [(1, "W"), (601, "N1"), (601, "N2"), (1201, "R")])
    found, report = labels(SLEEP, tmp_path, "stage")
    assert found == [0, 0, -1, -1] + [4] * 6
    assert "contradict each other at the same time for 60 s, from second 60 on" in report[0]
