from dataclasses import replace

import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.evaluation.tasks import tasks_of
from physiokeras.pipelines import convert, stream
from physiokeras.pipelines.converting import quality
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.people.label_tables import read_tables
from physiokeras.pipelines.people.people import without_missing_people
from physiokeras.pipelines.prepared.manifest import Manifest

TABLE = """\
Record,person,Task,dose,sex,age
r1,a,rest,0.5,F,20
r2,a,sums,1.5,F,20
r3,b,break,,m,30
r4,b,,2,m,30
"""

MODALITIES = {"x": {"rate": 4, "channels": ["X"], "scale": "physical"}}
TASK = {"kind": "class", "table": "t.csv", "classes": ["rest", "sums"], "unscored": ["break"]}
DOSE = {"kind": "number", "table": "t.csv"}
SEX = {"kind": "class", "table": "t.csv", "by": "person"}


def definition(people=None, person_column=None, **labels):
    table = {"name": "d", "window": 10, "modalities": MODALITIES, "labels": labels}
    return Definition.from_dict(table | {"people": people, "person_column": person_column})


@pytest.fixture
def source(tmp_path):
    """Four records of 25 s, and the table beside them."""
    for name in ("r1", "r2", "r3", "r4"):
        samples = np.random.default_rng(0).integers(-100, 100, 100, "<i2")
        (tmp_path / f"{name}.dat").write_bytes(samples.tobytes())
        (tmp_path / f"{name}.hea").write_text(f"{name} 1 4 100\n{name}.dat 16 10/mV 16 0 {samples[0]} 0 0 X\n")
        text = (tmp_path / f"{name}.hea").read_text().replace(" 0 0 X", f" {samples.sum() % 65536} 0 X")
        (tmp_path / f"{name}.hea").write_text(text)
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path


def values(source, own, records=("r1", "r2", "r3", "r4")):
    found, people = read_tables(source, own, records)
    return found, {record: people[record].labels for record in records}


def test_columns_become_classes_and_numbers(source):
    found, labels = values(source, definition(task=TASK, dose=DOSE))
    assert [labels[name]["task"] for name in labels] == [0, 1, -1, -1]
    np.testing.assert_array_equal([labels[name]["dose"] for name in labels], [0.5, 1.5, np.nan, 2])
    assert found.labels["task"].classes == ("rest", "sums")


def test_classes_are_found_where_none_are_given(source):
    renamed = {**TASK, "classes": [], "column": "TASK", "mapping": {"sums": "arithmetic"}}
    found, labels = values(source, definition(name=renamed))
    assert found.labels["name"].classes == ("arithmetic", "rest")
    assert [labels[name]["name"] for name in labels] == [1, 0, -1, -1]
    assert Definition.from_dict(found.to_dict()) == found


def test_rows_of_people_and_other_tables(source):
    (source / "p.tsv").write_text("id\tgroup\nb\tcontrol\na\tcase\n")
    group = {"kind": "class", "table": "p.tsv", "by": "person", "key": "id"}
    found, labels = values(source, definition("t.csv", "person", sex=SEX, group=group))
    assert [found.person_of(name) for name in labels] == ["a", "a", "b", "b"]
    assert [tuple(labels[name].values()) for name in labels] == [(0, 0), (0, 0), (1, 1), (1, 1)]
    assert (found.labels["sex"].classes, found.labels["group"].classes) == (("F", "m"), ("case", "control"))


def test_codes_and_spellings_that_may_mean_something_else_are_said(source):
    text = TABLE.replace("1.5", "-9").replace("rest", "Sums")
    (source / "t.csv").write_text(text)
    notes = []
    task = {**TASK, "classes": [], "unscored": []}
    found, people = read_tables(source, definition(task=task, dose=DOSE), ("r1", "r2", "r3", "r4"), notes)
    assert found.labels["task"].classes == ("Sums", "break", "sums")
    assert people["r2"].labels["dose"] == -9
    assert any("differ in spelling alone: Sums, sums" in note for note in notes)
    assert any("dose has 1 x -9" in note for note in notes)
    # Among other negative numbers it is one of them.
    (source / "t.csv").write_text(text.replace("0.5", "-0.5"))
    read_tables(source, definition(dose=DOSE), ("r1", "r2", "r3", "r4"), notes := [])
    assert not notes


