import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import wfdb

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.record_list import find_records
from physiokeras.pipelines.definitions.definition import Channel, Definition
from physiokeras.pipelines.readers import sample_formats
from physiokeras.pipelines.readers.records import read_digital, read_header, read_signal

SAMPLES = np.arange(-100, 200, dtype="<i2").reshape(100, 3)
"""100 frames: one sample of "ECG", two of "µ-motion"."""

HEADER = f"""\
# a comment
rec 2 10 100

rec.dat 16 200(5)/mV 16 0 {SAMPLES[0, 0]} {SAMPLES[:, 0].sum()} 0 ECG
# another
rec.dat 16x2 50/NU 16 0 {SAMPLES[0, 1]} {SAMPLES[:, 1:].sum()} 0 Motion X
"""


@pytest.fixture
def record(tmp_path):
    """Path of the header of a good record."""
    (tmp_path / "rec.dat").write_bytes(SAMPLES.tobytes())
    (tmp_path / "rec.hea").write_text(HEADER)
    return tmp_path / "rec.hea"


def matlab(folder, numbers=(30, 3, 100, 0, 4), offset="+24"):
    (folder / "rec.mat").write_bytes(np.array(numbers, "<i4").tobytes() + b"val\0" + SAMPLES.tobytes())
    (folder / "rec.hea").write_text(HEADER.replace("rec.dat 16", "rec.mat 16").replace(" 16", f" 16{offset}", 1))
    text = (folder / "rec.hea").read_text().replace(" 16x2 ", f" 16x2{offset} ")
    (folder / "rec.hea").write_text(text)
    return folder / "rec.hea"


def test_good_record_is_read_in_physical_units(record):
    header = read_header(record)
    assert (header.name, header.rate, header.frames, header.seconds) == ("rec", 10, 100, 10)
    assert [signal.rate for signal in header.signals] == [10, 20]
    np.testing.assert_allclose(read_signal(header, 0), (SAMPLES[:, 0] - 5) / 200, rtol=1e-6)
    np.testing.assert_allclose(read_signal(header, 1), SAMPLES[:, 1:].reshape(-1) / 50, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "unit"),
    [
        (lambda data: b"\xef\xbb\xbf" + data, "mV"),
        (lambda data: data.replace(b"\n", b"\r\n"), "mV"),
        (lambda data: b"\n\n# x\n" + data.replace(b"\n", b"\n\n#\xff\xfe\n"), "mV"),
        (lambda data: data.replace(b"mV", "µV".encode()), "uV"),
        (lambda data: data.replace(b"mV", "μV".encode()), "uV"),
        (lambda data: data.replace(b"mV", b"\xb5V"), "uV"),
        (lambda data: data.replace(b"mV", b"%"), "%"),
        (lambda data: data.replace(b"/mV", b""), "mV"),
        (lambda data: data.replace(b"rec 2 10 100", b"rec 2 10/10(0) 100 12:00:00 01/01/2000"), "mV"),
        (lambda data: data.replace(b"rec 2 10 100", b"rec 2 10"), "mV"),
    ],
    ids=["BOM", "CRLF", "comments", "micro", "Greek mu", "Latin-1", "percent", "no unit", "times", "no length"],
)
def test_harmless_variation_is_accepted(record, change, unit):
    record.write_bytes(change(record.read_bytes()))
    header = read_header(record)
    assert header.signals[0].unit == unit
    assert header.frames == 100
    assert len(read_signal(header, 1)) == 200


def replaced(old, new):
    """Edit the header's text once."""

    def edit(path):
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))

    return edit


def content(name, change):
    """Edit the bytes of a file beside the header."""
    return lambda path: (path.parent / name).write_bytes(change((path.parent / name).read_bytes()))


def linked_out(path):
    outside = path.parent.parent / "outside.dat"
    outside.write_bytes(SAMPLES.tobytes())
    (path.parent / "rec.dat").unlink()
    (path.parent / "rec.dat").symlink_to(outside)


def header_linked_out(path):
    path.rename(path.parent.parent / "outside.hea")
    path.symlink_to(path.parent.parent / "outside.hea")


def of_another(path):
    (path.parent / "other.dat").write_bytes(SAMPLES.tobytes())
    (path.parent / "other.hea").write_text(HEADER.replace("rec", "other"))
    path.write_text(HEADER.replace("rec.dat", "other.dat"))


