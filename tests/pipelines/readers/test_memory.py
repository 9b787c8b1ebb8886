"""Recordings in memory: the same windows as from files."""

import pickle

import edf_bytes
import mne
import mne_files as made
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines import convert, from_arrays, from_raw, inspect_record, plan
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.prepared.shards import read_shard
from physiokeras.pipelines.readers.records import read_header, read_signal
from physiokeras.pipelines.signals.channels import record_windows
from physiokeras.scoring.raw import night_of_raw

MARKS = [(0, 60, "W"), (60, 60, "N2")]


def definition(**changes):
    modalities = {
        "eeg": {"rate": 100, "unit": "uV", "bandpass": [0.5, 40.0], "channels": ["Fp1"]},
        "ecg": {"rate": 100, "unit": "mV", "bandpass": [0.5, 40.0], "channels": ["ECG"]},
        "eda": {"rate": 4, "unit": "uS", "channels": ["GSR"]},
    }
    stage = {"kind": "stages", "file": "{record}.fif", "classes": ["W", "N2"]}
    table = {"name": "memory", "records": "*.fif", "modalities": modalities, "labels": {"stage": stage}}
    return Definition.from_dict({**table, **changes})


def arrays(seed=0):
    values = made.physical(made.digital(seed))
    return from_arrays(
        {"Fp1": values["Fp1"], "ECG": values["ECG"], "GSR": values["GSR"].astype(np.float32)},
        made.RATE,
        {"Fp1": "uV", "ECG": "mV", "GSR": "µS"},
        name="night_raw",
        scores=MARKS,
    )


def windows(manifest):
    assert not manifest.set_aside
    (record,) = manifest.records
    return list(read_shard(manifest.shard(record.name)))