def edited(old, new):
    return lambda source: (source / "t.csv").write_text(TABLE.replace(old, new, 1))


def only_others(source):
    (source / "t.csv").write_text(TABLE.replace("\nr", "\nq"))


FAULTS = {
    "no table": (lambda source: (source / "t.csv").unlink(), "t.csv: must be a readable table in UTF-8"),
    "unknown column": (edited("Task", "Tusk"), r"line 1: must have the columns record, task. Received: \['record'"),
    "no key": (edited("Record", "Name"), "line 1: must have the columns record, task"),
    "unknown class": (
        edited("sums", "sum"),
        "line 3: task must be one of rest, sums, break, or empty.*'sum'",
    ),
    "contradiction": (edited("r2", "r1"), "line 3: 'r1' must have one task. Received: 'sums', and 'rest' in line 2"),
    "no number": (edited("1.5", "much"), "line 3: must be a number.* or empty. Received: 'much'"),
    "column twice": (edited("dose", "task"), "line 1: each column must have a name of its own. Received twice: task"),
    "underscore": (edited("1.5", "1_5"), "line 3: must be a number.* or empty. Received: '1_5'"),
    "infinite": (edited("1.5", "inf"), "line 3: must be a number.* or empty"),
    "person twice": (edited("r2,a,sums,1.5,F", "r2,a,sums,1.5,M"), "line 3: 'a' must have one sex"),
    "other records": (only_others, r"must have rows of this data set's records for \[labels.task\]"),
    "person unknown": (edited("r1,a", "r1,"), "must name the person of every record.*none for: r1"),
    "person not available": (edited("r1,a", "r1,n/a"), "must name the person of every record.*none for: r1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_table_is_refused_before_any_record_is_read(source, fault):
    damage, words = FAULTS[fault]
    damage(source)
    people = ("t.csv", "person") if "person" in fault else ()
    with pytest.raises(DataError, match=words):
        convert(source, definition(*people, task=TASK, dose=DOSE, **({"sex": SEX} if people else {})), source / "out")
    assert not list((source / "out").glob("records/*"))


def test_dates_are_no_label(source):
    for dates in (["2001-02-03", "2001-02-04 10:00", "2001-2-5", ""], ["03.02.2001", "3/2/01", "3-FEB-2001", "."]):
        (source / "t.csv").write_text("record;visit\n" + "".join(f"r{k};{day}\n" for k, day in enumerate(dates, 1)))
        report = []
        visit = {"kind": "class", "table": "t.csv"}
        found, people = read_tables(source, definition(visit=visit), ("r1", "r2", "r3", "r4"), report)
        assert (found.labels, people) == ({}, {})
        assert report == ["t.csv: the column visit holds dates; [labels.visit] is left out"]
    said = []
    convert(source, definition(visit={"kind": "class", "table": "t.csv"}), source / "out", progress=said.append)
    assert "Note: t.csv: the column visit holds dates; [labels.visit] is left out" in said


def test_link_out_of_the_folder_is_refused(source):
    (source / "t.csv").rename(source.parent / "outside.csv")
    (source / "t.csv").symlink_to(source.parent / "outside.csv")
    with pytest.raises(DataError, match="outside"):
        values(source, definition(task=TASK))


DEFINITIONS = {
    "with annotations": ({**TASK, "annotator": "st"}, "takes `table` instead of"),
    "table of another kind": ({"kind": "spans", "annotator": "st", "classes": ["a", "b"], "table": "t.csv"}, "is for"),
    "by": ({**TASK, "by": "window"}, 'must be "record" or "person"'),
    "classes of a number": ({**DOSE, "classes": ["a", "b"]}, "a number has none"),
    "one class": ({**TASK, "classes": ["rest"]}, "at least two classes"),
    "mapping": ({**TASK, "mapping": {"x": "y"}}, "must map to the classes"),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_contradictory_label_is_refused(case):
    label, words = DEFINITIONS[case]
    with pytest.raises(DataError, match=words):
        definition(task=label)
    with pytest.raises(DataError, match="is a column of `people`"):
        definition(person_column="person")


@pytest.mark.once
@pytest.mark.parametrize("kind", ["class", "number", "age"])
def test_a_table_that_is_not_named_is_missed_where_a_folder_is_read(source, kind):
    own = definition(task={"kind": kind})
    with pytest.raises(DataError, match="people" if kind == "age" else "must name the table") as error:
        values(source, own)
    assert error.value.place.startswith("[labels.task]")


def test_converted_labels_are_those_of_the_table(source):
    edited("r4,b,,2,m,30\n", "")(source)
    own = definition(task=TASK, dose=DOSE)
    manifest = convert(source, own, source / "out", progress=None)
    assert [entry["record"] for entry in manifest.set_aside] == ["r4"]
    assert "[labels.task]: t.csv must have a row for the record" in manifest.set_aside[0]["reason"]
    counts = [[manifest.value_counts(record, label) for label in ("task", "dose")] for record in manifest.records]
    assert counts == [[{0: 2}, {0.5: 2}], [{1: 2}, {1.5: 2}], [{}, {}]]
    batch = next(
        iter(stream(source / "out", labels=("task", "dose", "record"), batch_size=6, split=list(manifest.splits)))
    )
    rows = sorted(zip(*(batch[1][name].numpy().tolist() for name in ("record", "task", "dose")), strict=True))[:4]
    assert rows == [(0, 0, 0.5), (0, 0, 0.5), (1, 1, 1.5), (1, 1, 1.5)]
    assert quality.labelled(manifest) == ["task"]


def test_events_of_score_files_become_a_task(source):
    for record, text in {"r1": "Hypopnea", "r2": "Snore", "r3": "Hypopnea", "r4": "Snore"}.items():
        (source / f"{record}.csv").write_text(f"onset,duration,description\n11,5,{text}\n")
    apnea = {"kind": "events", "file": "{record}.csv", "events": ["*pnea"]}
    manifest = convert(source, definition(apnea=apnea), source / "out", progress=None)
    assert [record.labels["apnea"] for record in manifest.records] == [{"0": 1, "1": 1}, {"0": 2}] * 2
    assert manifest.problems[1:] == []
    assert tasks_of(manifest.labels)["apnea"].classes == ("no event", "event")
    none = {**apnea, "events": ["apnoea"]}
    manifest = convert(source, definition(apnea=none), source / "out", progress=None)
    assert any("no window has an event of [labels.apnea], events = ['apnoea']" in line for line in manifest.problems)


def test_changed_row_converts_its_record_alone(source):
    own, said = definition(task=TASK), []
    convert(source, own, source / "out", progress=None)
    edited("r2,a,sums", "r2,a,rest")(source)
    manifest = convert(source, own, source / "out", progress=said.append)
    assert [line for line in said if "r1:" in line or "r3:" in line] == []
    assert manifest.value_counts(manifest.records[1], "task") == {0: 2}
    assert Manifest.read(source / "out").definition == replace(own).to_dict()


def test_without_the_table_its_labels_are_left_out(source):
    own = definition("t.csv", "person", task=TASK)
    assert without_missing_people(own, source) == own
    (source / "t.csv").unlink()
    left = without_missing_people(own, source)
    assert (left.labels, left.people, left.person_column) == ({}, None, None)


def test_real_table_gives_tasks_people_and_ages(real_data):
    names = [path.stem for path in sorted((real_data / "eegmat").glob("*.hea"))]
    found, people = read_tables(real_data / "eegmat", Definition.read("eegmat"), names)
    assert len({found.person_of(name) for name in names}) == 28
    assert all(people[name].labels["task"] == int(name.endswith("_2")) for name in names)
    assert [people["Subject01_1"].labels[label] for label in ("sex", "age")] == [0, 18.0]


@pytest.mark.parametrize("separator", ";\t")
def test_tables_of_spreadsheets_may_have_decimal_commas(source, separator):
    (source / "t.csv").write_text(TABLE.replace(".5", "+5").replace(",", separator).replace("+", ","))
    labels = values(source, definition(dose=DOSE))[1]
    np.testing.assert_array_equal([labels[name]["dose"] for name in labels], [0.5, 1.5, np.nan, 2])


def test_the_separator_is_the_one_of_which_the_first_line_has_most(source):
    text = 'record; "task"; "weight, kg"; note\nr1; "rest"; "3,5"; a\u2028b\nr2; sums; 4; "c\nd\x0b"\n'
    (source / "t.csv").write_text(text, encoding="utf-8")
    weight = {**DOSE, "column": "weight, kg"}
    labels = values(source, definition(task=TASK, weight=weight), ("r1", "r2"))[1]
    assert labels == {"r1": {"task": 0, "weight": 3.5}, "r2": {"task": 1, "weight": 4}}


def test_tables_of_excel_in_utf_16_or_with_a_line_that_states_the_separator_are_read(source):
    text = TABLE.replace(".5", "+5").replace("rest", "Größe").replace(",", ";").replace("+", ",")
    own = definition(dose=DOSE, task={**TASK, "classes": ["Größe", "sums"]})
    for data in (text.replace(";", "\t").encode("utf-16"), b"sep=;\r\n" + text.encode()):
        (source / "t.csv").write_bytes(data)
        labels = values(source, own)[1]
        np.testing.assert_array_equal([labels[name]["dose"] for name in labels], [0.5, 1.5, np.nan, 2])
        assert [labels[name]["task"] for name in labels] == [0, 1, -1, -1]


def test_commas_that_may_separate_thousands_are_refused(source):
    (source / "t.csv").write_text("record\tdose\nr1\t987\nr2\t12,345\n")
    with pytest.raises(DataError, match=r"line 3: must be a number, without separators of thousands.*'12,345'"):
        values(source, definition(dose=DOSE), ("r1", "r2"))


def test_ages_that_are_hidden_above_89_are_90_and_said(source):
    (source / "t.csv").write_text("Record,Sex,Age\nr1,F,90+\nr2,F,>89\nr3,M,≥ 90\nr4,M,89\n")
    ages = {"kind": "number", "table": "t.csv", "column": "age"}
    _, people = read_tables(source, definition("t.csv", age=ages), ("r1", "r2", "r3", "r4"), notes := [])
    assert [one.age for one in people.values()] == [one.labels["age"] for one in people.values()] == [90, 90, 90, 89]
    assert notes == ["t.csv: 3 ages given as above 89; taken as 90"] * 2
    (source / "t.csv").write_text("Record,Sex,Age\nr1,F,80+\n")
    with pytest.raises(DataError, match="line 2: age must be a number of years in"):
        read_tables(source, definition("t.csv"), ("r1",))


def test_names_that_a_spreadsheet_altered_are_found_where_one_alone_fits_and_said(source):
    (source / "t.csv").write_text("record,task\n123,rest\n10124,sums\nx/s7.EDF,rest\n0005,sums\n")
    records = ("00123", "10124", "S7", "5", "05")
    _, people = read_tables(source, definition(task=TASK), records, notes := [])
    assert {name: person.labels["task"] for name, person in people.items()} == {"00123": 0, "10124": 1, "S7": 0}
    assert notes == [
        "t.csv: 2 names taken for that of a record or person that is spelled alike, such as '123' for '00123'"
    ]


def test_a_person_of_both_sexes_is_said(source):
    (source / "t.csv").write_text("Record,Sex,Age,who\nr1,F,50,a\nr2,M,60,a\nr3,M,60,b\nr4,,60,b\n")
    read_tables(source, definition("t.csv", "who"), ("r1", "r2", "r3", "r4"), notes := [])
    assert notes == [
        "t.csv: F in one record and M in another: a. Correct the table, or `person` if they are several people"
    ]


def test_classes_that_a_spreadsheet_made_dates_are_said(source):
    (source / "t.csv").write_text("record,task\nr1,02-Jan\nr2,Mar-40\nr3,5+\nr4,may\n")
    own = definition(task={"kind": "class", "table": "t.csv"})
    read_tables(source, own, ("r1", "r2", "r3", "r4"), notes := [])
    assert "classes of [labels.task] look like dates: 02-Jan, Mar-40." in notes[0]


def test_words_for_nothing_are_no_classes_and_one_number_in_two_spellings_is_said(source):
    (source / "t.csv").write_text("record,task\nr1,1\nr2,1.0\nr3,Unknown\nr4,#DIV/0!\n")
    own = definition(task={"kind": "class", "table": "t.csv"})
    found, people = read_tables(source, own, ("r1", "r2", "r3", "r4"), notes := [])
    assert found.labels["task"].classes == ("1", "1.0")
    assert [people[name].labels["task"] for name in people] == [0, 1, -1, -1]
    assert "differ in spelling alone: 1, 1.0" in notes[0]