def as_folder(path):
    (path.parent / "rec.dat").unlink()
    (path.parent / "rec.dat").mkdir()


def to_matlab(**options):
    return lambda path: matlab(path.parent, **options)


FAULTS = {
    "cut by one byte": (content("rec.dat", lambda data: data[:-1]), "must have 600 bytes.*Received: 599"),
    "cut by half": (content("rec.dat", lambda data: data[:300]), "must have 600 bytes.*Received: 300"),
    "longer by one byte": (content("rec.dat", lambda data: data + b"\0"), "Received: 601"),
    "longer by a frame": (content("rec.dat", lambda data: data + data[:6]), "Received: 606"),
    "empty signal file": (content("rec.dat", lambda data: b""), "Received: 0 bytes"),
    "no signal file": (lambda path: (path.parent / "rec.dat").unlink(), "readable file"),
    "signal file a folder": (as_folder, "readable file"),
    "one signal line too few": (replaced(b"rec 2", b"rec 3"), r"line 6: .*announces 3 signals and describes 2"),
    "one signal line too many": (replaced(b"rec 2", b"rec 1"), r"line 6: .*announces 1 signals and describes 2"),
    "no signals": (replaced(b"rec 2", b"rec 0"), "at least 1"),
    "10^12 samples": (replaced(b" 100\n", b" 1000000000000\n"), "must have 6000000000000 bytes"),
    "10^9 signals": (replaced(b"rec 2", b"rec 1000000000"), "announces 1000000000"),
    "10^9 samples a frame": (replaced(b"16x2", b"16x999999999"), "Received: 600 bytes"),
    "skew of 10^9": (replaced(b"16x2", b"16x2:999999999"), "skewed"),
    "5000 digits": (replaced(b" 100\n", b" " + b"9" * 5000 + b"\n"), "at most 18 digits"),
    "5000 digits of rate": (replaced(b"rec 2 10", b"rec 2 " + b"9" * 5000), "sampling rate"),
    "path climbs": (replaced(b"rec.dat", b"../rec.dat"), "plain name"),
    "absolute path": (replaced(b"rec.dat", b"/etc/passwd"), "plain name"),
    "backslash": (replaced(b"rec.dat", b"..\\rec.dat"), "plain name"),
    "URL": (replaced(b"rec.dat", b"http://example.org/rec.dat"), "plain name"),
    "standard input": (replaced(b"rec.dat", b"-"), "plain name"),
    "link out of the folder": (linked_out, "outside"),
    "header a link out of the folder": (header_linked_out, "outside"),
    "another record's file": (of_another, "belongs to the record other"),
    "gain zero": (replaced(b" 200(5)/mV", b" 0/mV"), "channel ECG: line 4: gain must be finite and not zero"),
    "gain 0.0(0)": (replaced(b" 200(5)/mV", b" 0.0(0)/mV"), "not zero"),
    "gain NaN": (replaced(b" 200(5)/mV", b" nan/mV"), "channel ECG.*finite"),
    "gain infinite": (replaced(b" 200(5)/mV", b" -Inf/mV"), "channel ECG.*finite"),
    "gain overflows": (replaced(b" 200(5)/mV", b" 1e999/mV"), "channel ECG.*finite"),
    "gain denormal": (replaced(b" 200(5)/mV", b" 1e-310/mV"), "channel ECG.*not zero"),
    "gain text": (replaced(b" 200(5)/mV", b" high"), "gain must look like"),
    "gain missing": (replaced(b" 200(5)/mV 16 0 -100 4850 0 ECG", b""), "file, format and gain"),
    "unknown format": (replaced(b"dat 16 ", b"dat 17 "), "format must be one of 8, 16, 24"),
    "compressed format": (replaced(b"dat 16 ", b"dat 516 "), "one format"),
    "mixed formats": (replaced(b"dat 16 ", b"dat 61 "), "one format"),
    "offset of one signal": (replaced(b"dat 16 ", b"dat 16+24 "), "one format and offset"),
    "offset missing": (to_matlab(offset=""), "Received: 624 bytes"),
    "offset beyond the file": (to_matlab(offset="+6000"), "must have 6600 bytes"),
    "MATLAB rows disagree": (to_matlab(numbers=(30, 100, 3, 0, 4)), "MATLAB header"),
    "MATLAB type disagrees": (to_matlab(numbers=(20, 3, 100, 0, 4)), "MATLAB header"),
    "MATLAB bytes swapped": (to_matlab(numbers=np.array([30, 3, 100, 0, 4], "<i4").byteswap()), "byte-swapped"),
    "empty header": (lambda path: path.write_bytes(b""), "empty header"),
    "blanks alone": (lambda path: path.write_bytes(b"\x1c\n"), "empty header"),
    "comments alone": (lambda path: path.write_bytes(b"# a\n\n# b\n"), "comments alone"),
    "NUL": (replaced(b"rec.dat", b"rec\0dat"), "line 4: .*NUL"),
    "UTF-16": (lambda path: path.write_text(HEADER, encoding="utf-16"), "line 1: .*UTF-16"),
    "UTF-16 without mark": (lambda path: path.write_text(HEADER, encoding="utf-16-le"), "line 1: .*NUL"),
    "unknown encoding": (replaced(b"Motion", b"M\xf6tion"), "line 6: .*0xf6"),
    "rate 0": (replaced(b"rec 2 10", b"rec 2 0"), "sampling rate .* above 0"),
    "rate negative": (replaced(b"rec 2 10", b"rec 2 -10"), "sampling rate"),
    "rate text": (replaced(b"rec 2 10", b"rec 2 nan"), "sampling rate"),
    "rate missing": (replaced(b"rec 2 10 100", b"rec 2"), "sampling rate"),
    "length negative": (replaced(b" 100\n", b" -100\n"), "not negative"),
    "samples a frame 0": (replaced(b"16x2", b"16x0"), "at least 1"),
    "multi-segment": (replaced(b"rec 2", b"rec/3 2"), "announces 3 segments and lists 2"),
    "refers to itself": (lambda path: path.write_text("rec/1 2 10 100\nrec 100\n"), "of one piece"),
    "name of another record": (replaced(b"rec 2", b"rex 2"), "must be the file's"),
    "name with a path": (replaced(b"rec 2", b"../rec 2"), "multi-segment|letters"),
    "header a folder": (lambda path: (path.unlink(), path.mkdir()), "readable file"),
    "header missing": (lambda path: path.unlink(), "readable file"),
}