def test_memory_gives_the_windows_of_the_same_data_in_a_file(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    path = source / "night_raw.fif"
    made.make_raw(marks=MARKS).save(path, fmt="double", verbose="ERROR")
    from_file = convert(source, definition(), tmp_path / "file", progress=None)
    lazy = mne.io.read_raw(path, verbose="ERROR")
    from_lazy = convert(lazy, definition(), tmp_path / "lazy", progress=None)
    loaded = convert(from_raw(lazy.load_data(verbose="ERROR")), definition(), tmp_path / "loaded", progress=None)
    assert windows(from_lazy) == windows(from_file) == windows(loaded)
    assert from_file.records[0].labels == from_lazy.records[0].labels == {"stage": {"0": 2, "1": 2}}
    assert from_file.data_hash == from_lazy.data_hash
    # Arrays in microvolts and the file's volts differ by float32 rounding: one stored step at most.
    plain = convert([arrays()], definition(), tmp_path / "arrays", progress=None)
    assert plain.records[0].labels == from_file.records[0].labels
    wanted, present, _ = record_windows(read_header(path), definition())
    stored, found, _ = record_windows(read_header(arrays()), definition())
    np.testing.assert_array_equal(found, present)
    assert all(np.abs(stored[name].astype(int) - wanted[name]).max() <= 1 for name in wanted)


def test_real_recordings_give_the_same_windows_through_mne(real_data):
    path = real_data / "formats/edf/short_psg.edf"
    eeg = {"rate": 100, "unit": "uV", "bandpass": [0.3, 35.0], "channels": ["EEG Fpz-Cz", "EOG horizontal"]}
    table = definition(modalities={"eeg": eeg}, labels={})
    raw = mne.io.read_raw(path, verbose="ERROR")
    (own, present, _), (other, found, _) = (record_windows(read_header(one), table) for one in (path, from_raw(raw)))
    np.testing.assert_array_equal(present, found)
    assert present.any()
    assert np.abs(own["eeg"].astype(int) - other["eeg"]).max() <= 1


def test_rates_may_differ_and_gaps_stay_gaps(tmp_path):
    random = np.random.default_rng(0)
    eeg, pulse = random.normal(0, 30, 256 * 60), random.normal(0, 1, 64 * 60)
    eeg[: 256 * 5] = np.nan
    recording = from_arrays({"EEG": eeg, "BVP": pulse}, {"EEG": 256, "BVP": 64}, {"EEG": "uV"}, name="a")
    modalities = {
        "eeg": {"rate": 128, "unit": "uV", "channels": ["EEG"]},
        "bvp": {"rate": 64, "channels": ["BVP"]},
        "ecg": {"rate": 64, "channels": ["ECG"]},
    }
    manifest = convert(recording, definition(modalities=modalities, labels={}), tmp_path, progress=None)
    (record,) = manifest.records
    assert (record.windows, record.seconds) == (2, 60)
    assert record.present == {"eeg": 1, "bvp": 2, "ecg": 0}
    assert np.isnan(read_signal(read_header(recording), 0)[:10]).all()


def test_people_and_labels_are_given_with_the_recordings(tmp_path):
    labels = {
        "task": {"kind": "class", "table": "t.csv"},
        "dose": {"kind": "number", "table": "t.csv"},
        "age": {"kind": "age"},
    }
    table = definition(labels=labels, people="p.csv")
    values = made.physical(made.digital())["Fp1"]
    given = [("a", "anna", "F", 31, {"task": "rest", "dose": 2.5}), ("b", "ben", "M", 42, {"task": "sums"})]
    records = [
        from_arrays({"Fp1": values}, 250, "uV", name=name, person=person, sex=sex, age=age, labels=found)
        for name, person, sex, age, found in given
    ]
    manifest = convert(records, table, tmp_path, progress=None)
    assert [(r.name, r.person, r.sex, r.age) for r in manifest.records] == [
        ("a", "anna", "F", 31),
        ("b", "ben", "M", 42),
    ]
    assert manifest.labels["task"]["classes"] == ["rest", "sums"]
    assert [r.labels["task"] for r in manifest.records] == [{"0": 4}, {"1": 4}]
    assert [r.labels["dose"]["labelled"] for r in manifest.records] == [4, 0]
    wrong = from_arrays({"Fp1": values}, 250, "uV", name="c", labels={"dose": "much"})
    with pytest.raises(DataError, match=r"c: \[labels.dose\]: must be a number. Received: 'much'"):
        convert(wrong, table, tmp_path / "other", progress=None)


@pytest.mark.parametrize(
    ("given", "classes", "counts"),
    [
        (["control", "case", "?", np.nan, None], ["case", "control"], ["1", "0", "-1", "-1", "-1"]),
        ([0, 1, False], ["0", "1", "False"], ["0", "1", "2"]),
    ],
)
def test_classes_of_recordings_are_their_known_labels(given, classes, counts, tmp_path):
    table = definition(labels={"group": {"kind": "class", "table": "t.csv", "unscored": ["?"]}})
    values = made.physical(made.digital())["Fp1"]
    records = [
        from_arrays({"Fp1": values}, 250, "uV", name=f"r{i}", labels={"group": one}) for i, one in enumerate(given)
    ]
    manifest = convert(records, table, tmp_path, progress=None)
    assert manifest.labels["group"]["classes"] == classes
    assert [r.labels["group"] for r in manifest.records] == [{number: 4} for number in counts]


def test_a_rerun_converts_only_what_changed(tmp_path):
    lines = []
    for seed, expected in ((0, 1), (0, 0), (1, 1)):
        lines.clear()
        convert(arrays(seed), definition(), tmp_path, progress=lines.append)
        assert f"1 record, {expected} to convert" in lines[0]
    assert "1 converted already" in plan(arrays(1), definition(), tmp_path)[0]


def test_recordings_travel_to_other_processes(tmp_path):
    records = [arrays(), from_raw(made.make_raw(made.digital(1), MARKS), name="other")]
    sent = pickle.loads(pickle.dumps(records))
    one = convert(records, definition(), tmp_path / "here", progress=None)
    two = convert(sent[:1], definition(), tmp_path / "there", progress=None)
    assert two.records[0].sha256 == one.records[0].sha256
    assert [record.digest() for record in sent] == [record.digest() for record in records]


def test_files_in_the_working_folder_are_not_taken_for_a_recordings_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "night_raw.stages").write_bytes(b"nothing of this kind")
    (tmp_path / "night_raw-arousal.mat").write_bytes(b"nothing of this kind")
    label = {"kind": "stages", "annotator": "stages", "classes": ["W", "N2"]}
    found = inspect_record(arrays(), definition(labels={"stage": label}))
    assert (found.error, found.labels["stage"].tolist()) == (None, [0, 0, 1, 1])


