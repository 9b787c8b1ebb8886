import datetime
from dataclasses import replace

import edfio
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines.converting.driver import convert
from physiokeras.pipelines.converting.record_list import find_records
from physiokeras.pipelines.definitions.definition import Channel, Definition
from physiokeras.pipelines.labels.window_labels import read_labels
from physiokeras.pipelines.prepared.shards import read_shard
from physiokeras.pipelines.readers.records import read_header, read_signal

SLEEP = Definition.read("sleep_edf")
CHANNELS = {"EEG Fpz-Cz": 100, "EEG Pz-Oz": 100, "EOG horizontal": 100, "EMG submental": 1, "Temp rectal": 1}
STAGES = [(0, 60, "W"), (60, 30, "1"), (90, 60, "3"), (150, 30, "4"), (180, 30, "?"), (240, 90, "R")]


def signals(seconds=300, seed=0):
    random, found = np.random.default_rng(seed), []
    for name, rate in CHANNELS.items():
        values = random.normal(0, 30, seconds * rate).clip(-190, 190)
        ranges = {"physical_range": (-200, 190.5), "digital_range": (-2048, 2047)}
        found.append(edfio.EdfSignal(values, rate, label=name, physical_dimension="uV", **ranges))
    return found


def write_hypnogram(path, stages=STAGES, start=datetime.time(22, 30), extra=()):
    marks = [edfio.EdfAnnotation(onset, length, f"Sleep stage {name}") for onset, length, name in stages]
    edfio.Edf([], annotations=[*marks, *extra], starttime=start).write(path)


@pytest.fixture
def record(tmp_path):
    """A recording of 5 min in data records of 30 s, with the names and layout of Sleep-EDF."""
    path = tmp_path / "SC4001E0-PSG.edf"
    edfio.Edf(signals(), starttime=datetime.time(22, 30), data_record_duration=30).write(path)
    write_hypnogram(tmp_path / "SC4001EC-Hypnogram.edf")
    return path


def stages(record, definition=SLEEP):
    report = []
    return read_labels(read_header(record), definition, {}, report)["stage"].tolist(), report


def test_signals_are_read_at_their_own_rates_as_edfio_reads_them(record):
    header, wanted = read_header(record), edfio.read_edf(record)
    assert (header.seconds, header.frames) == (300, 10)
    assert [signal.rate for signal in header.signals] == list(CHANNELS.values())
    for index, signal in enumerate(header.signals):
        assert (signal.name, signal.unit) == (wanted.labels[index], "uV")
        np.testing.assert_allclose(read_signal(header, index), wanted.signals[index].data, atol=1e-4)


def test_the_lowest_digital_value_is_a_sample_like_any_other(record):
    values = np.full(30_000, -32768, np.int16)
    signal = edfio.EdfSignal.from_digital(values, 100, label="EEG", physical_range=(-100, 100))
    edfio.Edf([signal]).write(record)
    np.testing.assert_allclose(read_signal(read_header(record), 0), -100, rtol=1e-6)


def test_labels_in_latin_1_are_kept(record):
    data = record.read_bytes().replace(b"EEG Fpz-Cz", b"EEG Fpz-C\xe9").replace(b"uV      ", b"\xb5V      ")
    record.write_bytes(data)
    signal = read_header(record).signals[0]
    assert (signal.name, signal.unit) == ("EEG Fpz-Cé", "uV")


def test_stages_come_from_the_hypnogram_beside_the_record(record):
    # 30 s windows: W W 1 3 3 4 ? none R R; nothing is scored from 210 to 240 s.
    found, report = stages(record)
    assert found == [0, 0, 1, 3, 3, 3, -1, -1, 4, 4]
    assert report == []


def test_marks_without_the_prefix_are_events_and_reported(record):
    extra = [edfio.EdfAnnotation(70, None, "Lights off"), edfio.EdfAnnotation(210, 30, "Light on")]
    write_hypnogram(record.parent / "SC4001EC-Hypnogram.edf", extra=extra)
    found, report = stages(record)
    assert found == [0, 0, 1, 3, 3, 3, -1, -1, 4, 4]
    assert [line.split(": ")[1].split(",")[0] for line in report] == ["1 x 'Lights off'", "1 x 'Light on'"]


def test_a_hypnogram_that_starts_at_another_time_of_day_is_moved_there(record):
    path = record.parent / "SC4001EC-Hypnogram.edf"
    write_hypnogram(path, start=datetime.time(22, 31))
    assert stages(record)[0] == [-1, -1, 0, 0, 1, 3, 3, 3, -1, -1]
    write_hypnogram(path, start=datetime.time(22, 29, 30))
    assert stages(record)[0] == [0, 1, 3, 3, 3, -1, -1, 4, 4, 4][:10]


def test_annotations_in_the_recording_itself_are_read_and_keep_channels_in_place(tmp_path):
    path = tmp_path / "r.edf"
    marks = [edfio.EdfAnnotation(0, 150, "Sleep stage W"), edfio.EdfAnnotation(150, 150, "Sleep stage R")]
    edfio.Edf(signals(), annotations=marks, data_record_duration=10).write(path)
    label = replace(SLEEP.labels["stage"], file="{record}.edf")
    assert stages(path, replace(SLEEP, labels={"stage": label}))[0] == [0] * 5 + [4] * 5
    header = read_header(path)
    assert [signal.name for signal in header.signals] == list(CHANNELS)
    np.testing.assert_allclose(read_signal(header, 4), edfio.read_edf(path).signals[4].data, atol=1e-4)


