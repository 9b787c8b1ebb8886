"""Splits by lists of people, by a column of their table, and by a published file."""

import json

import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines import convert
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.people.label_tables import read_tables
from physiokeras.pipelines.people.people import without_missing_people
from physiokeras.pipelines.people.split import assign_splits, check_lists

pytestmark = pytest.mark.once

RECORDS = {f"{person}_{night}": person for person in ("S1", "S2", "S29", "S30", "S31") for night in (1, 2)}


def definition(split, people=None, **more):
    table = {"name": "d", "window": 10, "modalities": {"x": {"rate": 4, "channels": ["X"], "scale": "physical"}}}
    return Definition.from_dict({**table, "person": "(.*)_", "split": split, "people": people, **more})


def people_of(split, records=RECORDS):
    found = definition(split) if isinstance(split, dict) else split
    check_lists(found, records.values())
    splits = assign_splits(found, records)
    assert all(splits[record] == splits[f"{person}_1"] for record, person in records.items())
    return {person: splits[f"{person}_1"] for person in records.values()}


def test_lists_and_patterns_name_people():
    found = people_of({"test": ["S29", "S3?"], "validation": 0.0})
    assert found == {"S1": "train", "S2": "train", "S29": "test", "S30": "test", "S31": "test"}
    found = people_of({"test": "S3*", "train": ["S1"], "validation": ["S2", "S29"]})
    assert found == {"S1": "train", "S2": "validation", "S29": "validation", "S30": "test", "S31": "test"}


def test_whom_no_list_names_is_drawn_as_without_lists():
    records = {f"p{number}_1": f"p{number}" for number in range(300)}
    listed = people_of({"test": ["p7", "p1?"], "validation": 0.3}, records)
    drawn = people_of({"test": 0.0, "validation": 0.3}, records)
    named = {"p7", *(f"p1{digit}" for digit in range(10))}
    assert {person for person in listed if listed[person] == "test"} == named
    assert all(listed[person] == drawn[person] for person in set(listed) - named)
    # Adding people moves nobody.
    few = dict(list(records.items())[:20])
    assert people_of({"test": ["p7", "p1?"], "validation": 0.3}, few) == {p: listed[p] for p in few.values()}


def test_definitions_with_lists_survive_json():
    own = definition({"test": ["S29"], "train": ["S*1"], "seed": 3})
    assert Definition.from_dict(json.loads(json.dumps(own.to_dict()))) == own
    assert (own.split.test, own.split.validation) == (0, 0)
    # What is prepared already keeps its hash.
    assert set(definition({}).to_dict()["split"]) == {"test", "validation", "seed", "pretrain"}