@pytest.mark.parametrize("version", ["1.25", "2.20"])
def test_raws_of_gdf_have_the_units_of_the_file(tmp_path, version):
    # MNE takes millivolts of GDF 1 for volts.
    raw = mne.io.read_raw(made.write_gdf(tmp_path, version=version), verbose="ERROR").pick(["ECG", "Fp1"])
    recording, wanted = from_raw(raw), made.physical(made.digital())
    assert [signal.unit for signal in recording.signals] == ["mV", "uV"]
    for index, name in enumerate(["ECG", "Fp1"]):
        np.testing.assert_allclose(recording.read(index), wanted[name], rtol=1e-6, atol=1e-3 * made.STEPS[name])


def test_raws_of_edf_are_in_microvolts_however_the_unit_is_spelled(tmp_path):
    # MNE calls UV microvolts, and takes the numbers for volts.
    channels = [edf_bytes.channel(name, dim=unit, seconds=2) for name, unit in [("a", "uV"), ("b", "UV"), ("c", "mV")]]
    path = edf_bytes.write(tmp_path / "r.edf", channels)
    recording, header = from_raw(mne.io.read_raw(path, verbose="ERROR")), read_header(path)
    assert [signal.unit for signal in recording.signals] == ["uV", "uV", "mV"]
    for index in range(3):
        np.testing.assert_allclose(recording.read(index), read_signal(header, index), rtol=1e-5, atol=1e-4)


def test_infinity_is_missing():
    recording = from_arrays({"a": [1, np.inf, -np.inf, 2]}, 1)
    np.testing.assert_array_equal(np.isnan(recording.read(0)), [False, True, True, False])
    assert recording.notes == ("a: 2 infinite values taken as missing data",)


@pytest.mark.once
def test_ages_and_classes_of_recordings_need_no_table(tmp_path):
    labels = {"age": {"kind": "age"}, "task": {"kind": "class", "classes": ["rest", "walk"]}}
    labels |= {"mood": {"kind": "spans", "classes": ["calm", "tense"]}}
    eeg = {"Fp1": np.random.default_rng(0).normal(scale=20, size=6000)}
    about = {"labels": {"task": "walk"}, "scores": [(0, 30, "calm")]}
    recordings = [from_arrays(eeg, 100, "uV", name=f"r{age}", age=age, **about) for age in (None, 34)]
    manifest = convert(recordings, definition(labels=labels), tmp_path / "out", progress=None)
    known, unknown = (next(one for one in manifest.records if one.name == name) for name in ("r34", "rNone"))
    assert known.labels == {"age": {"labelled": 2, "value": 34.0}, "task": {"1": 2}, "mood": {"0": 1, "-1": 1}}
    assert not known.notes
    assert (known.age, unknown.age, unknown.labels["age"]) == (34.0, None, {"labelled": 0})
    assert len(repr(manifest)) < 500
    assert "2 records of 2 people" in repr(manifest)


def test_inspection_takes_recordings_and_raws():
    raw = made.make_raw(marks=MARKS)
    for thing in (raw, arrays()):
        found = inspect_record(thing, definition())
        assert (found.verdict, found.windows, found.error) == ("good", 4, None)
        assert found.labels["stage"].tolist() == [0, 0, 1, 1]
        assert [channel["unit"] for channel in found.channels] == ["uV", "mV", "uS"]
    flat = from_arrays({"Fp1": np.zeros(15_000), "Pz": np.zeros(15_000)}, 250, "uV", name="flat", scores=MARKS[:1])
    found = inspect_record(flat, definition())
    dead = [doubt for doubt in found.doubts if "Fp1" in doubt]
    assert len(dead) == 1
    assert dead[0].startswith("eeg is usable in 0% of the windows; Fp1: ")
    assert repr(found).startswith(f"Inspection of flat: doubtful: {dead[0]}")
    assert len(repr(found)) < 1000
    assert inspect_record(from_arrays({"Pz": np.ones(9)}, 1, name="x"), definition()).verdict == "unusable"