def every_signal(path):
    header = read_header(path)
    return [header.usable(index) for index in range(len(header.signals))]


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_record_is_refused_before_it_is_read(record, fault):
    damage, words = FAULTS[fault]
    damage(record)
    with pytest.raises(DataError, match=words) as error:
        every_signal(record)
    assert error.value.file == record or error.value.file.name in ("rec.mat", "rec.dat")


def test_unreadable_signal_file_is_refused(record, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DataError, match="readable file"):
        read_header(record)


def test_mutated_headers_raise_our_error_alone(record):
    rng, good, errors = np.random.default_rng(0), HEADER.encode(), 0
    for _ in range(500):
        data = bytearray(good)
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            data[place] = rng.integers(256)
        record.write_bytes(data)
        try:
            header = read_header(record)
            assert [len(read_signal(header, index)) for index in range(2)] == [100, 200]
        except DataError:
            errors += 1
    assert 250 < errors < 500


def test_matlab_record_is_read(tmp_path):
    header = read_header(matlab(tmp_path))
    np.testing.assert_array_equal(read_digital(header, 0), SAMPLES[:, 0])


def test_absurd_headers_take_neither_time_nor_memory(record):
    record.with_name("long.hea").write_bytes(b"x" * 50_000_000)
    absurd = [FAULTS[name][0] for name in ("10^12 samples", "10^9 signals", "10^9 samples a frame", "5000 digits")]
    for number, damage in enumerate(absurd):
        record.write_text(HEADER)
        damage(record)
        record.with_name(f"{number}.hea").write_bytes(record.read_bytes().replace(b"rec ", b"%d " % number, 1))
    script = textwrap.dedent("""
        import sys, time
        from physiokeras.errors import DataError
        from physiokeras.pipelines.readers.records import read_header
        before = time.monotonic()
        for path in sys.argv[1:]:
            try:
                read_header(path)
                sys.exit(path)
            except DataError:
                pass
        assert time.monotonic() - before < 1
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        assert int(status["VmHWM"].split()[0]) < 150_000
    """)
    paths = [str(record.with_name(name)) for name in ("long.hea", "0.hea", "1.hea", "2.hea", "3.hea")]
    subprocess.run([sys.executable, "-c", script, *paths], check=True, timeout=60)


