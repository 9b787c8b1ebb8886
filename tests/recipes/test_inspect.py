import shutil

import numpy as np
import pytest
from PIL import Image

from physiokeras.errors import DataError
from physiokeras.figures import recording as recordings
from physiokeras.pipelines import Definition, convert
from physiokeras.pipelines.simulation.simulator import simulate
from physiokeras.recipes import inspect
from tests import edf_bytes

pytestmark = pytest.mark.once

TOML = """
name = "other"
records = "**/*.hea"
window = 30
[modalities.eeg]
rate = 100
bandpass = [0.3, 35.0]
unit = "uV"
channels = [{ name = "C3-A2", alias = ["C3-M2"] }]
[modalities.pulse]
rate = 50
channels = ["Pleth"]
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("inspected"), 2, hours=0.1, seed=5, progress=False)


def test_a_table_is_no_recording(tmp_path):
    (tmp_path / "labels.csv").write_text("record,stage\n")
    with pytest.raises(DataError, match=r"labels.csv: is a table, no recording. Give its folder"):
        inspect.main([str(tmp_path / "labels.csv")])


@pytest.fixture
def record(source, tmp_path):
    """The header of a record in a copy of the data set."""
    shutil.copytree(source, tmp_path / "copy")
    return sorted((tmp_path / "copy").glob("**/*.hea"))[1]


def run(capsys, *arguments):
    status = inspect.main([str(argument) for argument in arguments])
    return status, capsys.readouterr().out


def test_a_good_record_is_described_channel_by_channel(record, capsys):
    status, text = run(capsys, record, "--dataset", "simulated")
    assert status == 0
    assert "0.10 h, 13 channels, 12 windows of 30 s" in text
    line = next(line for line in text.splitlines() if line.startswith("ecg"))
    assert line.split()[1:4] == ["ECG", "200", "mV"]
    assert line.split()[-3:] == ["0.0%", "0.0%", "100.0%"]
    assert "Label stage: " in text
    assert "Label age: 12 known" in text
    assert "Verdict: " in text


def test_another_device_is_told_what_is_missing_and_which_alias_was_used(record, tmp_path, capsys):
    (tmp_path / "other.toml").write_text(TOML)
    status, text = run(capsys, record, "--dataset", tmp_path / "other.toml")
    assert status == 0
    eeg = next(line for line in text.splitlines() if line.startswith("eeg"))
    assert eeg.split()[1:3] == ["C3-A2", "C3-M2"]
    assert "Look at: pulse is absent: none of its names is in the header" in text
    assert "In the file, not in the definition: F3-M2, " in text
    assert "Verdict: doubtful: pulse is absent" in text.splitlines()[-1]


def test_a_gain_that_is_a_thousand_times_wrong_is_doubted(record, capsys):
    record.write_text(record.read_text().replace("1/uV 16 0", "1000/uV 16 0"))
    _, text = run(capsys, record, "--dataset", "simulated")
    assert "Look at: C3-M2: implausible amplitude: interquartile range" in text


def test_a_contradicted_record_is_unusable_and_still_described(record, capsys):
    data = bytearray(record.with_suffix(".mat").read_bytes())
    data[5000] ^= 1
    record.with_suffix(".mat").write_bytes(data)
    status, text = run(capsys, record, "--dataset", "simulated")
    assert status == 1
    assert "Verdict: unusable: " in text
    assert "checksum must be" in text.splitlines()[-1]
    assert any(line.startswith("ecg") for line in text.splitlines())


def test_a_folder_is_a_line_a_record(record, capsys):
    record.with_suffix(".mat").write_bytes(b"")
    folder = record.parents[2]
    status, text = run(capsys, "--source", folder, "--dataset", "simulated")
    assert status == 1
    lines = text.splitlines()
    assert len(lines) == 2
    assert any(line.startswith(f"{record.stem}: unusable: ") for line in lines)
    assert run(capsys, folder, "--dataset", "simulated", "--limit", 1)[1].startswith("1 of 2 records")


def test_a_folder_without_the_table_of_people_is_read_without_ages(record, capsys):
    (record.parents[2] / "age-sex.csv").unlink()
    status, text = run(capsys, record, "--dataset", "simulated")
    assert status == 0
    assert "Label age" not in text


def test_the_figure_shows_every_channel(record, tmp_path, capsys):
    (tmp_path / "other.toml").write_text(TOML)
    for dataset in ("simulated", tmp_path / "other.toml"):
        run(capsys, record, "--dataset", dataset, "--figure", tmp_path / "f.png")
        picture = np.asarray(Image.open(tmp_path / "f.png").convert("L"))
        assert picture.shape[1] > 1000
        assert 0.01 < (picture < 128).mean() < 0.5


def test_the_figure_is_in_the_units_of_the_definition(record, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("physiokeras.figures.style.save", lambda *_: None)
    drawn = []
    monkeypatch.setattr(recordings, "recording", lambda pieces, *_, **__: drawn.append(pieces))
    (tmp_path / "in_mv.toml").write_text(TOML.replace('unit = "uV"', 'unit = "mV"'))
    (tmp_path / "in_uv.toml").write_text(TOML)
    for name in ("in_uv", "in_mv"):
        run(capsys, record, "--dataset", tmp_path / f"{name}.toml", "--figure", tmp_path / "f.png")
    (micro, *_), (milli, *_) = (pieces.items() for pieces in drawn)
    assert (micro[0][-2:], milli[0][-2:]) == ("µV", "mV")
    np.testing.assert_allclose(milli[1] * 1000, micro[1], rtol=1e-5)


def test_a_folder_of_something_else_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no record matches"):
        inspect.main([str(tmp_path), "--dataset", "simulated"])


def sleep_edf(folder):
    """Two nights of one person and one of another, with hypnograms, a table and what cannot be read."""
    for name, score in (("AB101E0-PSG", "AB101EC-Hypnogram"), ("AB102E0-PSG", "AB102EH-Hypnogram"),
                        ("AB201E0-PSG", "AB201EC-Hypnogram")):  # fmt: skip
        rates = {"EEG Fpz-Cz": 100, "EOG horizontal": 100, "EMG submental": 1, "Event marker": 1}
        seed = int(name[2:5])
        channels = [edf_bytes.channel(label, rate, seed=seed + n) for n, (label, rate) in enumerate(rates.items())]
        channels += [edf_bytes.channel("Resp", 10)] * 2
        edf_bytes.write(folder / f"{name}.edf", channels, recording="Startdate 24-APR-1989 X X X", date="24.04.89")
        marks = [(30 * place, 30, f"Sleep stage {stage}") for place, stage in enumerate("WW1234R??")]
        edf_bytes.write_scores(folder / f"{score}.edf", [*marks, (275, 5, "Lights on")], date="24.04.89",
                               recording="Startdate 24-APR-1989 X X X")  # fmt: skip
    (folder / "bad.edf").write_bytes(b"0       " + b"x" * 300)
    (folder / "list.csv").write_text("name,sex,bmi\nAB101E0-PSG,F,21.5\nAB102E0-PSG,F,22\nAB201E0-PSG,M,30\n")
    (folder / "notes.docx").write_bytes(b"PK")
    return folder


def test_a_folder_without_a_definition_is_listed_whatever_is_bad_there(tmp_path, capsys):
    status, text = run(capsys, sleep_edf(tmp_path))
    assert status == 1
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert f"{tmp_path}: 3 recordings (3 .edf)." in lines
    assert "Files that are no recordings, scores or tables: 1 .docx." in lines
    assert any(line.startswith("bad.edf: ") for line in lines)
    assert "Starts: 1989-04-24 22:00:00 to 1989-04-24 22:00:00." in lines
    assert "EEG Fpz-Cz 3 of 3 100 uV eeg" in lines
    assert "EMG submental 3 of 3 1 uV emg" in lines
    assert "Event marker 3 of 3 1 uV -" in lines
    assert "Scores {record:.6}*-Hypnogram.edf: of 3 of 3 recordings, 30 marks:" in lines
    assert "6 x 'Sleep stage W' in 3 files" in lines
    assert "Table list.csv: 3 rows; columns name, sex, bmi; its column 'name' names recordings." in lines


def test_a_draft_loads_and_converts_the_folder(tmp_path, capsys):
    folder, path = sleep_edf(tmp_path), tmp_path / "mine.toml"
    run(capsys, folder, "--draft", path)
    definition = Definition.read(path)
    assert {name: (m.rate, m.bandpass) for name, m in definition.modalities.items()} == {
        "eog": (100, (0.3, 35)), "emg": (1, None), "eeg": (100, (0.3, 35))}  # fmt: skip
    assert definition.person is None
    text = path.read_text()
    assert all("GUESS" in text.split(f"[modalities.{name}]")[0].splitlines()[-1] for name in definition.modalities)
    assert '#   "Event marker", in 3 of 3 recordings, 1 Hz, uV' in text
    assert '#   "Resp", in 3 of 3 recordings, 10 Hz, uV' in text
    assert 'labels.sex = { kind = "class", table = "list.csv", key = "name" }' in text
    (folder / "bad.edf").unlink()
    manifest = convert(folder, path, tmp_path / "out", progress=None)
    assert not manifest.problems
    assert len(manifest.records) == 3
    # W, W, 1, 2, 3, 4, R, ?, ?
    assert manifest.records[0].labels["stage"] == {"-1": 3, "0": 2, "1": 1, "2": 1, "3": 2, "4": 1}
    with pytest.raises(DataError, match="exists already"):
        run(capsys, folder, "--draft", path)


def nights(folder, scored, names):
    """Nights of 300 s of one channel; those of the names in `scored` with hypnograms of every stage."""
    for seed, name in enumerate(names):
        edf_bytes.write(folder / f"{name}.edf", [edf_bytes.channel("EEG Fpz-Cz", 100, seed=seed)])
        if name in scored:
            marks = [(30 * place, 30, f"Sleep stage {stage}") for place, stage in enumerate("WW1233RR22")]
            edf_bytes.write_scores(folder / f"{name}-Hypnogram.edf", marks)
    return folder


def test_a_draft_lets_recordings_without_scores_pretrain_only(tmp_path, capsys):
    folder = nights(tmp_path, ("n1", "n2", "n3"), ("n1", "n2", "n3", "n[4]"))
    run(capsys, folder, "--draft", folder / "mine.toml", "--figure", folder / "f.png")
    assert (folder / "f.png").exists()
    said = []
    manifest = convert(folder, folder / "mine.toml", tmp_path / "out", progress=said.append)
    assert [r.name for r in manifest.records if r.split == "pretrain"] == ["n[4]"]
    assert not any("no window of the split" in line for line in said)
    status, text = run(capsys, folder / "n[4].edf", "--dataset", folder / "mine.toml")
    assert status == 0
    assert "without the label stage" in text
    assert text.endswith("Verdict: good\n")


def test_a_draft_divides_nobody(tmp_path, capsys):
    nights(tmp_path, ("A_1",), ("A_1", "A_2", "B_1", "B_2"))
    run(capsys, tmp_path, "--draft", tmp_path / "mine.toml")
    assert Definition.read(tmp_path / "mine.toml").split.pretrain == ("B_1", "B_2")
    text = (tmp_path / "mine.toml").read_text()
    assert '# Without scores, of people who have some in other recordings: "A_2".' in text
    convert(tmp_path, tmp_path / "mine.toml", tmp_path / "out", progress=None)


def test_the_figure_of_an_unscored_recording_has_no_panel_of_labels(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("physiokeras.figures.style.save", lambda *_: None)
    drawn = []
    monkeypatch.setattr(recordings, "recording", lambda _, labels, **__: drawn.append(list(labels)))
    nights(tmp_path, ("n1",), ("n1", "n2"))
    run(capsys, tmp_path, "--draft", tmp_path / "mine.toml")
    for name in ("n1", "n2"):
        run(capsys, tmp_path / f"{name}.edf", "--dataset", tmp_path / "mine.toml", "--figure", tmp_path / "f.png")
    assert drawn == [["stage"], []]


def test_a_draft_of_wfdb_with_annotations_finds_them(source, tmp_path, capsys):
    status, text = run(capsys, source, "--draft", tmp_path / "mine.toml")
    assert status == 0
    assert "Scores {record}.arousal: of 2 of 2 recordings" in text
    manifest = convert(source, tmp_path / "mine.toml", tmp_path / "out", progress=None)
    assert not manifest.problems
    expected = convert(source, "simulated", tmp_path / "expected", progress=None)
    found = [dict(record.labels["stage"]) for record in manifest.records]
    assert [sum(counts.values()) for counts in found] == [sum(r.labels["stage"].values()) for r in expected.records]
    assert manifest.labels["stage"]["classes"] == expected.labels["stage"]["classes"]


def test_settings_that_contradict_each_other_are_refused(tmp_path, capsys):
    for arguments in (["--figure", "x.png"], ["--draft", "x.toml", "--dataset", "simulated"]):
        with pytest.raises(SystemExit):
            inspect.main([str(tmp_path), *arguments])
        assert "--dataset" in capsys.readouterr().err
    with pytest.raises(DataError, match="must hold recordings"):
        inspect.main([str(tmp_path)])
