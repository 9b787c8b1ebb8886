from datetime import UTC, datetime

import edf_bytes
import mne
import numpy as np
import pytest

from physiokeras.pipelines.readers.clock import file_start, raw_start, start_of
from physiokeras.pipelines.readers.records import read_header
from physiokeras.pipelines.scores.score_clock import onsets_of_clock


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("1 200 100 22:15:07", datetime(1985, 1, 1, 22, 15, 7)),
        ("1 200 100 22:15:07.25 03/12/2020", datetime(2020, 12, 3, 22, 15, 7)),
        ("1 200 100 15:07 03/12/2020", datetime(2020, 12, 3, 0, 15, 7)),
        ("1 200 100", None),
        ("1 200 100 25:00:00", None),
        ("1 200 100 22:15:07 31/02/2020", None),
    ],
)
def test_start_of_wfdb_records_is_base_time_and_date(tmp_path, fields, expected):
    (tmp_path / "a.hea").write_text(f"a {fields}\na.dat 16 200 16 0 0 0 0 EEG\n")
    assert start_of(tmp_path / "a.hea") == expected


def test_scores_at_times_of_day_are_placed_on_wfdb(tmp_path):
    (tmp_path / "a.hea").write_text("a 1 200 6000 23:59:50.5 03/12/2020\na.dat 16 200 16 0 0 0 0 EEG\n")
    header = read_header(tmp_path / "a.hea", check_files=False)
    for text in ("00:00:00.5", "2020-12-04 00:00:00.5"):
        assert onsets_of_clock([text], header, tmp_path / "s.csv", ["line 2"], "clock") == pytest.approx([10.0])


def test_start_of_edf_is_that_of_its_header(tmp_path):
    options = {"date": "03.12.20", "time": "22.15.07", "recording": "Startdate 03-DEC-2020 X X X"}
    edf_bytes.write(tmp_path / "a.edf", [edf_bytes.channel(seconds=2)], **options)
    assert start_of(tmp_path / "a.edf") == datetime(2020, 12, 3, 22, 15, 7)
    edf_bytes.write(tmp_path / "b.edf", [edf_bytes.channel(seconds=2)], time="22.99.00")
    assert start_of(tmp_path / "b.edf") is None


def test_parts_of_a_second_and_crops_of_mne_move_the_first_sample(tmp_path):
    raw = mne.io.RawArray(np.zeros((1, 9000)), mne.create_info(["EEG"], 100.0, "eeg"), verbose=False)
    raw.set_meas_date(datetime(2020, 12, 3, 22, 15, 7, 900_000, tzinfo=UTC)).crop(30)
    raw.save(tmp_path / "a_raw.fif", verbose=False)
    for start in (raw_start(raw), file_start(tmp_path / "a_raw.fif")):
        assert start.moment == datetime(2020, 12, 3, 22, 15, 7)
        assert start.first == pytest.approx(30.9)
    assert start_of(tmp_path / "a_raw.fif") == datetime(2020, 12, 3, 22, 15, 37)
    header, path = read_header(tmp_path / "a_raw.fif"), tmp_path / "scores.csv"
    for text in ("22:15:47.9", "2020-12-03 22:15:47.9"):
        assert onsets_of_clock([text], header, path, ["line 2"], "clock") == pytest.approx([10.0])


def test_start_of_bdf_is_that_of_its_header(tmp_path):
    edf_bytes.write(tmp_path / "a.bdf", [edf_bytes.channel(seconds=2)], date="03.12.20", time="22.15.07")
    assert start_of(tmp_path / "a.bdf") == datetime(2020, 12, 3, 22, 15, 7)
