import hashlib
import json
import shutil

import h5py
import numpy as np
import pytest
import wfdb

from physiokeras.pipelines.labels.challenge import Event
from physiokeras.pipelines.simulation.challenge_files import CHANNELS, write_annotations
from physiokeras.pipelines.simulation.simulator import simulate

EPOCH = 6000
STAGES = ["W", "N1", "N2", "N3", "R"]
VECTORS = ["wake", "nonrem1", "nonrem2", "nonrem3", "rem", "undefined"]


def digests(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_header_has_the_names_units_and_gains_of_the_real_records(cohort, real_data):
    real = wfdb.rdheader(str(real_data / "cinc2018" / "tr03-0005"))
    for recording in cohort:
        for field in ("sig_name", "units", "adc_gain", "baseline", "fmt", "byte_offset", "adc_res", "adc_zero", "fs"):
            assert getattr(recording.record, field) == getattr(real, field), field


def test_header_agrees_with_the_signal_file(cohort):
    for recording in cohort:
        content = recording.path.with_suffix(".mat").read_bytes()
        assert len(content) == 24 + 2 * 13 * recording.record.sig_len
        assert np.frombuffer(content[:20], "<i4").tolist() == [30, 13, recording.record.sig_len, 0, 4]
        digital = np.frombuffer(content[24:], "<i2").reshape(-1, 13)
        assert digital[0].tolist() == recording.record.init_value
        checksums = digital.sum(axis=0, dtype=np.int64).astype(np.int16)
        assert checksums.tolist() == np.array(recording.record.checksum, np.int64).astype(np.int16).tolist()


def test_header_says_that_the_record_is_simulated(cohort):
    assert all("Simulated" in " ".join(recording.record.comments) for recording in cohort)


def test_annotation_files_are_written_byte_for_byte_as_the_real_ones(tmp_path, real_data):
    name = "tr03-0005"
    annotations = wfdb.rdann(str(real_data / "cinc2018" / name), "arousal")
    notes = list(zip(annotations.sample.tolist(), annotations.aux_note, strict=True))
    stages, events, opened = np.full(900, -1), [], {}
    for sample, note in notes:
        if note in STAGES:
            stages[sample // EPOCH :] = STAGES.index(note)
        elif note.startswith("("):
            opened[note[1:]] = sample
        else:
            events.append(Event(note[:-1], opened.pop(note[:-1]), sample))
    write_annotations(tmp_path, name, stages, sorted(events, key=lambda event: event.begin))
    written = (tmp_path / f"{name}.arousal").read_bytes()
    assert written == (real_data / "cinc2018" / f"{name}.arousal").read_bytes()


def test_vectors_have_the_shapes_and_types_of_the_real_ones(cohort, real_data):
    with (
        h5py.File(f"{cohort[0].path}-arousal.mat") as file,
        h5py.File(real_data / "cinc2018" / "tr03-0005-arousal.mat") as real,
    ):
        frames = cohort[0].record.sig_len
        for name in ("arousals", *(f"sleep_stages/{stage}" for stage in VECTORS)):
            mine, theirs = file[f"data/{name}"], real[f"data/{name}"]
            assert mine.dtype == theirs.dtype
            assert mine.shape == tuple(frames if size > 1 else 1 for size in theirs.shape)


def test_stage_annotations_agree_with_vectors_one_sample_earlier(cohort):
    for recording in cohort:
        stacked = np.stack(list(recording.vectors.values()))
        assert (stacked.sum(axis=0) == 1).all()
        changes = (np.flatnonzero(np.diff(stacked.argmax(axis=0))) + 1).tolist()
        annotated = [(sample, note) for sample, note in recording.notes if note in STAGES]
        assert [sample - 1 for sample, _ in annotated] == changes[:-1]
        for sample, note in annotated:
            assert recording.vectors[VECTORS[STAGES.index(note)]][sample - 1] == 1
        assert changes[-1] == recording.record.sig_len - 1
        assert recording.vectors["undefined"][[0, -1]].tolist() == [1, 1]


def test_target_follows_the_rules_of_the_challenge(cohort):
    seen = 0
    for recording in cohort:
        unscored = np.zeros(len(recording.target), bool)
        for kind in ("hypopnea", "obstructiveapnea", "centralapnea", "mixedapnea"):
            for begin, end in recording.events(f"resp_{kind}"):
                unscored[max(0, begin - 1 - 2000) : end + 2000] = True
        wake = np.flatnonzero(recording.vectors["wake"])
        for sample in (*wake[::500], wake[-1]):
            unscored[max(0, sample - 2000) : sample + 2001] = True
        assert (recording.target[unscored] == -1).all()
        expected = np.zeros(len(recording.target), bool)
        for begin, end in recording.events("arousal_rera"):
            expected[begin - 1 - 400 : end + 2000] = True
            seen += 1
        free = recording.target != -1
        assert (recording.target[expected & free] == 1).all()
        if not recording.events("resp_partialobstructive"):
            assert (recording.target[~expected & free] == 0).all()
    assert seen > 10


def test_unlabelled_records_carry_no_labels(simulated_folder):
    files = sorted(path.suffix for path in (simulated_folder / "test").rglob("*") if path.is_file())
    assert files == [".hea", ".mat"]


def test_lists_name_every_record_once(simulated_folder):
    rows = (simulated_folder / "age-sex.csv").read_text().splitlines()
    names = (simulated_folder / "RECORDS").read_text().split()
    assert rows[0] == "Record,Sex,Age"
    assert sorted(row.split(",")[0] for row in rows[1:]) == sorted(name.split("/")[-1] for name in names)
    assert len(names) == len(set(names)) == 13
    assert all((simulated_folder / f"{name}.hea").is_file() for name in names)
    assert all(row.split(",")[1] in "MF" and 18 <= int(row.split(",")[2]) <= 90 for row in rows[1:])


# Determinism


def test_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path):
    settings = {"people": 2, "unlabelled": 1, "hours": 0.1, "progress": False}
    one = digests(simulate(tmp_path / "one", seed=1, **settings))
    two = digests(simulate(tmp_path / "two", seed=1, workers=2, **settings))
    other = digests(simulate(tmp_path / "other", seed=2, **settings))
    assert one == two
    assert not {one[name] for name in one if name.endswith((".mat", ".arousal"))} & set(other.values())


def test_more_people_leave_the_first_ones_as_they_were(tmp_path):
    few = digests(simulate(tmp_path / "few", 1, hours=0.1, progress=False) / "training")
    more = digests(simulate(tmp_path / "more", 2, hours=0.1, progress=False) / "training")
    assert few.items() <= more.items()


def test_interrupted_cohort_is_finished_with_the_same_bytes(tmp_path):
    settings = {"people": 2, "hours": 0.1, "progress": False}
    whole = digests(simulate(tmp_path, **settings))
    kept = (tmp_path / "simulation.json").read_bytes()
    (tmp_path / "simulation.json").rename(tmp_path / ".simulating.json")
    shutil.rmtree(next((tmp_path / "training").iterdir()))
    assert digests(simulate(tmp_path, **settings)) == whole
    assert (tmp_path / "simulation.json").read_bytes() == kept


def test_finished_cohort_is_used_again_without_work(tmp_path, monkeypatch):
    settings = {"people": 1, "hours": 0.1, "progress": False}
    simulate(tmp_path, **settings)
    monkeypatch.setattr(
        "physiokeras.pipelines.simulation.simulator.write_record", lambda *_: pytest.fail("simulated again")
    )
    assert simulate(tmp_path, **settings) == tmp_path


def test_folder_of_other_settings_or_contents_is_refused(tmp_path):
    simulate(tmp_path / "a", 1, hours=0.1, progress=False)
    with pytest.raises(ValueError, match=r"seed: there 0, asked 5"):
        simulate(tmp_path / "a", 1, hours=0.1, seed=5, progress=False)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="must be new or empty"):
        simulate(tmp_path / "b", 1, hours=0.1, progress=False)
    assert json.loads((tmp_path / "a" / "simulation.json").read_text())["people"] == 1


@pytest.mark.parametrize("settings", [{"people": 0}, {"people": -1, "unlabelled": 3}, {"people": 1, "hours": 0.01}])
def test_settings_out_of_range_are_refused(tmp_path, settings):
    with pytest.raises(ValueError, match="Received"):
        simulate(tmp_path, **settings)


def test_sensors_fail_at_a_realistic_rate(tmp_path):
    off = total = 0
    for path in (simulate(tmp_path, 0, 40, 1 / 12, progress=False) / "test").glob("*/*.mat"):
        digital = np.frombuffer(path.read_bytes()[24:], "<i2").reshape(-1, EPOCH, 13)
        still = (digital == np.where(np.array(list(CHANNELS)) == "SaO2", -32768, 0)).all(axis=1)
        off, total = off + still.sum(), total + still.size
    assert 0.005 < off / total < 0.06
