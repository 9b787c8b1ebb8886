"""Files that MNE reads: small ones of known values, and real ones."""

import gzip
import struct
import sys
from datetime import UTC, datetime

import edfio
import mne
import mne_files as made
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.driver import convert
from physiokeras.pipelines.converting.record_list import find_records, left_out
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.labels.window_labels import read_labels
from physiokeras.pipelines.prepared import streaming
from physiokeras.pipelines.readers import mne_files, mne_scores
from physiokeras.pipelines.readers.records import read_header, read_signal

NIGHT = datetime(2026, 1, 1, 22, tzinfo=UTC)


def fif(folder, name="night_raw", marks=(), date=None, **options):
    raw = made.make_raw(marks=marks, date=date)
    raw.save(folder / f"{name}.fif{'.gz' if options.pop('packed', False) else ''}", verbose="ERROR", **options)
    return next(folder.glob(f"{name}.fif*"))


FORMATS = {
    "BrainVision": made.write_brainvision,
    "BrainVision, floats": lambda folder: made.write_brainvision(folder, kind="IEEE_FLOAT_32", order="VECTORIZED"),
    "FIF": fif,
    "FIF, packed": lambda folder: fif(folder, packed=True),
    "EEGLAB": made.write_eeglab,
    "EEGLAB, packed": lambda folder: made.write_eeglab(folder, packed=True),
    "EEGLAB, samples apart": lambda folder: made.write_eeglab(folder, apart=True),
    "GDF 2": made.write_gdf,
    "GDF 1": lambda folder: made.write_gdf(folder, version="1.25"),
}
UNITS = {
    "BrainVision": ["uV", "mV", "degC", "uS", "uV"],
    "FIF": ["V", "V", "degC", "S", ""],
    "EEGLAB": ["uV", "uV", "", "", ""],
    "GDF 2": ["uV", "mV", "degC", "GDF unit 8307", ""],
    "GDF 1": ["uV", "mV", "C", "uS", "-"],
}
"""Units as the file has them, of Fp1, ECG, Temp, GSR, Resp: FIF knows SI alone, EEGLAB microvolts alone."""


@pytest.mark.parametrize("name", FORMATS)
def test_values_and_units_are_those_that_were_written(tmp_path, name, monkeypatch):
    monkeypatch.setattr(mne_files, "_HELD", 50_000)
    header = read_header(FORMATS[name](tmp_path))
    wanted = made.physical(made.digital())
    assert [signal.name for signal in header.signals] == list(wanted)
    assert [signal.unit for signal in header.signals] == UNITS[name.split(",")[0]]
    assert (header.seconds, header.rate) == (made.SECONDS, made.RATE)
    for index, signal in enumerate(header.signals):
        scale = 1e6 if signal.unit in ("V", "S") else 1
        scale = 1e3 if signal.name == "ECG" and signal.unit == "V" else scale
        values = read_signal(header, index) * scale
        np.testing.assert_allclose(values, wanted[signal.name], rtol=1e-6, atol=1e-3 * made.STEPS[signal.name])
    assert {file.parent for file in header.files} == {tmp_path}


def definition(suffix=".vhdr", **changes):
    """EEG, ECG and skin conductance in the units of the field, and stages from comments."""
    modalities = {
        "eeg": {"rate": 100, "unit": "uV", "bandpass": [0.5, 40.0], "channels": ["Fp1"]},
        "ecg": {"rate": 100, "unit": "mV", "bandpass": [0.5, 40.0], "channels": ["ECG"]},
        "eda": {"rate": 4, "unit": "uS", "channels": ["GSR"]},
    }
    stage = {"kind": "stages", "file": "{record}" + suffix, "classes": ["W", "N2"], "share": 0.9}
    table = {"name": "small", "records": f"*{suffix}", "modalities": modalities, "labels": {"stage": stage}}
    return Definition.from_dict({**table, **changes})