@pytest.mark.parametrize(("old", "words"), [(b" -100 ", "first sample"), (b" 4850 ", "checksum"), (b"rec", "both")])
def test_wrong_samples_are_an_error_or_a_line_of_the_report(record, old, words):
    if words == "both":
        (record.parent / "rec.dat").write_bytes((SAMPLES + np.int16(1)).tobytes())
    else:
        replaced(old, b" 7 ")(record)
    header = read_header(record)
    with pytest.raises(DataError, match=r"channel ECG: the (first sample|samples' checksum)"):
        read_signal(header, 0)
    report = []
    assert len(read_signal(header, 0, strict=False, report=report)) == 100
    assert len(report) == (2 if words == "both" else 1)
    assert words == "both" or words in report[0]


def test_a_signal_file_in_capitals_is_found(record):
    wanted = read_signal(read_header(record), 0)
    for path in list(record.parent.glob("rec.*")):
        path.rename(path.with_suffix(path.suffix.upper()))
    header = read_header(record.with_suffix(".HEA"))
    np.testing.assert_array_equal(read_signal(header, 0), wanted)
    assert all(file.is_file() for file in header.files)


def test_a_recording_of_years_is_refused(tmp_path):
    (tmp_path / "r.dat").write_bytes(bytes(8))
    (tmp_path / "r.hea").write_text("r 1 1e-8 4\nr.dat 16 200/mV 16 0 0 0 0 ECG\n")
    with pytest.raises(DataError, match=r"must last a year at most\. Received: 4e"):
        read_header(tmp_path / "r.hea")


def test_negative_gain_is_accepted_and_reported(record):
    replaced(b" 200(5)/mV", b" -200(5)/mV")(record)
    header = read_header(record)
    assert header.notes == ("ECG: negative gain -200",)
    np.testing.assert_allclose(read_signal(header, 0), (SAMPLES[:, 0] - 5) / -200, rtol=1e-6)


def test_channels_are_found_by_alias_and_missed_where_required(record):
    header = read_header(record)
    assert header.index(Channel("MLII", ("II", "ECG"))) == 0
    assert header.index(Channel("EEG")) is None
    with pytest.raises(DataError, match="channel EEG: the definition requires it"):
        header.index(Channel("EEG", required=True))
    replaced(b"Motion X", b"ECG")(record)
    with pytest.raises(DataError, match="channel ECG: the header names it twice"):
        read_header(record).index(Channel("ECG"))


@pytest.mark.parametrize(
    ("scale", "lowest", "wanted"),
    [
        ("655.35(-32768)/%", "auto", 0.0),
        ("655.35(-32768)/%", "missing", np.nan),
        ("200(0)/mV", "auto", np.nan),
        ("200(0)/mV", "value", -163.84),
    ],
)
def test_lowest_value_is_missing_unless_it_is_zero_percent(tmp_path, scale, lowest, wanted):
    (tmp_path / "a.dat").write_bytes(np.array([1, -32768, 3], "<i2").tobytes())
    (tmp_path / "a.hea").write_text(f"a 1 1 3\na.dat 16 {scale} 16 0 1 32772 0 SaO2\n")
    values = read_signal(read_header(tmp_path / "a.hea"), 0, lowest=lowest)
    np.testing.assert_allclose(values[1], wanted, rtol=1e-6)
    assert np.isfinite(values[[0, 2]]).all()


@pytest.mark.parametrize("form", ["16", "24", "32", "61", "80", "160", "212", "310"])
def test_every_format_is_read_as_wfdb_reads_it(tmp_path, form, monkeypatch):
    size = min(sample_formats.sizes(form, 3003))
    (tmp_path / "r.dat").write_bytes(np.random.default_rng(0).bytes(size))
    (tmp_path / "r.hea").write_text("r 3 100 1001\n" + "".join(f"r.dat {form} 10(3)/mV 16 0\n" for _ in range(3)))
    header = read_header(tmp_path / "r.hea")
    wanted = wfdb.rdrecord(str(tmp_path / "r"), physical=False).d_signal
    monkeypatch.setattr("physiokeras.pipelines.readers.records._BLOCK", 600)
    for index in range(3):
        np.testing.assert_array_equal(read_digital(header, index), wanted[:, index])
        np.testing.assert_allclose(read_signal(header, index, lowest="value"), (wanted[:, index] - 3.0) / 10, rtol=1e-6)


