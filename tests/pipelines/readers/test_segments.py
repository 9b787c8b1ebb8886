import numpy as np
import pytest
import wfdb

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.record_list import find_records
from physiokeras.pipelines.converting.sources import source_files
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.readers.records import read_header, read_signal

ECG = np.arange(1, 121, dtype="<i2")
RESP = np.arange(1000, 1240, dtype="<i2")
DEFINITION = Definition.from_dict({"name": "x", "modalities": {"a": {"rate": 1, "channels": ["ECG"]}}})


def segment(folder, name, ecg=None, resp=None, gain="200/mV"):
    """Write a record of ECG at 10 Hz and RESP at 20 Hz, either of which may be left out."""
    frames = len(ecg) if ecg is not None else len(resp) // 2
    parts = [part.reshape(frames, -1) for part in (ecg, resp) if part is not None]
    (folder / f"{name}.dat").write_bytes(np.concatenate(parts, 1).astype("<i2").tobytes())
    lines = [f"{name} {len(parts)} 10 {frames}"]
    if ecg is not None:
        lines.append(f"{name}.dat 16 {gain} 16 0 {ecg[0]} {ecg.sum() % 65536} 0 ECG")
    if resp is not None:
        lines.append(f"{name}.dat 16x2 50/NU 16 0 {resp[0]} {resp.sum() % 65536} 0 RESP")
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")


@pytest.fixture
def variable(tmp_path):
    """100 frames: 30 of ECG, 20 of nothing, 50 of RESP and of ECG in microvolts."""
    segment(tmp_path, "m_1", ECG[:30])
    segment(tmp_path, "m_2", ECG[50:100], RESP[100:200], gain="0.2/uV")
    (tmp_path / "m_layout.hea").write_text("m_layout 2 10 0\n~ 0x2 50/NU 16 0 0 0 0 RESP\n~ 0 200/mV 16 0 0 0 0 ECG\n")
    (tmp_path / "m.hea").write_text("m/4 2 10 100\nm_layout 0\nm_1 30\n~ 20\nm_2 50\n")
    return tmp_path / "m.hea"


@pytest.fixture
def fixed(tmp_path):
    segment(tmp_path, "m_1", ECG[:30], RESP[:60])
    segment(tmp_path, "m_2", ECG[30:100], RESP[60:200])
    (tmp_path / "m.hea").write_text("m/2 2 10 100\nm_1 30\nm_2 70\n")
    return tmp_path / "m.hea"


def test_what_a_segment_lacks_is_missing(variable):
    header = read_header(variable)
    assert ([signal.name for signal in header.signals], header.seconds) == (["RESP", "ECG"], 10)
    assert header.notes == ("m: 2 segments, 2 s between them without samples",)
    resp, ecg = (read_signal(header, index) for index in range(2))
    np.testing.assert_allclose(ecg, [*ECG[:30] / 200, *[np.nan] * 20, *ECG[50:100] / 200], rtol=1e-6)
    np.testing.assert_allclose(resp, [*[np.nan] * 100, *RESP[100:200] / 50], rtol=1e-6)


def test_fixed_segments_are_read_as_wfdb_reads_them(fixed):
    header, record = read_header(fixed), wfdb.rdrecord(str(fixed.with_suffix("")), smooth_frames=False)
    for index, wanted in enumerate((ECG[:100] / 200, RESP[:200] / 50)):
        np.testing.assert_allclose(read_signal(header, index), wanted, rtol=1e-6)
        np.testing.assert_allclose(record.e_p_signal[index], wanted, rtol=1e-6)


def test_segments_belong_to_their_record_and_are_no_records(variable):
    segment(variable.parent, "other", ECG)
    assert [path.stem for path in find_records(variable.parent, DEFINITION)] == ["m", "other"]
    names = ["m.hea", "m_layout.hea", "m_1.hea", "m_1.dat", "m_2.hea", "m_2.dat"]
    assert [path.name for path in source_files(variable, DEFINITION)] == names
    variable.write_text("m/1 2 10\nn 100\n")
    variable.with_name("n.hea").write_text("n/1 2 10\nm 100\n")
    found = [path.stem for path in find_records(variable.parent, DEFINITION)]
    assert {"m", "n"} <= set(found)  # each claims the other: both stay, and both are refused