def test_what_mne_skipped_and_cropped_is_so_here(tmp_path):
    raw = made.make_raw(marks=[(30, 30, "BAD_ACQ_SKIP"), *MARKS]).crop(30)
    recording = from_raw(raw, name="cropped")
    values = recording.read(0)
    assert np.isnan(values[:7500]).all()
    assert np.isfinite(values[7501:]).all()
    assert inspect_record(recording, definition()).labels["stage"].tolist() == [0, 1, 1]


def test_a_pause_that_is_marked_later_is_converted_again(tmp_path):
    raw = made.make_raw(marks=MARKS)
    before = convert(raw, definition(), tmp_path / "out", progress=None)
    raw.set_annotations(raw.annotations + mne.Annotations([60], [30], ["BAD_ACQ_SKIP"], raw.annotations.orig_time))
    after = convert(raw, definition(), tmp_path / "out", progress=None)
    fresh = convert(raw, definition(), tmp_path / "fresh", progress=None)
    assert after.data_hash == fresh.data_hash != before.data_hash


def test_a_raw_is_read_for_scoring_as_it_is_converted():
    raw = made.make_raw(marks=[(30, 30, "BAD_ACQ_SKIP"), *MARKS]).crop(30)
    own = definition(montage={"ECG2": ["-ECG"]}, modalities={"ecg": {"rate": 100, "unit": "mV", "channels": ["ECG2"]}})
    night = night_of_raw(raw, own)
    stored, present, _ = record_windows(from_raw(raw).header, own)
    np.testing.assert_array_equal(night.signals["ecg"], stored["ecg"])
    np.testing.assert_array_equal(night.present, present)
    assert (present[0, 0], present[-1, 0]) == (False, True)


