"""What names of files, records and people do to a conversion, and what the whole data set lacks."""

import os
import shutil
import unicodedata

import pytest
from edf_bytes import channel, write, write_scores

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.driver import convert
from physiokeras.pipelines.converting.record_list import find_records, left_out
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.inspecting.draft import write_draft
from physiokeras.pipelines.inspecting.folder import look
from physiokeras.pipelines.prepared.manifest import Manifest
from physiokeras.recipes import prepare

TABLE = {
    "name": "mine",
    "records": "**/*-PSG.edf",
    "modalities": {"eeg": {"rate": 100, "unit": "uV", "channels": ["EEG Fpz-Cz"]}},
    "split": {"test": 0.0, "validation": 0.0},
}
STAGES = {"kind": "stages", "file": "{record:.3}*-Hypnogram.edf", "classes": ["W", "R"], "prefix": "Sleep stage "}
MINE = Definition.from_dict(TABLE)
SCORED = Definition.from_dict({**TABLE, "labels": {"stage": STAGES}})


def definition(**changes):
    return Definition.from_dict({**TABLE, **changes})


def psg(folder, name, seed=None, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    seed = sum(name.encode()) if seed is None else seed
    return write(folder / f"{name}-PSG.edf", [channel(seconds=60, seed=seed, **changes)])


def scores(folder, name, text="Sleep stage R"):
    return write_scores(folder / f"{name}-Hypnogram.edf", [(0, 60, text)])


def run(source, out, definition=MINE):
    said = []
    return convert(source, definition, out, progress=said.append), said


def names(manifest):
    return [record["name"] for record in manifest.records], [entry["record"] for entry in manifest.set_aside]


@pytest.fixture
def source(tmp_path):
    for name in ("a01", "a02"):
        psg(tmp_path / "source", name)
    return tmp_path / "source"


def test_extensions_match_in_capitals_and_hidden_files_and_scores_are_no_records(source):
    shutil.move(psg(source, "a03"), source / "a03-PSG.EDF")
    (source / "._a01-PSG.edf").write_bytes(b"\0\5\x16\7" + bytes(4092))
    psg(source / ".Trashes", "a04")
    scores(source, "a01")
    for pattern in ("**/*.edf", "*.EDF"):
        found = find_records(source, definition(records=pattern))
        assert [path.name for path in found] == ["a01-PSG.edf", "a02-PSG.edf", "a03-PSG.EDF"]


def test_scores_in_capitals_and_names_with_brackets_are_found(tmp_path):
    for name in ("a[1]", "ab1x", "b?*x"):
        psg(tmp_path / "source [x]", name)
    shutil.move(scores(tmp_path / "source [x]", "a[1]"), tmp_path / "source [x]" / "a[1]-Hypnogram.EDF")
    scores(tmp_path / "source [x]", "b?*x", "Sleep stage W")
    (tmp_path / "source [x]" / "._a[1]-Hypnogram.edf").write_bytes(b"")
    label = {**STAGES, "file": "*{record:.4}-Hypnogram.edf"}
    manifest, _ = run(tmp_path / "source [x]", tmp_path / "out", definition(labels={"stage": label}))
    assert names(manifest) == (["a[1]-PSG", "ab1x-PSG", "b?*x-PSG"], [])
    assert [record["labels"]["stage"] for record in manifest.records] == [{"1": 2}, {"-1": 2}, {"0": 2}]


def test_what_a_pattern_leaves_out_is_said(source, tmp_path):
    scores(source, "a01")
    scores(source, "zzz")
    shutil.copy(source / "a01-PSG.edf", source / "other.edf")
    psg(tmp_path / "elsewhere", "a09")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    lines = list(left_out(source, find_records(source, SCORED), SCORED))
    assert lines == [
        "Left out by records = '**/*-PSG.edf': other.edf.",
        "Annotations of no record, by their names: zzz-Hypnogram.edf.",
        "Not followed, because they are links: linked. Copy them, or make them the source.",
    ]
    assert set(lines) < set(run(source, tmp_path / "out", SCORED)[1])
    with pytest.raises(DataError, match=r"no record matches '\*\*/\*\.hea'\. It holds a01-Hypnogram\.edf, .* more"):
        find_records(source, definition(records="**/*.hea"))


def test_a_name_without_a_person_is_set_aside_before_the_work_and_its_correction_redoes_nothing(source, tmp_path):
    psg(source, "test")
    strict = {"person": "^(a[0-9]+)"}
    manifest, said = run(source, tmp_path / "out", definition(**strict))
    assert names(manifest) == (["a01-PSG", "a02-PSG"], ["test-PSG"])
    assert next(k for k, line in enumerate(said) if "Set aside by its name: test-PSG" in line) == 1
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "records").iterdir()}
    manifest, said = run(source, tmp_path / "out", definition(**strict, same_person={"test-PSG": "t"}))
    assert "1 to convert" in said[0]
    assert names(manifest) == (["a01-PSG", "a02-PSG", "test-PSG"], [])
    # And back: the record is kept out, what was made of it is kept.
    assert names(run(source, tmp_path / "out", definition(**strict))[0])[1] == ["test-PSG"]
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "records").iterdir()}
    assert {name: after[name] for name in before} == before
    assert "test-PSG.tfrecord" in after