def test_a_definitions_units_come_out_right_whatever_the_file_has(tmp_path):
    found = {}
    marks = [(0, 60, "Comment/W"), (60, 60, "Comment/N2")]
    for kind in ("brainvision", "fif"):
        folder = tmp_path / kind
        folder.mkdir()
        if kind == "fif":
            path = fif(folder, marks=marks)
        else:
            path = made.write_brainvision(folder, marks=[(1, 15_000, "W"), (15_001, 15_000, "N2")])
        labels = {"stage": {**definition(path.suffix).to_dict()["labels"]["stage"], "prefix": "Comment/"}}
        manifest = convert(folder, definition(path.suffix, labels=labels), tmp_path / "out" / kind, progress=None)
        assert not manifest.set_aside
        (record,) = manifest.records
        assert record.labels["stage"] == {"0": 2, "1": 2}
        found[kind] = [(channel["unit"], channel["median"], channel["iqr"]) for channel in record.channels]
        units = [unit for unit, _, _ in found[kind]]
        assert units == ["uV", "mV", "uS"]
    np.testing.assert_allclose(
        [row[1:] for row in found["fif"]], [row[1:] for row in found["brainvision"]], rtol=1e-4, atol=1e-6
    )
    # The noise of GSR is white, 0.3 uS around 4 uS; a quartile lies 0.6745 deviations from the middle.
    assert found["fif"][2][1] == pytest.approx(4, abs=0.02)


def stages(path, suffix=None, **changes):
    report = []
    label = {**definition().to_dict()["labels"]["stage"], "file": path.stem + (suffix or path.suffix), **changes}
    found = read_labels(read_header(path), definition(labels={"stage": label}), {}, report)
    return found["stage"].tolist(), report


def test_comments_are_scores_and_what_tells_of_the_recording_is_none(tmp_path):
    path = made.write_brainvision(tmp_path, marks=[(1, 7500, "W"), (7501, 15_000, "N2"), (22_501, 1, "Lights on")])
    for suffix in (".vhdr", ".vmrk"):
        found, report = stages(path, suffix, prefix="Comment/", unscored=["Lights on"])
        assert found == [0, 1, 1, -1]
        assert report == []


@pytest.mark.parametrize("date", [None, NIGHT])
def test_scores_of_a_cropped_recording_move_with_it(tmp_path, date):
    raw = made.make_raw(marks=[(0, 30, "W"), (30, 60, "N2"), (90, 30, "W")], date=date).crop(30)
    raw.save(tmp_path / "night_raw.fif", verbose="ERROR")
    raw.annotations.save(tmp_path / "night-annot.fif")
    found, report = stages(tmp_path / "night_raw.fif")
    assert found == [1, 1, 0]
    # MNE leaves W, which ended there, with no length.
    assert report == ["night_raw.fif: 1 marks that end where the recording begins are left out"]
    # Without a date, MNE has annotations of a file of their own begin with the samples.
    if date:
        assert stages(tmp_path / "night_raw.fif", file="night-annot.fif")[0] == found


def test_scores_of_another_night_are_refused(tmp_path):
    path = fif(tmp_path, date=NIGHT)
    mne.Annotations([0], [30], ["W"], orig_time=NIGHT.replace(day=3)).save(tmp_path / "other-annot.fif")
    with pytest.raises(DataError, match=r"other-annot.fif: no mark meets the recording: .*172800"):
        stages(path, file="other-annot.fif")
    with pytest.raises(DataError, match=r"night_raw.fif: must hold annotations. Received: none"):
        stages(path)


def test_an_open_mark_before_the_start_reaches_into_the_recording(tmp_path):
    path = fif(tmp_path, date=NIGHT)
    mne.Annotations([-100, 60], [0, 0], ["W", "N2"], orig_time=NIGHT).save(tmp_path / "night-annot.fif")
    assert stages(path, file="night-annot.fif")[0] == [0, 0, 1, 1]


def test_pauses_are_missing_data_and_later_scores_keep_their_time(tmp_path):
    segments = [(1, "20260101220000000000"), (15_001, "20260101220130000000")]
    path = made.write_brainvision(tmp_path, segments=segments, marks=[(1, 7500, "W"), (15_001, 7500, "N2")])
    header, wanted = read_header(path), made.physical(made.digital())["Fp1"]
    assert header.seconds == 150
    values = read_signal(header, 0)
    np.testing.assert_allclose(values[:15_000], wanted[:15_000], atol=1e-4)
    np.testing.assert_allclose(values[22_500:], wanted[15_000:], atol=1e-4)
    assert np.isnan(values[15_000:22_500]).all()
    assert stages(path, prefix="Comment/")[0] == [0, -1, -1, 1, -1]
    assert header.notes == ("night.vmrk: 1 pause, 30.0 s in all: missing data",)


