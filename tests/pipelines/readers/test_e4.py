"""Exports of an E4: samples at their times, and what is refused."""

import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines import convert
from physiokeras.pipelines.inspecting.draft import write_draft
from physiokeras.pipelines.inspecting.folder import look
from physiokeras.pipelines.inspecting.folder_text import describe_folder
from physiokeras.pipelines.readers.records import read_header, read_signal

RATES = {"ACC": (32, 3), "BVP": (64, 1), "EDA": (4, 1), "TEMP": (4, 1)}


def write(folder, *, seconds=60, late=0, start="1495437325.000000"):
    """An export of 60 s; its EDA begins `late` seconds after the rest. Returns its numbers by file."""
    folder.mkdir(parents=True, exist_ok=True)
    random, wrote = np.random.default_rng(sum(folder.name.encode())), {}
    for name, (rate, columns) in RATES.items():
        first = f"{float(start) + late:.6f}" if late and name == "EDA" else start
        wrote[name] = random.integers(-64, 64, (rate * seconds, columns)).astype(float)
        rows = [[first] * columns, [f"{rate:.6f}"] * columns, *wrote[name].tolist()]
        (folder / f"{name}.csv").write_text("".join(", ".join(map(str, row)) + "\n" for row in rows))
    return wrote


def read(folder, name):
    header = read_header(folder)
    return read_signal(header, [signal.name for signal in header.signals].index(name))


def test_each_channel_has_its_numbers_at_its_rate_and_unit(tmp_path):
    wrote = write(tmp_path / "S2")
    header = read_header(tmp_path / "S2")
    assert (header.name, header.seconds) == ("S2", 60)
    found = {signal.name: (signal.rate, signal.unit) for signal in header.signals}
    assert found == {
        **{f"ACC-{axis}": (32, "g") for axis in "XYZ"},
        "BVP": (64, "NU"),
        "EDA": (4, "uS"),
        "TEMP": (4, "degC"),
    }
    np.testing.assert_allclose(read(tmp_path / "S2", "ACC-Y"), wrote["ACC"][:, 1] / 64)
    np.testing.assert_allclose(read(tmp_path / "S2", "BVP"), wrote["BVP"][:, 0])


def test_a_file_that_begins_later_lies_at_its_time(tmp_path):
    wrote = write(tmp_path / "S2", late=2.5)
    values = read(tmp_path / "S2", "EDA")
    assert read_header(tmp_path / "S2").seconds == 62
    assert np.isnan(values[:10]).all()
    np.testing.assert_allclose(values[10:], wrote["EDA"][: 62 * 4 - 10, 0])
    assert np.isnan(read(tmp_path / "S2", "BVP")[60 * 64 :]).all()


def test_a_start_in_words_is_read(tmp_path):
    write(tmp_path / "S2", start="2013-02-20 17:55:19")
    assert read_header(tmp_path / "S2").seconds == 60


@pytest.mark.parametrize(
    ("line", "text", "fault"), [(0, "", "start"), (0, "1.54403E+09", "start"), (1, "4.5", "rate"), (1, "0", "rate")]
)
def test_a_damaged_file_is_a_fault_of_its_channel_alone(tmp_path, line, text, fault):
    write(tmp_path / "S2")
    path = tmp_path / "S2" / "EDA.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:line], text, *lines[line + 1 :]]))
    header = read_header(tmp_path / "S2")
    assert [fault in (signal.fault or "") for signal in header.signals if signal.name == "EDA"] == [True]
    with pytest.raises(DataError, match=r"EDA\.csv"):
        read(tmp_path / "S2", "EDA")
    assert np.isfinite(read(tmp_path / "S2", "BVP")).all()


@pytest.mark.parametrize(("text", "place"), [("x", "line 8"), ("1,2", "line 8"), ("", None)])
def test_a_line_that_is_no_sample_is_named(tmp_path, text, place):
    write(tmp_path / "S2")
    path = tmp_path / "S2" / "TEMP.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:7], text, *lines[8:]]) + "\n")
    with pytest.raises(DataError, match=r"TEMP\.csv") as error:
        read(tmp_path / "S2", "TEMP")
    assert error.value.place == place


def test_a_folder_that_is_no_export_is_refused(tmp_path):
    (tmp_path / "S2").mkdir()
    with pytest.raises(DataError, match="must be an E4's"):
        read_header(tmp_path / "S2")


def test_files_of_two_sessions_are_refused(tmp_path):
    write(tmp_path / "S2", late=7200)
    with pytest.raises(DataError, match="begins 7200 s after"):
        read_header(tmp_path / "S2")


def test_folders_are_listed_drafted_and_converted(tmp_path):
    for name in ("S2", "S3"):
        write(tmp_path / "in" / name, seconds=90)
        (tmp_path / "in" / name / "tags.csv").write_text("1495437330.0\n")
    found = look(tmp_path / "in")
    assert "2 recordings (2 folders of an E4)" in next(iter(describe_folder(found)))
    assert not found.tables
    write_draft(found, tmp_path / "draft.toml")
    manifest = convert(tmp_path / "in", tmp_path / "draft.toml", tmp_path / "out", progress=None)
    assert {record.name: record.windows for record in manifest.records} == {"S2": 3, "S3": 3}