@pytest.mark.parametrize(
    "changes", [{"records": "*.edf"}, {"person": "(.*)"}, {"split": {"test": 0.5}}, {"description": "x"}]
)
def test_settings_that_shape_no_shard_redo_nothing(source, tmp_path, changes):
    run(source, tmp_path / "out")
    _, said = run(source, tmp_path / "out", definition(**changes))
    assert "0 to convert" in said[0]


def test_one_annotation_file_of_records_of_several_people_sets_them_aside(tmp_path):
    for name in ("N1", "N10", "N2"):
        psg(tmp_path / "source", name)
    scores(tmp_path / "source", "N10")
    label = {**STAGES, "file": "{record:.2}*-Hypnogram.edf"}
    manifest, _ = run(tmp_path / "source", tmp_path / "out", definition(labels={"stage": label}))
    assert names(manifest) == (["N2-PSG"], ["N1-PSG", "N10-PSG"])
    assert "N10-Hypnogram.edf is taken for the annotations of several records" in manifest.set_aside[0]["reason"]
    one = definition(labels={"stage": label}, person="^(N)")
    assert names(run(tmp_path / "source", tmp_path / "out", one)[0])[1] == []


def test_the_same_signals_of_several_people_are_a_problem(source, tmp_path):
    data = psg(source, "a03", seed=5).read_bytes()
    # Another name in the header: the file is another, the signals are the same.
    (source / "a04-PSG.edf").write_bytes(data[:8] + b"Y Y Y Y" + data[15:])
    manifest, said = run(source, tmp_path / "out")
    assert "the same signals are of several people: a03-PSG (train), a04-PSG (train)" in manifest.problems[0]
    assert manifest.problems[0] in said[-1]
    assert not run(source, tmp_path / "out", definition(same_person={"a04-PSG": "a03-PSG"}))[0].problems
    assert Manifest.read(tmp_path / "out").problems == []


def test_a_label_that_no_record_has_a_file_for_is_refused_before_the_work(source, tmp_path):
    with pytest.raises(DataError, match=r"no record has annotations for \[labels\.stage\].* such as a01\*-Hypnogram"):
        run(source, tmp_path / "out", SCORED)
    assert not list((tmp_path / "out").rglob("*.tfrecord"))
    unlabelled = definition(labels={"stage": STAGES}, split={"pretrain": ["*"], "test": 0.0, "validation": 0.0})
    assert not run(source, tmp_path / "out", unlabelled)[0].problems


def test_a_label_that_no_window_has_and_a_modality_that_no_record_has_are_problems(source, tmp_path, capsys):
    write_scores(source / "a01-Hypnogram.edf", [(0, 60, "Stage R")])
    modalities = TABLE["modalities"] | {"ecg": {"rate": 100, "channels": [{"name": "ECG", "alias": ["EKG"]}]}}
    modalities["eeg"] = {**modalities["eeg"], "channels": ["EEG Fpz-Cz", "EEG Pz-Oz"]}
    manifest, said = run(source, tmp_path / "out", definition(labels={"stage": STAGES}, modalities=modalities))
    assert [problem.split(";")[0].split(": ")[0] for problem in manifest.problems] == [
        "no record has a channel of [modalities.ecg]",
        "no window has a label of [labels.stage], of kind stages",
    ]
    assert any("no record has the channel EEG Pz-Oz of [modalities.eeg]" in line for line in said)
    assert "Note: a01-PSG: a01-Hypnogram.edf: 1 x 'Stage R', without effect on labels" in said


def test_prepare_fails_where_the_data_set_lacks_something(source, tmp_path, capsys):
    toml = 'name = "mine"\nrecords = "*.edf"\n[modalities.eeg]\nrate = 100\nchannels = ["EEG Fpz-Cz"]\n'
    command = ["--dataset", str(tmp_path / "m.toml"), "--source", str(source), "--out", str(tmp_path / "out")]
    (tmp_path / "m.toml").write_text(toml)
    assert prepare.main(command) == 0
    (tmp_path / "m.toml").write_text(toml + '[modalities.ecg]\nrate = 100\nchannels = ["ECG"]\n')
    assert prepare.main(command) == 1
    assert "no record has a channel of [modalities.ecg]" in capsys.readouterr().out
    assert "no record has a channel of [modalities.ecg]" in (tmp_path / "out" / "report.md").read_text()