def test_what_fif_skipped_is_missing_and_joints_are_noted(tmp_path):
    path = fif(tmp_path, marks=[(30, 10, "BAD_ACQ_SKIP"), (60, 0, "EDGE boundary"), (70, 1, "BAD blink")])
    header = read_header(path)
    missing = np.flatnonzero(np.isnan(read_signal(header, 0)))
    assert (missing[0], missing[-1], len(missing)) == (7500, 9999, 2500)
    assert header.notes == ("night_raw.fif: stretches were cut out or joined in 1 places; taken as continuous",)


def test_parts_and_files_of_marks_are_no_records(tmp_path):
    first = fif(tmp_path, split_size="2MB", fmt="double")
    mne.Annotations([0], [30], ["W"]).save(tmp_path / "night-annot.fif")
    fif(tmp_path, "night-2_raw")
    fif(tmp_path, "night-2_raw-2")
    own = {"night-2_raw.fif", "night-2_raw-2.fif", "night_raw.fif"}
    assert {path.name for path in find_records(tmp_path, definition(".fif"))} == own
    for name in own - {"night_raw.fif"}:
        (tmp_path / name).unlink()
    assert len(list(tmp_path.glob("night_raw-*.fif"))) >= 1
    assert find_records(tmp_path, definition(".fif")) == [first]
    assert "night_raw-1" not in " ".join(left_out(tmp_path, [first], definition(".fif")))
    header = read_header(first)
    assert len(header.files) == 1 + len(list(tmp_path.glob("night_raw-*.fif")))
    np.testing.assert_allclose(read_signal(header, 2), made.physical(made.digital())["Temp"], rtol=1e-6)
    header.files[1].unlink()
    with pytest.raises(DataError, match=r"night_raw.fif: MNE cannot read it: .*night_raw-1.fif"):
        read_header(first)


def damaged(write, damage, **options):
    def make(folder):
        path = write(folder, **options)
        return damage(path) or path

    return make


def cut(suffix, length):
    def damage(path):
        file = path.with_suffix(suffix)
        file.write_bytes(file.read_bytes()[:-length])

    return damage


def renamed(path):
    path.with_suffix(".eeg").rename(path.with_name("other.eeg"))


def another(path):
    made.write_brainvision(path.parent, "other")
    path.write_text(path.read_text().replace("DataFile=night.eeg", "DataFile=other.eeg"))


def edited(old, new, suffix=".vhdr"):
    def damage(path):
        file = path.with_suffix(suffix)
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return damage


def leading_back(path):
    data = bytearray(path.read_bytes())
    # The pointer of the second tag, to itself.
    data[48:52] = (36).to_bytes(4)
    path.write_bytes(data)


def flagged_complex(path):
    """The first array of numbers says that it has imaginary parts, too; SciPy crashes on their lack."""
    data = bytearray(path.read_bytes())
    data[data.index(struct.pack("<4I", 6, 8, 6, 0)) + 9] = 8
    path.write_bytes(data)


def short_dimensions(path):
    data = bytearray(path.read_bytes())
    data[data.index(struct.pack("<2I", 5, 8)) + 4] = 3
    path.write_bytes(data)


def unknown_type(path):
    # SciPy looks the type up beyond the end of its table, and the interpreter crashes.
    data = bytearray(path.read_bytes())
    place = data.index((9).to_bytes(4, "little"), 200)
    data[place] = 200
    path.write_bytes(data)


def many_events(path):
    data = path.read_bytes()
    path.write_bytes(data[:-8] + b"\x01\xff\xff\x00" + data[-4:])


