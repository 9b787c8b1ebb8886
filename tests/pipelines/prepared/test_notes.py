"""What a conversion says of a whole data set."""

from pathlib import Path

import pytest

from physiokeras.experiments import cohort
from physiokeras.pipelines.definitions.parts import Split
from physiokeras.pipelines.prepared.manifest import Manifest, Record
from physiokeras.pipelines.prepared.notes import kinds_of_notes, uneven_splits, without_labels

pytestmark = pytest.mark.once


def record(person, split, labels=None, notes=()):
    counts = {"stage": {"0": 3, "-1": 1} if labels is None else labels}
    return Record(person, person, split, 4, 120.0, None, None, 1, "0", {}, counts, [], list(notes))


def manifest(*records):
    labels = {"stage": {"kind": "stages", "classes": ["W", "R"]}}
    return Manifest(Path("x"), {"name": "x"}, {}, 30, {}, labels, list(records), [], "0", {})


def test_a_split_without_the_labels_of_others_is_named_with_its_people(capsys):
    data = manifest(
        record("a", "train"), record("b", "test"), record("c", "validation", {"-1": 4}), record("d", "pretrain", {})
    )
    (line,) = without_labels(data)
    assert line.startswith("no window of the split validation has the label stage; its people: c. ")
    assert "`[split] pretrain`" in line
    cohort.warn_without_labels(data)
    assert f"Warning: {line}" in capsys.readouterr().out
    assert not list(without_labels(manifest(record("a", "train"), record("d", "pretrain", {}))))
    # Where nobody has it, the manifest's problems say so.
    assert not list(without_labels(manifest(record("a", "train", {}), record("b", "test", {}))))


@pytest.mark.parametrize(
    ("test", "train", "said"),
    [(1, 15, ["test has 1 of 16 people, a share of 0.25 would be 4"]), (4, 12, []), (2, 14, []),
     (1, 3, ["test has 1 of 4"]), (9, 7, ["test has 9 of 16 people"])],
)  # fmt: skip
def test_few_people_by_a_share_are_said(test, train, said):
    people = [f"p{number}" for number in range(test + train)]
    records = [record(person, "test" if n < test else "train") for n, person in enumerate(people)]
    records += [record("unlabelled", "pretrain")]
    lines = list(uneven_splits(records, Split(test=0.25, validation=0.0)))
    assert len(lines) == len(said)
    assert all(text in line and 'test = ["p0", ...]' in line for text, line in zip(said, lines, strict=True))
    # Who is listed is not drawn.
    listed = Split(test=0.0, validation=0.0, people={"test": ("p0",), "train": ("p*",)})
    assert not list(uneven_splits(records, listed))


def test_a_recording_in_memory_is_named_once():
    records = [record(name, "train", notes=[f"{name} (in memory): 5 marks"]) for name in ("w00", "w01")]
    ((_, count, example),) = kinds_of_notes(records)
    assert (count, example) == (2, "w00: 5 marks")