def test_format_311_holds_three_values_in_a_little_endian_word():
    # By hand after signal(5): ten bits each, the first lowest. wfdb 4.3.1 reads the third wrongly.
    word = (5).to_bytes(4, "little")
    assert sample_formats.unpack("311", word).tolist() == [5, 0, 0]
    word = ((-1 & 0x3FF) | (-512 & 0x3FF) << 10 | 511 << 20).to_bytes(4, "little")
    assert sample_formats.unpack("311", word).tolist() == [-1, -512, 511]


@pytest.mark.parametrize("name", ["stress_predict", "mitdb", "drivedb"])
def test_real_records_are_read_as_wfdb_reads_them(real_data, name):
    definition = Definition.read(name)
    for path in find_records(real_data / name, definition)[:4]:
        header, record = read_header(path), wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False)
        for index, signal in enumerate(header.signals):
            values = read_signal(header, index)
            np.testing.assert_allclose(values, record.e_p_signal[index], rtol=1e-5, atol=1e-6)
            assert (signal.name, signal.unit) == (record.sig_name[index], record.units[index])
        found = [header.index(channel) for channel in definition.channels]
        assert None not in found
        assert len(set(found)) == len(found)


def test_real_challenge_headers_are_read(real_data):
    for path in sorted((real_data / "cinc2018").glob("*.hea")):
        header = read_header(path, check_files=False)
        assert [header.index(channel) for channel in Definition.read("physionet2018").channels] == [
            *range(8),
            12,
            *range(8, 12),
        ]
        assert (header.rate, len(header.signals), header.signals[11].baseline) == (200, 13, -32768)
        with pytest.raises(DataError, match="missing"):
            read_header(path)


def definition_of(records):
    return Definition.from_dict({"name": "x", "records": records, "modalities": {"a": {"rate": 1, "channels": ["a"]}}})


def test_records_are_found_by_pattern_and_by_list(tmp_path):
    for name in ("b/r1", "a/r2"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.hea").touch()
    assert [path.stem for path in find_records(tmp_path, definition_of("**/*.hea"))] == ["r1", "r2"]
    for text in ("a/r2\r\n\n", "a/r2\na/r2\n"):
        (tmp_path / "RECORDS").write_text(text)
        assert [path.stem for path in find_records(tmp_path, definition_of("RECORDS"))] == ["r2"]


@pytest.mark.parametrize("line", ["../r1", "/etc/r1", "a/../../r1", "http://x/r1", "..\\r1"])
def test_list_cannot_name_records_outside(tmp_path, line):
    (tmp_path / "RECORDS").write_text(f"r0\n{line}\n")
    with pytest.raises(DataError, match="line 2: must name a record below"):
        find_records(tmp_path, definition_of("RECORDS"))
    with pytest.raises(DataError, match="below the folder"):
        find_records(tmp_path, definition_of(f"{line}.hea"))


def test_two_records_of_one_name_and_none_at_all_are_errors(tmp_path):
    with pytest.raises(DataError, match="no record matches"):
        find_records(tmp_path, definition_of("**/*.hea"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "r.hea").touch()
    with pytest.raises(DataError, match="two records are called r"):
        find_records(tmp_path, definition_of("**/*.hea"))


def test_a_recorder_that_stated_no_length_keeps_its_whole_frames(record):
    good = read_signal(read_header(record), 0)
    record.write_bytes(record.read_bytes().replace(b"rec 2 10 100\n", b"rec 2 10\n"))
    data = record.with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:-7])
    header = read_header(record)
    assert header.frames == 98
    assert any("number of samples is open" in note for note in header.notes)
    np.testing.assert_array_equal(read_signal(header, 0, strict=False), good[:98])


def test_a_channel_without_calibration_is_a_note_unless_it_is_asked_for(record):
    record.write_bytes(record.read_bytes().replace(b" 200(5)/mV", b" 0(5)/mV"))
    header = read_header(record)
    assert [signal.fault is None for signal in header.signals] == [False, True]
    assert "ECG: cannot be used: line 4: gain must be finite" in header.notes[0]
    assert len(read_signal(header, 1))
    with pytest.raises(DataError, match="channel ECG: line 4: gain"):
        read_signal(header, 0)