FAULTS = {
    "nobody": ({"test": ["S29", "X*"]}, r"\[split\] test: 'X\*' matches nobody. People are called S1, S2"),
    "two splits": ({"test": ["S29"], "validation": ["S2*"]}, "one split. 'S29' is in validation and test|test and val"),
    "in none": ({"test": ["S29"], "train": ["S1", "S2"]}, r"\[split\] train: .* Received none for S30, S31"),
    "twice": ({"test": ["S29", "S29"]}, "must name each person once"),
    "unlabelled": ({"test": ["S1"], "pretrain": ["S1_*"]}, "'S1' is in pretrain and test"),
    "empty": ({"test": []}, "must name people"),
    "share beside train": ({"test": 0.2, "train": ["S1"]}, "nobody is where train has a list"),
    "list and file": ({"test": ["S1"], "file": "x.csv"}, "exclude each other"),
    "column without a table": ({"column": "split"}, "is a column of `people`"),
    "number of train": ({"train": 0.7}, "unknown key train"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_lists_are_refused_by_name(fault):
    split, words = FAULTS[fault]
    with pytest.raises(DataError, match=words):
        people_of(split)


FILES = {
    "splits.csv": "person,split\nS1,train\nS2,Training\nS29,val\nS30,test\nS31,TEST\nS99,test\n",
    "records.tsv": "file\tset\nS99_1\ttest\n" + "".join(
        f"{record}\t{word}\n"
        for record, word in zip(RECORDS, [*4 * ["train"], *2 * ["dev"], *4 * ["test"]], strict=True)),
    "s.json": '{"train": ["S1", "S2"], "valid": ["S29"], "test": ["S30", "S31", "S99"]}',
}  # fmt: skip
PUBLISHED = {"S1": "train", "S2": "train", "S29": "validation", "S30": "test", "S31": "test"}


@pytest.mark.parametrize("name", FILES)
def test_published_splits(tmp_path, name):
    (tmp_path / name).write_text(FILES[name])
    report = []
    found, _ = read_tables(tmp_path, definition({"file": name}), list(RECORDS), report)
    assert people_of(found) == PUBLISHED
    assert report == [f"{name}: 1 of its names have no record here"]
    assert Definition.from_dict(found.to_dict()) == found


def test_a_record_called_like_its_person_does_not_hide_that_persons_other_records(tmp_path):
    own = definition({"column": "fold"}, "people.csv", person="^(S[0-9]+)")
    (tmp_path / "people.csv").write_text("Record,Sex,Age,Fold\nS1,F,30,train\nS1_2,F,30,test\nS2,F,30,train\n")
    with pytest.raises(DataError, match="'S1' is in train and test"):
        read_tables(tmp_path, own, ["S1", "S1_2", "S2"])


def test_a_column_of_the_table_of_people(tmp_path):
    words = {"S1": "train", "S2": "unlabelled", "S29": "dev", "S30": "test", "S31": "test"}
    rows = "".join(f"{record},F,30,{words[person]}\n" for record, person in RECORDS.items())
    (tmp_path / "people.csv").write_text("Record,Sex,Age,Fold\n" + rows)
    own = definition({"column": "fold"}, "people.csv")
    found, _ = read_tables(tmp_path, own, list(RECORDS))
    assert people_of(found) == {**PUBLISHED, "S2": "pretrain"}
    (tmp_path / "people.csv").write_text("Record,Sex,Age,Fold\n" + rows.replace("S30_2,F,30,test", "S30_2,F,30,train"))
    with pytest.raises(DataError, match="'S30' is in test and train"):
        read_tables(tmp_path, own, list(RECORDS))
    (tmp_path / "people.csv").unlink()
    assert without_missing_people(own, tmp_path).split.column is None


BROKEN = {
    "missing": (None, "must be a readable"),
    "a person in none": (FILES["splits.csv"].replace("S30,test\n", ""), "none for S30; it has S1, S2, S29"),
    "a person in two": (FILES["splits.csv"] + "S1,test\n", "line 8: .*'S1' is in 'train'"),
    "word": (FILES["splits.csv"].replace("val", "third"), "line 4: a split must be one of .*'third'"),
    "columns": ("who,where\nS1,train\n", "must have the columns person and split"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_faulty_published_splits_are_refused(tmp_path, fault):
    content, words = BROKEN[fault]
    if content:
        (tmp_path / "splits.csv").write_text(content)
    with pytest.raises(DataError, match=words):
        read_tables(tmp_path, definition({"file": "splits.csv"}), list(RECORDS))
    for text in ('{"train": "S1"}', "[1]", "{", '{"train": [["S1"]]}', "[" * 100_000):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(DataError, match=r"s\.json"):
            read_tables(tmp_path, definition({"file": "s.json"}), list(RECORDS))


def test_names_with_signs_of_patterns_stand_for_themselves(tmp_path):
    records = {"a*_1": "a*", "ab_1": "ab"}
    (tmp_path / "s.json").write_text('{"train": ["a*"], "test": ["ab"]}')
    found, _ = read_tables(tmp_path, definition({"file": "s.json"}), list(records))
    assert assign_splits(found, records) == {"a*_1": "train", "ab_1": "test"}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for record in RECORDS:
        samples = np.random.default_rng(0).integers(-100, 100, 100, "<i2")
        (folder / f"{record}.dat").write_bytes(samples.tobytes())
        line = f"{record}.dat 16 10/mV 16 0 {samples[0]} {samples.sum() % 65536} 0 X\n"
        (folder / f"{record}.hea").write_text(f"{record} 1 4 100\n{line}")
    return folder


def test_the_written_split_repeats_the_conversion_elsewhere(source, tmp_path):
    first = convert(source, definition({"test": 0.4, "seed": 1}), tmp_path / "one", progress=None)
    wanted = {record.person: record.split for record in first.records}
    text = (tmp_path / "one" / "splits.csv").read_text()
    assert text == "person,split\n" + "".join(f"{person},{wanted[person]}\n" for person in sorted(wanted))
    (source / "splits.csv").write_text(text)
    again = convert(source, definition({"file": "splits.csv"}), tmp_path / "two", progress=None)
    assert {record.person: record.split for record in again.records} == wanted
    # People who are not in the file are refused before anything is converted; once listed, nobody has moved.
    (source / "splits.csv").write_text(text.replace("S1,", "S7,"))
    with pytest.raises(DataError, match="none for S1"):
        convert(source, definition({"file": "splits.csv"}), tmp_path / "three", progress=None)
    assert not (tmp_path / "three").exists()


def test_a_changed_file_moves_people_in_a_prepared_folder_without_converting_again(source, tmp_path):
    (source / "s.json").write_text('{"train": ["S1", "S2", "S29"], "test": ["S30", "S31"]}')
    own, said = definition({"file": "s.json"}), []
    convert(source, own, tmp_path / "out", progress=None)
    (source / "s.json").write_text('{"train": ["S1", "S2", "S31"], "test": ["S30", "S29"]}')
    manifest = convert(source, own, tmp_path / "out", progress=said.append)
    assert {record.person for record in manifest.records if record.split == "test"} == {"S29", "S30"}
    assert "d: 10 records, 0 to convert by 1 worker." in said


def test_a_name_with_brackets_is_no_pattern():
    people = {"S[1]_1": "S[1]", "S1_1": "S1", "S2_1": "S2"}
    found = people_of({"test": ["S[1]"], "validation": ["S[2]"]}, people)
    assert found == {"S[1]": "test", "S1": "train", "S2": "validation"}
