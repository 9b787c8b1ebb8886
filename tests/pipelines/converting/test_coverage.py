"""What some records of a data set lack is said on the terminal and in the report, by record."""

import numpy as np
import pytest
import tomli_w
import wfdb

from physiokeras.pipelines import convert, plan
from physiokeras.pipelines.converting.coverage import first_few
from physiokeras.pipelines.converting.quality import page, summary
from physiokeras.recipes import inspect

CHANNELS = {"a": ["C3-M2", "ECG"], "b": ["C3", "M2", "ECG"], "c": ["C3", "A2", "ECG"], "d": ["C3-M2", "ECG"],
            "e": ["EKG"], "f": ["C3", "ECG"]}  # fmt: skip
EEG, ECG = {"rate": 50, "channels": ["C3-M2"]}, {"rate": 50, "channels": ["ECG"], "bandpass": [1, 20]}
DEFINITION = {
    "name": "d",
    "modalities": {"eeg": EEG, "ecg": ECG},
    "alias": {"M2": "A2", "ECG": "EK?"},
    "montage": {"C3-M2": ["C3", "M2"]},
    "labels": {"stage": {"kind": "stages", "annotator": "st", "classes": ["W", "N1", "R"]}},
    "split": {"test": 0, "validation": 0},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The manifest of six records, and the lines that their conversion said. The ECG of d is flat; e is not scored."""
    folder, lines, random = tmp_path_factory.mktemp("coverage"), [], np.random.default_rng(0)
    for name, channels in CHANNELS.items():
        values = random.normal(size=(6000, len(channels)))
        if name == "d":
            values[:, 1] = 1.0
        wfdb.wrsamp(name, fs=100, units=["uV"] * len(channels), sig_name=channels, p_signal=values,
                    fmt=["16"] * len(channels), write_dir=str(folder))  # fmt: skip
        if name != "e":
            wfdb.wrann(name, "st", np.array([0, 3000]), ['"', '"'], aux_note=["W", "R"], write_dir=str(folder))
    (folder / "d.toml").write_text(tomli_w.dumps(DEFINITION))
    return convert(folder, folder / "d.toml", folder / "out", progress=lines.append), lines


def test_the_terminal_names_what_some_records_lack(prepared):
    lines = prepared[1]
    assert "Channel C3-M2 is taken from C3 - M2 in 1 of 6 records (b); C3 - A2 in 1 of 6 records (c)." in lines
    assert "Missing in 2 of 6 records (e, f): C3-M2." in lines
    assert "Channel ECG is taken from EKG in 1 of 6 records (e)." in lines
    assert "Without a usable window in 1 of 6 records (d): ECG." in lines
    assert "Label stage: no window has one in 1 of 6 records (e)." in lines
    assert "Label stage: no window of any record is of the class N1." in lines


def test_a_dry_run_and_inspect_say_it_too(prepared, tmp_path, capsys):
    folder = prepared[0].folder.parent
    lines = plan(folder, folder / "d.toml", tmp_path)
    assert "Missing in 2 of 6 records (e, f): C3-M2." in lines
    assert "Channel ECG is taken from EKG in 1 of 6 records (e)." in lines
    assert "Not asked for: C3 (1)." in lines
    inspect.main([str(folder), "--dataset", str(folder / "d.toml")])
    lines = capsys.readouterr().out.splitlines()
    assert "Missing in 2 of 6 records (e, f): C3-M2." in lines
    assert "Without a usable window in 1 of 6 records (d): ECG." in lines


def test_the_report_says_of_each_source_which_records_have_it(prepared):
    manifest = prepared[0]
    lines = "\n".join(page(manifest, **summary(manifest))).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert ["eeg", "C3-M2", "C3-M2", "2", "a, d"] in rows
    assert ["eeg", "C3-M2", "C3 - A2", "1", "c"] in rows
    assert ["eeg", "C3-M2", "missing", "2", "e, f"] in rows
    assert ["ecg", "ECG", "ECG", "5", "a, b, c and 2 more"] in rows
    assert "- Missing in 2 of 6 records (e, f): C3-M2" in lines


def test_names_are_listed_up_to_three():
    assert first_few(["a", "b", "c"]) == "a, b, c"
    assert first_few(list("abcdef")) == "a, b, c and 3 more"