LATE = [(1, 100, "W"), (29_000, 100, "W")]
PAUSE = [(1, "20260101220000000000"), (15_001, "20260101220030000000")]
BACK = r"segments must follow each other. The one at sample 15001 begins 30 s too early"
DAYS = [(1, "20260101220000000000"), (15_001, "20260111220000000000")]
brainvision, eeglab, gdf = made.write_brainvision, made.write_eeglab, made.write_gdf
FAULTS = {
    "cut inside a sample": (damaged(brainvision, cut(".eeg", 3), points=False), r"night.eeg: must have .* Is it cut"),
    "cut behind a sample": (
        damaged(brainvision, cut(".eeg", 1000)),
        r"night.eeg: must have 300000 .* Received: 299000",
    ),
    "cut, length not given": (
        damaged(brainvision, cut(".eeg", 100_000), points=False, marks=LATE),
        r"night.vmrk: 1 marks lie behind the last of 20000 samples, the first at 29000",
    ),
    "empty data": (damaged(brainvision, cut(".eeg", 300_000), points=False), r"night.eeg: must have .*Received: 0"),
    "renamed data": (damaged(brainvision, renamed), r"night.vhdr: its data file night.eeg must lie beside it"),
    "another record's data": (damaged(brainvision, another), r"other.eeg belongs to other.vhdr"),
    "data elsewhere": (
        damaged(brainvision, edited("DataFile=night.eeg", "DataFile=../night.eeg")),
        "DataFile must be a plain name",
    ),
    "data not named": (damaged(brainvision, edited("DataFile=night.eeg", "")), "must name its data file"),
    "format": (damaged(brainvision, edited("INT_16", "INT_17")), "BinaryFormat of INT_16"),
    "channel twice": (damaged(brainvision, edited("ECG,,", "Fp1,,")), "channel Fp1: the header names it twice"),
    "channels": (damaged(brainvision, edited("Channels=5", "Channels=0")), "must give NumberOfChannels"),
    "more channels": (damaged(brainvision, edited("Channels=5", "Channels=6")), "is it cut|Is it cut"),
    "overlap": (damaged(brainvision, lambda path: None, segments=PAUSE), BACK),
    "long pause": (damaged(brainvision, lambda path: None, segments=DAYS), "pauses between segments are too long"),
    "no date": (
        damaged(brainvision, lambda path: None, segments=[PAUSE[0], (15_001, "20269901220030000000")]),
        "a segment's time must be",
    ),
    "EEGLAB cut": (damaged(eeglab, cut(".fdt", 4), apart=True), r"night.fdt: must have 600000 bytes.*Received: 599996"),
    "EEGLAB without samples": (
        damaged(eeglab, lambda path: path.with_suffix(".fdt").unlink(), apart=True),
        r"night.set: MNE cannot read it: .*night.fdt",
    ),
    "EEGLAB cut inside": (damaged(eeglab, cut(".set", 100)), r"night.set: byte \d+: is cut or damaged: an element"),
    "EEGLAB, complex": (damaged(eeglab, flagged_complex), r"night.set: byte \d+: is cut .* 0x806 has 4 elements"),
    "EEGLAB, dimensions": (damaged(eeglab, short_dimensions), r"night.set: byte \d+: is cut .* type 5 in 3 bytes"),
    "EEGLAB, unknown type": (damaged(eeglab, unknown_type), r"night.set: byte \d+: is cut .* unknown type 200"),
    "GDF with more events": (damaged(gdf, many_events), r"night.gdf: byte 301536: .* with 65535 events"),
    "EEGLAB text": (
        damaged(eeglab, lambda path: path.write_text("x" * 999) and None),
        "must begin as MATLAB files do",
    ),
    "GDF cut": (damaged(gdf, cut(".gdf", 9)), r"night.gdf: must have at least .* 120 data records. .*Is it cut"),
    "GDF at two rates": (
        damaged(gdf, lambda path: None, counts=[250, 250, 250, 1, 1]),
        r"night.gdf: its channels must have one rate, as MNE would resample the others. Received: \[1, 250\]",
    ),
    "GDF no more": (damaged(gdf, cut(".gdf", 301_000)), "must describe its channels"),
    "FIF cut": (damaged(fif, cut(".fif", 5000)), r"night_raw.fif: byte \d+: is cut"),
    "FIF cut by a byte": (damaged(fif, cut(".fif", 1)), r"night_raw.fif: byte \d+: is cut inside a tag"),
    "FIF that leads back": (damaged(fif, leading_back), r"night_raw.fif: byte \d+: is damaged: its tags lead back"),
    "no FIF": (damaged(fif, lambda path: path.write_bytes(b"RIFF" * 9) and None), "must begin as FIF does"),
    "no file": (lambda folder: folder / "no.vhdr", "must be a readable file"),
    "a folder": (lambda folder: (folder / "night.mff").mkdir() or folder / "night.mff", "from_raw"),
    "XDF": (lambda folder: (folder / "a.xdf").write_bytes(b"XDF:") and folder / "a.xdf", "MNE reads no XDF. Load it"),
    "markers": (lambda folder: brainvision(folder).with_suffix(".vmrk"), "named by its .vhdr"),
    "unknown": (lambda folder: (folder / "a.xyz").write_bytes(b"abc") and folder / "a.xyz", "Unsupported file type"),
}


def every_signal(path):
    header = read_header(path)
    return [read_signal(header, index) for index in range(len(header.signals))]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_record_is_refused_by_name(tmp_path, fault):
    make, words = FAULTS[fault]
    with pytest.raises(DataError, match=words):
        every_signal(make(tmp_path))


