from datetime import datetime

import edf_bytes
import pytest

from physiokeras.pipelines.clock import start_of


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


def test_start_of_edf_is_that_of_its_header(tmp_path):
    options = {"date": "03.12.20", "time": "22.15.07", "recording": "Startdate 03-DEC-2020 X X X"}
    edf_bytes.write(tmp_path / "a.edf", [edf_bytes.channel(seconds=2)], **options)
    assert start_of(tmp_path / "a.edf") == datetime(2020, 12, 3, 22, 15, 7)
    edf_bytes.write(tmp_path / "b.edf", [edf_bytes.channel(seconds=2)], time="22.99.00")
    assert start_of(tmp_path / "b.edf") is None
