"""Each shipped definition of a public data set converts a generated miniature in that set's documented layout."""

from collections import Counter

import h5py
import numpy as np
import pytest
import wfdb

from physiokeras.pipelines import Definition, convert
from physiokeras.pipelines.definitions.montage import find_sources
from physiokeras.pipelines.inspecting.draft import write_draft
from physiokeras.pipelines.inspecting.folder import look
from physiokeras.pipelines.inspecting.folder_text import describe_folder
from physiokeras.pipelines.labels.window_labels import read_labels
from physiokeras.pipelines.readers.records import read_header
from tests import edf_bytes

SECONDS = 180
STAGES = ("W", "N1", "N2", "N3", "R", "none")
NSRR = ("Wake|0", "Stage 1 sleep|1", "Stage 2 sleep|2", "Stage 4 sleep|4", "REM sleep|5", "Unscored|9")
"""One mark for each of `STAGES`."""


def edf(path, channels, **options):
    """An EDF file; `channels` is a dict of name -> (rate, unit), of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [edf_bytes.channel(name, rate, SECONDS, seed, dim=unit, **({"pmin": -5, "pmax": 5} if unit == "mV" else {}))
            for seed, (name, (rate, unit)) in enumerate(channels.items(), sum(path.stem.encode()))]  # fmt: skip
    edf_bytes.write(path, made, **options)


def nsrr_xml(path):
    """Scores of six epochs as NSRR writes them, with an event between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = [("", "Recording Start Time", 0, SECONDS), ("Respiratory|Respiratory", "Hypopnea|Hypopnea", 40.5, 14.2)]
    events += [("Stages|Stages", text, 30 * place, 30) for place, text in enumerate(NSRR)]
    fields = "<EventType>{}</EventType><EventConcept>{}</EventConcept><Start>{}</Start><Duration>{}</Duration>"
    lines = "".join(f"<ScoredEvent>{fields.format(*event)}</ScoredEvent>" for event in events)
    head = '<?xml version="1.0" encoding="UTF-8"?><PSGAnnotation><SoftwareVersion>Compumedics</SoftwareVersion>'
    path.write_text(f"{head}<EpochLength>30</EpochLength><ScoredEvents>{lines}</ScoredEvents></PSGAnnotation>")


def shhs(folder):
    for visit, second, third in (("shhs1", "EEG(sec)", "NEW AIR"), ("shhs2", "EEG 2", "AIRFLOW")):
        name = f"{visit}-200001"
        edf(folder / "edfs" / visit / f"{name}.edf",
            {"SaO2": (1, ""), "H.R.": (1, ""), second: (125, "uV"), "ECG": (250, "mV"), "EMG": (125, "uV"),
             "EOG(L)": (50, "uV"), "EOG(R)": (50, "uV"), "EEG": (125, "uV"), "THOR RES": (10, ""), "ABDO RES": (10, ""),
             "POSITION": (1, ""), "LIGHT": (1, ""), third: (10, ""), "OX stat": (1, "")})  # fmt: skip
        nsrr_xml(folder / "annotations-events-nsrr" / visit / f"{name}-nsrr.xml")


def mesa(folder):
    edf(folder / "edfs" / "mesa-sleep-0001.edf",
        {"EKG": (256, "mV"), "EOG-L": (256, "uV"), "EOG-R": (256, "uV"), "EMG": (256, "uV"), "EEG1": (256, "uV"),
         "EEG2": (256, "uV"), "EEG3": (256, "uV"), "Flow": (32, ""), "Thor": (32, ""), "Abdo": (32, ""),
         "Pleth": (256, ""), "OxStatus": (1, ""), "SpO2": (1, "%"), "HR": (1, "")})  # fmt: skip
    nsrr_xml(folder / "annotations-events-nsrr" / "mesa-sleep-0001-nsrr.xml")


def mros(folder):
    names = ("C3", "C4", "A1", "A2", "ROC", "LOC", "L Chin", "R Chin")
    for visit in ("visit1", "visit2"):
        name = f"mros-{visit}-aa0001"
        slow = {"Leg L": (64, "uV"), "Airflow": (16, ""), "Thoracic": (16, ""), "Abdominal": (16, ""), "SAO2": (1, "")}
        fast = {**dict.fromkeys(names, (256, "uV")), "ECG L": (512, "mV"), "ECG R": (512, "mV")}
        edf(folder / "edfs" / visit / f"{name}.edf", fast | slow)
        nsrr_xml(folder / "annotations-events-nsrr" / visit / f"{name}-nsrr.xml")