@pytest.mark.parametrize("unit", ["μV", "uV", "UV", "uv"])
def test_microvolts_of_brainvision_are_microvolts_however_they_are_spelled(tmp_path, unit):
    """MNE scales the micro sign and "uV", and calls the others so, too; the first is the Greek mu."""
    path = brainvision(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("µV", unit), encoding="utf-8")
    header = read_header(path)
    assert header.signals[0].unit == "uV"
    np.testing.assert_allclose(read_signal(header, 0), made.digital()[0] * 0.1, rtol=1e-5)


def test_missing_markers_are_noted(tmp_path):
    path = brainvision(tmp_path, marks=[(1, 7500, "W")])
    path.with_suffix(".vmrk").unlink()
    header = read_header(path)
    assert header.notes == ("night.vhdr: MarkerFile 'night.vmrk' not found; no annotations.",)
    with pytest.raises(DataError, match="must hold annotations"):
        stages(path)


def test_headers_in_latin_1_and_folders_are_told_apart(tmp_path):
    path = made.write_brainvision(tmp_path, "nächt")
    text = path.read_text(encoding="utf-8").replace("Codepage=UTF-8", "Codepage=ANSI")
    path.write_bytes(text.encode("latin-1"))
    assert read_header(path).signals[0].unit == "uV"
    with pytest.raises(DataError, match=r"records = '\*.mff': .*physiokeras.pipelines.from_raw"):
        find_records(tmp_path, definition(records="*.mff"))


def test_a_file_that_changed_is_opened_anew(tmp_path):
    first = read_signal(read_header(brainvision(tmp_path)), 0)
    second = read_signal(read_header(brainvision(tmp_path, values=made.digital(1))), 0)
    np.testing.assert_allclose(second, made.physical(made.digital(1))["Fp1"], atol=1e-4)
    assert not np.allclose(first, second)


def test_links_out_of_the_folder_are_refused(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    path = brainvision(tmp_path)
    for suffix in (".vhdr", ".vmrk"):
        (inside / f"night{suffix}").write_bytes(path.with_suffix(suffix).read_bytes())
    (inside / "night.eeg").symlink_to(path.with_suffix(".eeg"))
    with pytest.raises(DataError, match="must not be a link to a file outside"):
        read_header(inside / "night.vhdr")


def test_without_mne_the_error_says_what_to_install(tmp_path, monkeypatch):
    path = brainvision(tmp_path)
    monkeypatch.setattr(mne_files, "_last", {})
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(DataError, match=r"night.vhdr: .vhdr files need .* pip install 'physiokeras\[mne\]'"):
        read_header(path)


def test_a_packed_file_that_is_damaged_is_refused(tmp_path):
    path = fif(tmp_path, packed=True)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-3000]))
    with pytest.raises(DataError, match=r"night_raw.fif.gz: (is damaged|MNE cannot)"):
        every_signal(path)


def test_real_files_are_read_as_mne_reads_them(real_data):
    """Within 0.01 digital steps (float32), where MNE keeps a channel's own rate."""
    paths = [path for path in real_data.rglob("*.[eb]df") if not path.stem.endswith(("Hypnogram", "edfann"))]
    assert len(paths) >= 10
    compared = 0
    for path in paths:
        header, raw = read_header(path), mne.io.read_raw(path, verbose="ERROR")
        own = (edfio.read_bdf if path.suffix == ".bdf" else edfio.read_edf)(path, header_encoding="latin-1")
        for index, signal in enumerate(header.signals):
            values, step = read_signal(header, index), abs(1 / signal.gain)
            np.testing.assert_allclose(values, own.signals[index].data, rtol=0, atol=0.01 * step)
            if signal.rate != raw.info["sfreq"] or signal.name == "Status":
                continue  # resampled, or not the samples but triggers
            scale = {"uV": 1e6, "mV": 1e3}.get(signal.unit, 1)
            np.testing.assert_allclose(values, raw.get_data([signal.name])[0] * scale, rtol=0, atol=0.01 * step)
            compared += 1
    assert compared > 200