def edit(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


FAULTS = {
    "count of segments": (edit("m.hea", "m/4", "m/3"), "m.hea.*announces 3 segments and lists 4"),
    "10^9 segments": (edit("m.hea", "m/4", "m/1000000000"), "announces 1000000000 segments"),
    "no segments": (edit("m.hea", "m/4", "m/0"), "at least 1"),
    "count of signals": (edit("m.hea", " 2 10", " 3 10"), "announces 3 signals"),
    "sum of segments": (edit("m.hea", " 100\n", " 90\n"), "as many samples as its segments, 100. Received: 90"),
    "length of a segment": (
        edit("m.hea", "100\nm_layout 0\nm_1 30", "99\nm_layout 0\nm_1 29"),
        "line 3: m_1 must have",
    ),
    "rate of a segment": (edit("m_2.hea", "2 10 50", "2 20 50"), "line 5: m_2 must have 50 frames at 10 Hz"),
    "rate of the layout": (edit("m_layout.hea", "2 10 0", "2 20 0"), "a layout must be m_layout"),
    "layout of another name": (edit("m_layout.hea", "m_layout 2", "n_layout 2"), "a layout must be m_layout"),
    "layout with files": (edit("m_layout.hea", "~ 0 ", "m_1.dat 16 "), "format must be one of 0"),
    "segment without samples": (edit("m.hea", "m_2 50", "m_2 0"), "at least one sample"),
    "gap negative": (edit("m.hea", "~ 20", "~ -20"), "at least one sample"),
    "gap of 10^12": (
        edit("m.hea", "100\nm_layout 0\nm_1 30\n~ 20", "0\nm_layout 0\nm_1 30\n~ 999999999999"),
        "times as",
    ),
    "gaps alone": (edit("m.hea", "m/4 2 10 100\nm_layout 0\nm_1 30\n~ 20\nm_2 50", "m/1 2 10 9\n~ 9"), "with samples"),
    "header missing": (lambda folder: (folder / "m_2.hea").unlink(), "m_2.hea: must be a readable file"),
    "signal file cut": (lambda folder: (folder / "m_1.dat").write_bytes(b"ab"), "m_1.dat must have 60 bytes"),
    "path climbs": (edit("m.hea", "m_2 50", "../m_2 50"), "line 5: must give a segment's name"),
    "refers to itself": (edit("m.hea", "m_2 50", "m 50"), "must be a record of one piece"),
    "within another": (lambda folder: (folder / "m_2.hea").write_text("m_2/1 1 10 50\nm_1 50\n"), "of one piece"),
    "signal outside the layout": (edit("m_2.hea", "RESP", "ABP"), "must stand in the layout.*Received: ABP"),
    "signal twice": (edit("m_2.hea", "RESP", "ECG"), "once in the segment"),
    "samples per frame": (edit("m_layout.hea", "0x2", "0x3"), "RESP must have 3 samples per frame"),
    "line with a path": (edit("m.hea", "m_2 50", "m_2 50 9"), "must give a segment's name and its number"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_segments_are_refused_before_they_are_read(variable, fault):
    *damages, words = FAULTS[fault]
    for damage in damages:
        damage(variable.parent)
    with pytest.raises(DataError, match=words):
        read_header(variable)


def test_segments_of_a_fixed_layout_have_the_same_signals(fixed):
    edit("m_2.hea", "RESP", "ABP")(fixed.parent)
    with pytest.raises(DataError, match="line 3: m_2 must have the signals of the first segment, ECG, RESP"):
        read_header(fixed)


def test_faults_of_samples_name_the_segment(variable):
    edit("m_2.hea", "0.2/uV", "0.2/degC")(variable.parent)
    with pytest.raises(DataError, match=r"m_2\.hea: channel ECG: its unit is 'degC'"):
        read_signal(read_header(variable), 1)
    edit("m_1.hea", " 0 1 ", " 0 7 ")(variable.parent)
    with pytest.raises(DataError, match=r"m_1\.hea: channel ECG: the first sample must be 7"):
        read_signal(read_header(variable), 1)


def test_mutated_headers_raise_our_error_alone(variable):
    rng, good, errors = np.random.default_rng(0), variable.read_bytes(), 0
    for _ in range(300):
        data = bytearray(good)
        for place in rng.integers(len(data), size=rng.integers(1, 3)):
            data[place] = rng.integers(256)
        variable.write_bytes(data)
        try:
            header = read_header(variable)
            assert [len(read_signal(header, index)) for index in range(2)] == [2 * header.frames, header.frames]
        except DataError:
            errors += 1
    assert 150 < errors < 300
