"""BDF: EDF's layout with samples of 24 bits, read at each channel's own rate."""

import datetime

import edfio
import mne
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.driver import convert
from physiokeras.pipelines.converting.record_list import find_records
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.labels.window_labels import read_labels
from physiokeras.pipelines.readers import records
from physiokeras.pipelines.readers.records import read_header, read_signal

CHANNELS = {"Fp1": (256, "uV"), "ECG": (256, "mV"), "Temp": (1, "DegC")}
SECONDS = 90


def digital(rate):
    return np.random.default_rng(rate).integers(-(2**23), 2**23, rate * SECONDS, np.int32)


def write(path, marks=()):
    signals = []
    for name, (rate, unit) in CHANNELS.items():
        ranges = {"physical_range": (-262144, 262143), "digital_range": (-(2**23), 2**23 - 1)}
        signals.append(edfio.BdfSignal.from_digital(digital(rate), rate, label=name, physical_dimension=unit, **ranges))
    marks = [edfio.EdfAnnotation(*mark) for mark in marks]
    edfio.Bdf(signals, annotations=marks, starttime=datetime.time(22), data_record_duration=1).write(path)
    return path


def definition(**label):
    stage = {"kind": "stages", "classes": ["W", "N2"], "file": "{record}.bdf", **label}
    modalities = {
        "eeg": {"rate": 128, "unit": "uV", "channels": ["Fp1"]},
        "temp": {"rate": 1, "unit": "degC", "channels": ["Temp"]},
    }
    table = {"name": "bdf", "records": "*.bdf", "modalities": modalities, "labels": {"stage": stage}}
    return Definition.from_dict(table)


def test_all_24_bits_arrive_at_each_channels_own_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_BLOCK", 7000)
    path = write(tmp_path / "night.bdf", [(0, 30, "W")])
    header, raw = read_header(path), mne.io.read_raw(path, verbose="ERROR")
    assert header.seconds == SECONDS
    for index, (name, (rate, unit)) in enumerate(CHANNELS.items()):
        signal = header.signals[index]
        assert (signal.name, signal.unit, signal.rate) == (name, unit, rate)
        np.testing.assert_array_equal(records.read_digital(header, index), digital(rate))
        wanted = -262144 + (digital(rate) + 2.0**23) * (524287 / (2**24 - 1))
        np.testing.assert_allclose(read_signal(header, index), wanted, rtol=1e-6, atol=0.02)
        if rate == 256:
            scale = 1e6 if unit == "uV" else 1e3
            np.testing.assert_allclose(raw.get_data([name])[0] * scale, wanted, rtol=1e-9, atol=1e-3)


def last_channel_first(data):
    """The same file with its last channel, the list of annotations, before the others."""
    count = int(data[252:256])
    head, rest, sizes, place = data[:256], data[256 * (count + 1) :], [], 256
    for width in (16, 80, 8, 8, 8, 8, 8, 80, 8, 32):
        fields = [data[place + width * k :][:width] for k in range(count)]
        sizes = [3 * int(field) for field in fields] if place == 256 + 216 * count else sizes
        head += b"".join([fields[-1], *fields[:-1]])
        place += width * count
    size, last = sum(sizes), sizes[-1]
    rows = [rest[start : start + size] for start in range(0, len(rest), size)]
    return head + b"".join(row[-last:] + row[:-last] for row in rows)


def test_channels_behind_a_list_with_the_label_of_edf_are_not_mixed_up(tmp_path):
    path = write(tmp_path / "night.bdf", [(0, 30, "W")])
    for label in (b"BDF Annotations", b"EDF Annotations"):
        path.write_bytes(
            last_channel_first(write(path, [(0, 30, "W")]).read_bytes()).replace(b"BDF Annotations", label)
        )
        header = read_header(path)
        for index, signal in enumerate(header.signals):
            if signal.name in CHANNELS:
                np.testing.assert_array_equal(records.read_digital(header, index), digital(CHANNELS[signal.name][0]))
        assert read_labels(header, definition(), {})["stage"].tolist() == [0, -1, -1]


def test_a_folder_is_converted_with_the_stages_in_its_files(tmp_path):
    path = write(tmp_path / "night.bdf", [(0, 30, "W"), (30, 60, "N2")])
    assert find_records(tmp_path, definition()) == [path]
    manifest = convert(tmp_path, definition(), tmp_path / "out", progress=None)
    assert not manifest.set_aside
    assert manifest.records[0].labels["stage"] == {"0": 1, "1": 2}


def test_a_hypnogram_in_edf_is_placed_by_the_starts_of_both(tmp_path):
    path = write(tmp_path / "night.bdf")
    marks = [edfio.EdfAnnotation(0, 30, "W"), edfio.EdfAnnotation(30, 30, "N2")]
    edfio.Edf([], annotations=marks, starttime=datetime.time(22, 0, 30)).write(tmp_path / "night-scores.edf")
    found = read_labels(read_header(path), definition(file="{record}-scores.edf"), {})
    assert found["stage"].tolist() == [-1, 0, 1]


def cut(length):
    return lambda data: data[:-length]


FAULTS = {
    "cut by a byte": (cut(1), r"must have .* bytes: a header and 90 data records of 1545"),
    "cut by a record": (cut(1545), "must have 140330 bytes"),
    "longer": (lambda data: data + b"\0\0", "90 data records"),
    "EDF": (lambda data: b"0       " + data[8:], "must begin as BDF does"),
    "empty": (lambda data: b"", "must begin as BDF does"),
    "header alone": (lambda data: data[:256], "whole EDF file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_refused_before_it_is_read(tmp_path, fault):
    damage, words = FAULTS[fault]
    path = write(tmp_path / "night.bdf")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=words) as error:
        read_header(path)
    assert error.value.file == path


def test_a_recording_that_was_never_closed_is_taken_by_its_size(tmp_path):
    path = write(tmp_path / "night.bdf")
    data = path.read_bytes()
    path.write_bytes(data[:236] + b"-1      " + data[244:-100])
    header = read_header(path)
    assert header.seconds == SECONDS - 1
    assert any("unfinished data record" in note for note in header.notes)
    np.testing.assert_array_equal(records.read_digital(header, 0), digital(256)[:-256])