def test_persyst_has_the_values_that_were_written(tmp_path):
    values = np.random.default_rng(0).integers(-999, 999, (15000, 2)).astype("<i2")
    values.tofile(tmp_path / "r.dat")
    about = ["File=r.dat", "FileType=Interleaved", "SamplingRate=250", "HeaderLength=0", "Calibration=0.1"]
    about += ["WaveformCount=2", "DataType=0", "[Patient]", "BirthDate=01/02/1980", "Sex=M", "Hand=R"]
    about += ["TestDate=01/02/2003", "TestTime=22:00:00", "[SampleTimes]", "0=79200.0", "[ChannelMap]"]
    (tmp_path / "r.lay").write_text("\n".join(["[FileInfo]", *about, "C3-Ref=1", "C4-Ref=2", "[Comments]", ""]))
    header = read_header(tmp_path / "r.lay")
    assert [(signal.name, signal.unit, signal.rate) for signal in header.signals] == [
        ("C3", "V", 250),
        ("C4", "V", 250),
    ]
    np.testing.assert_allclose(read_signal(header, 1) * 1e6, values[:, 1] * 0.1, rtol=1e-5)
    assert not header.notes


def test_formats_that_were_never_tried_say_so(tmp_path):
    assert "was not tried with files of this format" in mne_files._untried(tmp_path / "r.cnt")[0]
    assert not mne_files._untried(tmp_path / "r_raw.fif.gz")


def test_neuroscan_files_give_microvolts_and_their_events(tmp_path):
    counts, base = np.random.default_rng(0).integers(-2000, 2000, (250 * 90, 3)), [0, 5, -7]
    facts = {"base": base, "sensitivity": [1.0, 2.0, 0.5], "calibration": [1.0, 1.5, 204.8]}
    header = read_header(made.write_cnt(tmp_path, counts, 250, ["C3", "C4", "EOG1"], **facts, marks=[(7500, 9)]))
    assert [(signal.name, signal.unit) for signal in header.signals] == [("C3", "V"), ("C4", "V"), ("EOG1", "V")]
    wanted = (counts - np.array(base)) * facts["sensitivity"] * np.array(facts["calibration"]) / 204.8
    for number in range(3):
        np.testing.assert_allclose(read_signal(header, number) * 1e6, wanted[:, number], rtol=1e-6, atol=1e-4)
    marks = mne_scores.read_mne_annotations(header.path, header)
    assert marks.notes == ("9",)
    assert marks.samples.tolist() == [29_996]  # ms: MNE counts samples from 1 here
    (tmp_path / "night.cnt").write_bytes((tmp_path / "night.cnt").read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"night\.cnt"):
        every_signal(tmp_path / "night.cnt")


NIHON = {
    "name": "nihon",
    "records": "*.EEG",
    "modalities": {"eeg": {"rate": 250, "unit": "uV", "channels": ["C3", "C4"], "scale": "physical", "factor": 200}},
    "labels": {"stage": {"kind": "stages", "file": "{record}.EEG", "classes": ["W", "N2"]}},
    "split": {"test": 0.0, "validation": 0.0},
}


def test_nihon_kohden_files_are_converted_with_their_names_microvolts_and_marks(tmp_path):
    counts = np.random.default_rng(0).integers(-3000, 3000, (250 * 90, 2))
    (tmp_path / "source").mkdir()
    marks = [("000000", "W"), ("000030", "N2")]
    path = made.write_nihon(tmp_path / "source", counts, 250, {4: "C3", 5: "C4"}, marks=marks)
    convert(path.parent, Definition.from_dict(NIHON), tmp_path / "out", progress=None)
    windows = streaming.windows(tmp_path / "out", "train", labels=["stage"])
    values = windows["eeg"].reshape(-1, 2) * (20 / 32767 * 200)
    np.testing.assert_allclose(values, -3200 + (counts + 32768) * 6399.902 / 65535, atol=0.07)
    assert windows["stage"].tolist() == [0, 1, -1]
    header = read_header(path)
    assert {file.suffix for file in header.companions} == {".21E", ".LOG", ".PNT"}
    assert "was not tried" in header.notes[0]
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"night\.EEG: must have at least 141144 bytes"):
        read_header(path)
    path.with_suffix(".21E").rename(path.with_suffix(".21e"))
    with pytest.raises(DataError, match=r"in capitals. Received: night\.21e"):
        read_header(path)


def test_marks_that_are_corrected_are_read_anew_in_the_same_process(tmp_path):
    path = made.write_brainvision(tmp_path, marks=[(1, 7500, "W")])
    header = read_header(path)
    assert mne_scores.read_mne_annotations(path, header).notes == ("Comment/W",)
    made.write_brainvision(tmp_path, "other", marks=[(1, 7500, "N2")])
    (tmp_path / "other.vmrk").replace(path.with_suffix(".vmrk"))
    assert mne_scores.read_mne_annotations(path, header).notes == ("Comment/N2",)