def test_a_record_without_any_channel_of_the_definition_is_set_aside(source, tmp_path):
    psg(source, "a03", label="EEG FPZ-CZ")
    manifest, _ = run(source, tmp_path / "out")
    assert names(manifest) == (["a01-PSG", "a02-PSG"], ["a03-PSG"])
    assert "It has EEG FPZ-CZ; looked for were EEG Fpz-Cz" in manifest.set_aside[0]["reason"]


def test_a_table_in_which_no_record_is_found_is_refused(source, tmp_path):
    (source / "people.csv").write_text("Record,Sex,Age\na01,F,50\n")
    with pytest.raises(DataError, match=r"people\.csv: no record is in the table. Records are called a01-PSG"):
        run(source, tmp_path / "out", definition(people="people.csv"))


@pytest.mark.parametrize(
    ("place", "records", "said"),
    [
        ("nowhere", "**/*.hea", "there is no such folder"),
        ("table.csv", "**/*.hea", "this is a file; give its folder"),
        (".", "*.csv", r"`records` must be a pattern that ends in .*Received: '\*\.csv'.*Write .* as EDF first"),
        (".", "**/*.hea", r"There is no recording below it, only table\.csv\. Is this the folder"),
    ],
)
def test_folders_without_recordings_say_what_they_hold(tmp_path, place, records, said):
    (tmp_path / "table.csv").write_text("seconds,ppg\n0,1\n")
    with pytest.raises(DataError, match=said):
        find_records(tmp_path / place, definition(records=records))


@pytest.mark.parametrize(("one", "other"), [("P1", "p1"), ("S1", "S01"), ("a b", "a_b")])
def test_people_whose_names_differ_in_spelling_alone_are_refused(tmp_path, one, other):
    for name in ("a", "b"):
        psg(tmp_path / "in", name)
    (tmp_path / "in" / "people.csv").write_text(f"record,sex,age,person\na-PSG,F,30,{one}\nb-PSG,F,30,{other}\n")
    mine = {"people": "people.csv", "person_column": "person"}
    with pytest.raises(DataError, match=f"one person must have one name.*{one}.*{other}"):
        convert(tmp_path / "in", definition(**mine), tmp_path / "out", progress=None)
    manifest, _ = run(tmp_path / "in", tmp_path / "out", definition(**mine, same_person={"b-PSG": one}))
    assert {record.person for record in manifest.records} == {one}


def test_scores_of_a_record_with_a_longer_name_are_not_those_of_the_shorter(tmp_path):
    source = tmp_path / "source"
    for name in ("P7_1", "P7_10"):
        psg(source, name)
        (source / f"{name}-PSG.edf").rename(source / f"{name}.edf")
    scores(source, "P7_10")
    label = {**STAGES, "file": "{record}*-Hypnogram.edf"}
    own = definition(records="*.edf", person="^(P7)", labels={"stage": label})
    manifest, _ = run(source, tmp_path / "out", own)
    assert [record.labels["stage"] for record in manifest.records] == [{"-1": 2}, {"1": 2}]
    scores(source, "P7_1", "Sleep stage W")
    manifest, _ = run(source, tmp_path / "out", own)
    assert [record.labels["stage"] for record in manifest.records] == [{"0": 2}, {"1": 2}]
    scores(source, "P7")
    label = {**STAGES, "file": "{record:.2}-Hypnogram.edf"}
    shared = definition(records="*.edf", person="^(P7)", labels={"stage": label})
    said = run(source, tmp_path / "out", shared)[1]
    assert any("P7-Hypnogram.edf is taken for the annotations of several records" in line for line in said)


def test_both_unicode_forms_of_a_name_are_one_name(tmp_path):
    """Macs write letters with accents as two characters."""
    source, mac = tmp_path / "source", unicodedata.normalize("NFD", "Zoë")
    psg(source, mac)
    scores(source, "Zoë")
    (source / "p.csv").write_text("Record,Sex,Age,split\nZoë-PSG,F,31,test\n", encoding="utf-8")
    label = {**STAGES, "file": "{record:.4}-Hypnogram.edf"}
    own = definition(labels={"stage": label, "age": {"kind": "age"}}, people="p.csv", split={"column": "split"})
    (record,) = run(source, tmp_path / "out", own)[0].records
    assert (record.labels["stage"], record.age, record.split) == ({"1": 2}, 31, "test")
    psg(source, "Zoë", seed=1)
    with pytest.raises(DataError, match="one person must have one name"):
        run(source, tmp_path / "out")


