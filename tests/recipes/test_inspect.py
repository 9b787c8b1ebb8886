import shutil

import numpy as np
import pytest
from PIL import Image

from physiokeras.errors import DataError
from physiokeras.pipelines.simulation.simulator import simulate
from physiokeras.recipes import inspect

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
    assert text.endswith("Verdict: doubtful\n")


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


def test_a_folder_of_something_else_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no record matches"):
        inspect.main([str(tmp_path), "--dataset", "simulated"])