def test_a_folder_is_converted_to_windows_with_stages(record, tmp_path):
    manifest = convert(tmp_path, SLEEP, tmp_path / "out", progress=None)
    assert not manifest.set_aside
    (entry,) = manifest.records
    assert (entry["name"], entry["person"], entry["windows"]) == ("SC4001E0-PSG", "SC400", 10)
    assert entry["labels"]["stage"] == {"-1": 2, "0": 2, "1": 1, "3": 3, "4": 2}
    assert [c["channel"] for c in entry["channels"] if not c["present"]] == ["Resp oro-nasal"]
    assert len(list(read_shard(manifest.shard(entry["name"])))) == 10


def field(place, text):
    """Overwrite a field of the header."""
    return lambda data: data[:place] + text.encode().ljust(8) + data[place + 8 :]


COUNT = 256 + 256 * 5
FAULTS = {
    "cut by one byte": (lambda data: data[:-1], "Incomplete data record"),
    "cut by a record": (lambda data: data[: -9060 * 2], "indicates 10 data records"),
    "longer": (lambda data: data + b"\0\0", "Incomplete data record"),
    "header alone": (lambda data: data[:256], "whole EDF file"),
    "empty": (lambda data: b"", "must begin as EDF"),
    "not EDF": (lambda data: b"RIFF" + data[4:], "byte 0: must begin as EDF"),
    "BDF": (lambda data: b"\xffBIOSEMI" + data[8:], "must begin as EDF"),
    "no records": (field(236, "0"), "data records"),
    "records as text": (field(236, "ten"), "whole EDF file"),
    "duration 0": (field(244, "0"), "longer than 0 s"),
    "duration infinite": (field(244, "inf"), "EDF"),
    "duration negative": (field(244, "-30"), "longer than 0 s"),
    "discontinuous": (field(192, "EDF+D"), "must keep the time of each data record"),
    "10^8 samples a record": (field(256 + 216 * 5, "99999999"), "EDF"),
    "no samples a record": (field(256 + 216 * 5, "0"), "EDF"),
    "negative samples": (field(256 + 216 * 5, "-3000"), "EDF"),
    "digital range empty": (field(256 + 120 * 5, "2047"), "channel EEG Fpz-Cz: digital minimum"),
    "physical range empty": (field(256 + 104 * 5, "190.5"), "channel EEG Fpz-Cz: digital minimum"),
    "physical range as text": (field(256 + 104 * 5, "high"), "channel EEG Fpz-Cz: its ranges must be numbers"),
    "more signals than described": (lambda data: data[:252] + b"9999" + data[256:], "EDF"),
}


def every_signal(path):
    header = read_header(path)
    return [header.usable(index) for index in range(len(header.signals))]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_refused_before_it_is_read(record, fault):
    damage, words = FAULTS[fault]
    record.write_bytes(damage(record.read_bytes()))
    with pytest.raises(DataError, match=words) as error:
        every_signal(record)
    assert error.value.file == record


def test_a_recording_that_was_never_closed_is_taken_by_its_size_and_noted(record):
    record.write_bytes(field(236, "-1")(record.read_bytes()))
    header = read_header(record)
    assert header.frames == 10
    assert "number of data records is open" in header.notes[0]


def test_a_channel_twice_is_an_error_where_it_is_wanted(record):
    record.write_bytes(record.read_bytes().replace(b"EEG Pz-Oz ", b"EEG Fpz-Cz"))
    with pytest.raises(DataError, match="names it twice"):
        read_header(record).index(Channel("EEG Fpz-Cz"))


HYPNOGRAMS = {
    "unknown stage": (lambda path: write_hypnogram(path, [(0, 30, "W"), (30, 30, "7")]), "must be one of W, N1"),
    "beyond the record": (lambda path: write_hypnogram(path, [(301, 30, "W")]), "must lie in the record"),
    "no annotations": (lambda path: edfio.Edf(signals()).write(path), "Received: none"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-8]), "Incomplete"),
    "NUL": (lambda path: path.write_bytes(bytes(2000)), "must begin as EDF"),
    "two files": (lambda path: write_hypnogram(path.with_name("SC4001EH-Hypnogram.edf")), "one file must match"),
}


@pytest.mark.parametrize("fault", HYPNOGRAMS)
def test_a_bad_hypnogram_is_an_error(record, fault):
    make, words = HYPNOGRAMS[fault]
    make(record.parent / "SC4001EC-Hypnogram.edf")
    with pytest.raises(DataError, match=words):
        stages(record)


def test_links_out_of_the_folder_are_refused(record, tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / record.name).symlink_to(record)
    with pytest.raises(DataError, match="must not be a link to a file outside"):
        read_header(folder / record.name)


def test_records_are_found_by_pattern_and_by_list(record, tmp_path):
    assert find_records(tmp_path, SLEEP) == [record]
    (tmp_path / "RECORDS").write_text("SC4001E0-PSG.edf\n")
    assert find_records(tmp_path, replace(SLEEP, records="RECORDS")) == [record]


def test_mutated_files_raise_our_error_alone(record):
    rng, good, errors = np.random.default_rng(0), record.read_bytes(), 0
    hypnogram = record.parent / "SC4001EC-Hypnogram.edf"
    scored = hypnogram.read_bytes()
    for number in range(200):
        data = bytearray(good if number % 2 else scored)
        for place in rng.integers(min(len(data), COUNT + 200), size=rng.integers(1, 4)):
            data[place] = rng.integers(256)
        record.write_bytes(data if number % 2 else good)
        hypnogram.write_bytes(scored if number % 2 else data)
        try:
            assert len(stages(record)[0]) > 0
            read_signal(read_header(record), 0)
        except DataError:
            errors += 1
    assert 40 < errors < 200