BAD = {
    "no channel": (lambda: from_arrays({}, 100), "at least one channel"),
    "two rows": (lambda: from_arrays({"a": np.zeros((2, 9))}, 1), r"channel a: must be one row .*\(2, 9\)"),
    "text": (lambda: from_arrays({"a": ["x"]}, 1), "channel a: must be one row of real numbers"),
    "no rate": (lambda: from_arrays({"a": [1.0], "b": [1.0]}, {"a": 1}), "channel b: `rates` must give its rate"),
    "rate 0": (lambda: from_arrays({"a": [1.0]}, 0), "channel a: `rates` must give"),
    "lengths": (lambda: from_arrays({"a": np.ones(9), "b": np.ones(20)}, 1), "channel b: must last as long .* 9 s"),
    "unit of no channel": (
        lambda: from_arrays({"a": np.ones(9)}, 1, {"A": "uV"}),
        "`units` must be of its channels a. .*A",
    ),
    "no onset": (
        lambda: from_arrays({"a": np.ones(9)}, 1, scores=[(np.nan, 1, "W")]),
        r"scores\[0\]: must be \(onset, dur",
    ),
    "no duration": (lambda: from_arrays({"a": np.ones(9)}, 1, scores=[(0, np.nan, "W")]), "the duration 0 or more"),
    "duration": (
        lambda: from_arrays({"a": np.ones(9)}, 1, scores=[(0, 9, "W"), (9, -30, "W")]),
        r"scores\[1\]: must .*-30",
    ),
    "unknown label": (
        lambda: convert(from_arrays({"Fp1": np.ones(9)}, 1, labels={"tsk": "a"}), definition(), "x"),
        "recording: `labels` must be those of the definition of the kinds class, number: none. Received also: tsk",
    ),
    "no scores": (lambda: convert(from_arrays({"Fp1": np.ones(99)}, 1), definition(), "x"), "no recording has scores"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_cannot_be_a_recording_is_an_error(fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, words = BAD[fault]
    with pytest.raises(DataError, match=words):
        make()


def test_a_recording_without_units_is_set_aside_with_the_way_out(tmp_path):
    with pytest.warns(UserWarning, match="Fp1: its unit is 'unknown'.*give `units`"):
        convert(from_arrays({"Fp1": np.ones(9)}, 1), definition(window=3, labels={}), tmp_path, progress=None)


def test_a_score_behind_the_end_sets_the_recording_aside(tmp_path):
    recording = from_arrays({"Fp1": np.ones(99)}, 1, "uV", scores=[(0, 30, "W"), (100, 30, "N2")])
    with pytest.warns(UserWarning, match=r"no record could be converted.*1, the first recording:.* ends at 99 s"):
        convert(recording, definition(), tmp_path, progress=None)
    manifest = convert([recording, arrays()], definition(), tmp_path, progress=None)
    assert "must lie in the record, which ends at 99 s" in manifest.set_aside[0]["reason"]


def test_spans_of_arrays_need_no_file(tmp_path):
    label = {"kind": "spans", "classes": ["rest", "stress"]}
    own = definition(labels={"task": label})
    recording = from_arrays(
        {"Fp1": np.random.default_rng(0).normal(0, 30, 9000)}, 100, "uV", scores=[(0, 30, "rest"), (30, 60, "stress")]
    )
    assert convert(recording, own, tmp_path / "out", progress=None).records[0].labels == {"task": {"0": 1, "1": 2}}
    made.make_raw(marks=MARKS).save(tmp_path / "night_raw.fif", fmt="double", verbose="ERROR")
    with pytest.raises(DataError, match=r"\[labels.task\] annotator: must name the annotation file.*or give `file`"):
        convert(tmp_path, own, tmp_path / "other", progress=None)


def test_bad_arguments_are_value_errors(tmp_path):
    with pytest.raises(ValueError, match=r"`source` must be a folder, or recordings.*dict"):
        convert([{"a": 1}], definition(), tmp_path)
    with pytest.raises(ValueError, match=r"`source` must be a folder, or recordings.*ndarray"):
        convert(np.zeros(9), definition(), tmp_path)
    with pytest.raises(ValueError, match=r"`path` must be one recording. Received: 2"):
        inspect_record([arrays(), from_raw(made.make_raw())], definition())
    with pytest.raises(ValueError, match=r"different names. Received twice: night_raw"):
        convert([arrays(), arrays(1)], definition(), tmp_path)
    with pytest.raises(ValueError, match="`name` must be a file name"):
        from_arrays({"a": [1.0]}, 1, name="../a")


def test_what_a_masked_array_hides_is_missing(tmp_path):
    hidden = np.ma.masked_greater(np.append(np.arange(50, dtype=np.int16), 999), 900)
    values = read_signal(from_arrays({"A": hidden}, 10).header, 0)
    np.testing.assert_array_equal(values, np.append(np.arange(50), np.nan))


def test_people_and_arguments_of_arrays_follow_the_rules_of_tables(tmp_path):
    own = definition(labels={})
    values = made.physical(made.digital())["Fp1"]
    record = from_arrays({"Fp1": values}, made.RATE, "uV", person=7, sex="female", age="31")
    (record,) = convert(record, own, tmp_path, progress=None).records
    assert (record.person, record.sex, record.age) == ("7", "F", 31)
    for wrong in ({"age": -5}, {"age": 999}, {"sex": "x"}):
        with pytest.raises(DataError, match=r"recording: (age|sex): "):
            convert(from_arrays({"Fp1": values}, made.RATE, "uV", **wrong), own, tmp_path, progress=None)
    for signals in (np.zeros((2, 9)), {3: values}):
        with pytest.raises(DataError, match="`signals` must be a dict"):
            from_arrays(signals, 10)
    with pytest.raises(DataError, match=r"scores\[0\]: must be \(onset, duration, text\)"):
        from_arrays({"Fp1": values}, 10, scores=[("soon", 30, "W")])
    with pytest.raises(DataError, match="channel Fp1: `rates` must give"):
        from_arrays({"Fp1": values}, "fast")