def isruc(folder):
    namings = [
        ("LOC-A2", "ROC-A1", "F3-A2", "C3-A2", "O1-A2", "F4-A1", "C4-A1", "O2-A1"),
        ("E1-M2", "E2-M1", "F3-M2", "C3-M2", "O1-M2", "F4-M1", "C4-M1", "O2-M1"),
        ("LOC", "ROC", "A1", "A2", "F3", "C3", "O1", "F4", "C4", "O2"),
    ]
    for number, names in enumerate(namings, 1):
        channels = {**dict.fromkeys(names, (200, "uV")), "X1": (200, "uV"), "X2": (200, "mV"), "SaO2": (12, "")}
        edf(folder / f"{number}" / f"{number}.edf", channels)
        for scorer in (1, 2):
            (folder / f"{number}" / f"{number}_{scorer}.txt").write_text(
                "0\n1\n2\n3\n5\n?\n"[: -2 * (scorer - 1) or None]
            )


def slpdb(folder):
    random = np.random.default_rng(0)
    units = {"BP": "mmHg", "SO2": "%", "SV": "ml", "Resp": "l"}
    for name, names in {
        "slp01a": ("ECG", "BP", "EEG (C4-A1)", "Resp (sum)"),
        "slp32": ("ECG", "BP", "EEG (C4-A1)", "Resp (nasal)", "Resp (chest)", "EOG (right)", "EMG"),
        "slp60": ("ECG", "BP", "EEG (C3-O1)", "Resp (abdominal)", "Resp (nasal)", "SV", "SO2"),
    }.items():
        each = [units.get(signal.split(" ")[0], "mV") for signal in names]
        levels = [{"%": 95, "mmHg": 90}.get(unit, 0) for unit in each]
        signals = random.normal(levels, 0.1, (250 * SECONDS, len(names)))
        wfdb.wrsamp(name, fs=250, units=each, sig_name=list(names), p_signal=signals, fmt=["212"] * len(names),
                    write_dir=str(folder))  # fmt: skip
        marks = ["W", "1 HA", "2", "4 L LA", "R", "MT"]
        wfdb.wrann(name, "st", np.arange(6) * 7500, ['"'] * 6, aux_note=marks, write_dir=str(folder))
        wfdb.wrann(name, "ecg", np.arange(0, 250 * SECONDS, 250), ["N"] * 179 + ["V"], write_dir=str(folder))


def bidmc(folder):
    random = np.random.default_rng(0)
    waves = ("RESP,", "PLETH,", "V,", "AVR,", "II,"), ("pm", "NU", "mV", "mV", "mV"), 125
    numbers = ("HR,", "PULSE,", "RESP,", "SpO2,"), ("bpm", "bpm", "pm", "%"), 1
    for name, (names, units, rate) in {"bidmc01": waves, "bidmc01n": numbers}.items():
        signals = random.normal(0, 0.3, (rate * SECONDS + 1, len(names)))
        wfdb.wrsamp(name, fs=rate, units=list(units), sig_name=list(names), p_signal=signals, fmt=["16"] * len(names),
                    write_dir=str(folder))  # fmt: skip