def test_a_name_that_is_too_long_and_a_broken_link_are_set_aside(source, tmp_path):
    psg(source, "x" * 230)
    (source / "b-PSG.edf").symlink_to("gone.edf")
    manifest, _ = run(source, tmp_path / "out")
    assert names(manifest) == (["a01-PSG", "a02-PSG"], ["b-PSG", "x" * 230 + "-PSG"])
    assert "No such file" in manifest.set_aside[0]["reason"]
    assert "may have 200 bytes" in manifest.set_aside[1]["reason"]


@pytest.mark.parametrize("changes", [{"people": "/etc/hostname"}, {"records": "a**b/*.edf"}])
def test_paths_that_cannot_be_are_refused(source, tmp_path, changes):
    with pytest.raises(DataError, match=r"outside|can only be an entire path component"):
        run(source, tmp_path / "out", definition(**changes))


def test_links_in_a_circle_and_names_that_are_no_text_leave_the_others(source, tmp_path):
    (source / "b-PSG.edf").symlink_to("b-PSG.edf")
    os.rename(psg(source, "x"), os.fsencode(source) + b"/\xe9-PSG.edf")
    manifest, said = run(source, tmp_path / "out")
    assert names(manifest) == (["a01-PSG", "a02-PSG"], ["b-PSG"])
    assert "must not be a link that leads back to itself" in manifest.set_aside[0]["reason"]
    assert r"Left out, because their names are not UTF-8: \xe9-PSG.edf. Rename them." in said


def test_records_that_are_gone_are_said_and_a_damaged_manifest_is_written_anew_once_it_is_removed(source, tmp_path):
    run(source, tmp_path / "out")
    (source / "a01-PSG.edf").unlink()
    manifest, said = run(source, tmp_path / "out")
    assert names(manifest) == (["a02-PSG"], [])
    assert "No longer in the source, and left out of the manifest: a01-PSG." in said
    (tmp_path / "out" / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="Remove it: it is then written anew"):
        run(source, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    assert "0 to convert" in run(source, tmp_path / "out")[1][0]


def test_several_files_of_scores_for_a_record_are_named_where_none_has_one(source, tmp_path):
    for tail in ("E", "E (copy)"):
        scores(source, f"a01{tail}")
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    manifest, _ = run(source, tmp_path / "out", SCORED)
    assert "Received: a01E (copy)-Hypnogram.edf, a01E-Hypnogram.edf" in manifest.set_aside[0]["reason"]


def test_several_units_without_one_in_the_definition_are_a_problem(source, tmp_path):
    psg(source, "a03", dim="mV")
    raw = {"eeg": {"rate": 100, "channels": ["EEG Fpz-Cz"], "scale": "physical"}}
    manifest, _ = run(source, tmp_path / "out", definition(modalities=raw))
    assert manifest.problems == [
        "the channel EEG Fpz-Cz has several units, uV in a01-PSG, mV in a03-PSG. Give [modalities.eeg] a `unit`"
    ]


def test_sessions_of_a_subject_of_bids_that_are_of_several_people_are_said_and_drafts_keep_them_together(tmp_path):
    for number, name in enumerate(("sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1")):
        psg(tmp_path / "source", name, seed=number)
    rule = "Note: by BIDS the records of a subject are of one person, here of several: sub-1. "
    assert any(line.startswith(rule) for line in run(tmp_path / "source", tmp_path / "out")[1])
    write_draft(look(tmp_path / "source"), tmp_path / "draft.toml")
    drafted = Definition.read(tmp_path / "draft.toml")
    assert [drafted.person_of(f"{name}-PSG") for name in ("sub-1_ses-1", "sub-1_ses-2")] == ["sub-1"] * 2
    said = run(tmp_path / "source", tmp_path / "again", definition(person=drafted.person))[1]
    assert not any(line.startswith(rule) for line in said)


def test_what_a_definition_says_of_records_that_are_not_there_is_said(source, tmp_path):
    split = {"pretrain": ["te*"], "test": 0.0, "validation": 0.0}
    said = run(source, tmp_path / "out", definition(split=split, same_person={"a2-PSG": "a01-PSG"}))[1]
    assert "Note: no record matches [split] pretrain = 'te*'" in said
    assert "Note: same_person names records that are not here: a2-PSG" in said