def capslpdb(folder):
    """Two texts of RemLogic: with a column of positions and over midnight, and without, its times with points."""
    stages = list(zip(("W", "S1", "S2", "S4", "R", "MT"), ("S0", "S1", "S2", "S4", "REM", "MT"), strict=True))
    for name, start, point in (("n1", 86400 - 60, ":"), ("narco2", 79200, ".")):
        channels = {"C4-A1" if point == ":" else "C3-A2": (128, "uV"), "ROC-LOC": (128, "uV"), "EMG1-EMG2": (256, "uV"),
                    "ECG1-ECG2": (128, "mV"), "SAO2": (1, "%")}  # fmt: skip
        edf(folder / f"{name}.edf", channels, time=f"{start // 3600:02}.{start // 60 % 60:02}.00")
        rows = []
        for number, (stage, event) in enumerate(stages):
            marks = [(30 * number, f"SLEEP-{event}", 30)] + [(30 * number + 7, "MCAP-A1", 5)] * (stage == "S2")
            for second, text, length in marks:
                time = (start + second) % 86400
                clock = point.join(f"{part:02}" for part in (time // 3600, time // 60 % 60, time % 60))
                rows.append([stage, *["Unknown Position"] * (point == ":"), clock, text, str(length), "C4-A1"])
        head = ["Sleep Stage", *["Position"] * (point == ":"), "Time [hh:mm:ss]", "Event", "Duration[s]", "Location"]
        lines = ["RemLogic Event Export", f"Patient:\t{name}", "Recording Date:\t01/01/2001", "", "Events Included:"]
        lines += ["SLEEP-S0", "MCAP-A1", "", *("\t".join(row) for row in (head, *rows))]
        (folder / f"{name}.txt").write_text("\r\n".join(lines) + "\r\n")


def e4(folder, begin=1495437325.0):
    """One export; its files but HR.csv begin together."""
    random = np.random.default_rng(sum(folder.name.encode()))
    folder.mkdir(parents=True)
    for name, (rate, columns) in {"ACC": (32, 3), "BVP": (64, 1), "EDA": (4, 1), "TEMP": (4, 1), "HR": (1, 1)}.items():
        start = begin + 10 * (name == "HR")
        values = random.integers(-64, 64, (rate * SECONDS, columns))
        rows = [[f"{start:.6f}"] * columns, [f"{rate:.6f}"] * columns, *values.tolist()]
        (folder / f"{name}.csv").write_text("".join(", ".join(map(str, row)) + "\n" for row in rows))
    (folder / "IBI.csv").write_text(f"{begin:.6f}, IBI\n0.8,0.8\n")
    (folder / "tags.csv").write_text("")


def wesad(folder):
    for person in ("S2", "S17"):
        e4(folder / person / f"{person}_E4_Data")
        (folder / person / f"{person}_quest.csv").write_text("# ORDER;Base;TSST\n# START;7.08;39.55\n")


def e4_exports(folder):
    for name in ("1502_A01F11", "sub/1503_A01F11"):
        e4(folder / name)


def dod(folder):
    """Files of HDF5: DOD-H and DOD-O have some derivations in common."""
    groups = {"emg": ("ECG", "EMG"), "eog": ("EOG1", "EOG2")}
    for name, more in (("healthy", ("FP1_M2", "F4_M1")), ("apnea", ("O1_M2", "C4_M1"))):
        random = np.random.default_rng(sum(name.encode()))
        with h5py.File(folder / f"{name}.h5", "w") as file:
            for group, names in {"eeg": ("C3_M2", "F3_M2", "F3_F4", "F3_O1", *more), **groups}.items():
                made = file.create_group(f"signals/{group}")
                made.attrs["fs"], made.attrs["unit"] = 250, "µV"
                for each in names:
                    values = random.normal(0, 30, 250 * SECONDS).astype(np.float32)
                    made.create_dataset(each, data=values, compression="gzip")
            file["hypnogram"] = np.array([0, 1, 2, 3, 4, -1])


LAYOUTS = {
    "dod": (dod, 2, 2, {"C3_M2": {"C3_M2"}, "ECG": {"ECG"}}),
    "shhs": (shhs, 2, 1, {"C3-A2": {"EEG(sec)", "EEG 2"}, "C4-A1": {"EEG"}, "Airflow": {"NEW AIR", "AIRFLOW"}}),
    "mesa": (mesa, 1, 1, {"Fz-Cz": {"EEG1"}, "ECG": {"EKG"}, "Chin": {"EMG"}}),
    "mros": (mros, 2, 1, {"C3-A2": {"C3 - A2"}, "Chin": {"L Chin - R Chin"}, "ECG": {"ECG L - ECG R"}}),
    "isruc": (isruc, 3, 3, {"F3-M2": {"F3-A2", "F3-M2", "F3 - A2"}, "E2-M1": {"ROC-A1", "E2-M1", "ROC - A1"}}),
    "slpdb": (slpdb, 3, 3, {"EEG": {"EEG (C4-A1)", "EEG (C3-O1)"}, "EOG": {"missing", "EOG (right)"}}),
    "capslpdb": (capslpdb, 2, 2, {"C4-A1": {"C4-A1", "C3-A2"}, "EMG1-EMG2": {"EMG1-EMG2"}}),
    "wesad": (wesad, 2, 2, {"BVP": {"BVP"}, "ACC-Z": {"ACC-Z"}}),
    "e4": (e4_exports, 2, 2, {"EDA": {"EDA"}}),
    "bidmc": (bidmc, 1, 1, {"PLETH": {"PLETH,"}, "II": {"II,"}}),
}
"""Builder, number of records and of people, and the sources of some channels."""


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_miniature_of_its_layout_converts_whole(tmp_path, name):
    build, records, people, sources = LAYOUTS[name]
    (tmp_path / "source").mkdir()
    build(tmp_path / "source")
    lines = []
    manifest = convert(tmp_path / "source", name, tmp_path / "out", progress=lines.append)
    assert not manifest.set_aside
    assert not manifest.problems
    assert len(manifest.records) == records
    assert len({record.person for record in manifest.records}) == people
    for channel, wanted in sources.items():
        found = {entry.get("source", "missing") for record in manifest.records for entry in record.channels
                 if entry["channel"] == channel}  # fmt: skip
        assert found == wanted
    for record in manifest.records:
        assert {record.present[modality] for modality in Definition.read(name).defaults} == {6}
        if "stage" in manifest.labels:
            counts = Counter({int(key): count for key, count in record.labels["stage"].items()})
            assert [counts[place] for place in (0, 1, 2, 3, 4, -1)] == [1] * 6
        if "cap" in manifest.labels:
            assert record.labels["cap"] == {"0": 5, "1": 1}


def test_slpdb_stages_of_real_records_are_those_that_wfdb_reads(real_data):
    """No signals are at hand: headers and annotations alone."""
    classes = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4, "M": -1}
    definition, found = Definition.read("slpdb"), 0
    for path in sorted((real_data / "slpdb").glob("*.hea")):
        header = read_header(path, check_files=False)
        annotations = wfdb.rdann(str(path.with_suffix("")), "st")
        expected = np.full(definition.windows(header.seconds), -1)
        for sample, note in zip(annotations.sample, annotations.aux_note, strict=True):
            place = sample / header.rate / 30
            if place == int(place) and place < len(expected):
                expected[int(place)] = classes[note[0]]
        labels = read_labels(header, definition, {})
        assert not any(find_sources(header, definition)[name].absent for name in ("EEG", "ECG", "BP"))
        # Where an epoch has no mark, the one before it lasts on.
        known = expected >= 0
        np.testing.assert_array_equal(labels["stage"][known], expected[known])
        found += known.sum()
    assert found > 5000


@pytest.mark.parametrize("name", ["shhs", "isruc", "slpdb"])
def test_a_draft_finds_the_stages_that_the_definition_names(tmp_path, name):
    source = tmp_path / "source"
    source.mkdir()
    LAYOUTS[name][0](source)
    write_draft(look(source), tmp_path / "draft.toml")
    drafted = convert(source, tmp_path / "draft.toml", tmp_path / "out", progress=None)
    assert not drafted.set_aside
    for record in drafted.records:
        assert record.labels["stage"] == {str(number): 1 for number in (-1, 0, 1, 2, 3, 4)}


@pytest.mark.parametrize("folder", ["slpdb", "mitdb", "drivedb", "cinc2018", "formats/wfdb", "formats/edf"])
def test_real_folders_are_listed_and_drafted(real_data, tmp_path, folder):
    found = look(real_data / folder)
    text = "\n".join(describe_folder(found))
    names = {signal.name for recording in found.recordings for signal in recording.header.signals}
    assert names
    assert all(f"\n{name} " in text for name in names)
    assert all(path.name in text for path in found.bad)
    write_draft(found, tmp_path / "draft.toml")
    definition = Definition.read(tmp_path / "draft.toml")
    assert {channel.name for channel in definition.channels} <= names
