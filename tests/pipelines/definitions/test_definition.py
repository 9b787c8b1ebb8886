import json
from collections import Counter

import pytest

from physiokeras import catalogue
from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.people.split import assign_splits

TABLE = {"name": "mine", "modalities": {"ecg": {"rate": 100, "channels": ["ECG"]}}}


def changed(**changes):
    """`TABLE` with keys such as modalities__ecg__rate set."""
    table = json.loads(json.dumps(TABLE))
    for key, value in changes.items():
        *path, last = key.split("__")
        place = table
        for name in path:
            place = place.setdefault(name, {})
        place[last] = value
    return table


@pytest.mark.parametrize("name", catalogue.names("pipelines"))
def test_shipped_definition_survives_json(name):
    definition = Definition.read(name)
    again = Definition.from_dict(json.loads(json.dumps(definition.to_dict())))
    assert again == definition
    assert again.digest() == definition.digest()


def test_challenge_definition_is_the_method():
    definition = Definition.read("physionet2018")
    assert definition.tokens == 30
    assert {name: definition.samples(name) for name in definition.modalities} == {
        "eeg": 3000, "eog": 3000, "emg": 6000, "ecg": 3000, "resp": 600, "spo2": 120,
    }  # fmt: skip
    assert definition.defaults == ("eeg", "eog", "emg", "ecg")
    assert len(definition.channels) == 13
    assert definition.modalities["emg"].bandpass == (10, 95)
    simulated = Definition.read("simulated")
    assert simulated.modalities == definition.modalities
    assert simulated.labels == definition.labels


def test_ecg_is_stored_alike_in_all_definitions():
    ecgs = [Definition.read(name).modalities["ecg"]
            for name in ("physionet2018", "mitdb", "drivedb")]  # fmt: skip
    assert len({(ecg.rate, ecg.bandpass, ecg.unit, ecg.scale, ecg.offset, ecg.factor, ecg.clip) for ecg in ecgs}) == 1
    assert set(ecgs[1].channels[0].names) == {"MLII", "ECG"}


STAGES = {"kind": "stages", "annotator": "st", "classes": ["W", "R"]}
BROKEN = {
    "unknown key": (changed(windw=30), "definition", "windw"),
    "unknown modality key": (changed(modalities__ecg__rat=1), "[modalities.ecg]", "Known: name, rate, channels"),
    "unknown channel key": (changed(modalities__ecg__channels=[{"nam": "x"}]), "[modalities.ecg] channels", "nam"),
    "unknown label key": (changed(labels__a={"kind": "age", "cut": 1}), "[labels.a]", "cut"),
    "unknown label kind": (changed(labels__a={"kind": "mood", "annotator": "x"}), "[labels.a] kind", "'mood'"),
    "unknown split key": (changed(split__tset=0.2), "[split]", "tset"),
    "no modality": ({"name": "x", "modalities": {}}, "[modalities]", "at least one"),
    "no name": ({"modalities": TABLE["modalities"]}, "definition", "misses the key name"),
    "no channel": (changed(modalities__ecg__channels=[]), "[modalities.ecg] channels", "at least one"),
    "text for number": (changed(modalities__ecg__rate="100"), "[modalities.ecg] rate", "'100'"),
    "true for number": (changed(window=True), "definition window", "True"),
    "infinite": (changed(window=float("inf")), "definition window", "finite"),
    "negative rate": (changed(modalities__ecg__rate=-1), "[modalities.ecg] rate", "above 0"),
    "patch of half a sample": (changed(patch=0.005, window=30), "[modalities.ecg] rate", "whole number of samples"),
    "window of half a patch": (changed(window=30.5), "window", "whole number of patches"),
    "band above Nyquist": (changed(modalities__ecg__bandpass=[1, 50]), "[modalities.ecg] bandpass", "[1.0, 50.0]"),
    "notch above Nyquist": (changed(modalities__ecg__notch=60), "[modalities.ecg] notch", "60"),
    "clip above the stored range": (changed(modalities__ecg__clip=21), "[modalities.ecg] clip", "20"),
    "factor of zero": (changed(modalities__ecg__factor=0), "[modalities.ecg] factor", "above 0"),
    "unknown scale": (changed(modalities__ecg__scale="log"), "[modalities.ecg] scale", "'log'"),
    "channel in two modalities": (
        changed(modalities__b={"rate": 1, "channels": [{"name": "x", "alias": ["ECG"]}]}),
        "[modalities.b] channels",
        "in ecg already",
    ),
    "no one left to train": (changed(split={"test": 0.5, "validation": 0.5}), "[split]", "below 1"),
    "annotator that climbs": (
        changed(labels__a={"kind": "stages", "annotator": "../x", "classes": ["a", "b"]}),
        "[labels.a] annotator",
        "../x",
    ),
    "beat in both sets": (
        changed(labels__a={"kind": "beats", "annotator": "atr", "normal": ["N"], "abnormal": ["N"]}),
        "[labels.a]",
        "share none",
    ),
    "person without a group": (changed(person="drive"), "person", "one group"),
    **{
        f"modality called {name}": (
            changed(modalities={name: {"rate": 1, "channels": ["x"]}}),
            f"[modalities.{name}]",
            "name",
        )
        for name in ("present", "kept", "record", "eeg/left", "eeg left", "1lead", "")
    },
    **{
        f"label called {name}": (changed(**{f"labels__{name}": STAGES}), f"[labels.{name}]", "name")
        for name in ("window", "present", "ecg", "seconds", "a/b")
    },
    "class called none": (changed(labels__a={**STAGES, "classes": ["none", "W"]}), "[labels.a] classes", '"none"'),
    "class twice": (changed(labels__a={**STAGES, "classes": ["W", "W"]}), "[labels.a] classes", "one class"),
    "text of two classes": (
        changed(labels__a={**STAGES, "prefix": "Stage ", "mapping": {"1": "W", "Stage 1": "R"}}),
        "[labels.a] mapping",
        "'1'",
    ),
    "class that is unscored": (changed(labels__a={**STAGES, "unscored": ["W"]}), "[labels.a] unscored", "'W'"),
    "class mapped to another": (changed(labels__a={**STAGES, "mapping": {"W": "R"}}), "[labels.a] mapping", "'W'"),
    "grid of no label": (changed(grid="stage"), "grid", "there is none"),
    "list for table": (changed(modalities=[1]), "[modalities]", "table"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_error_names_key_rule_and_value(fault):
    table, place, words = BROKEN[fault]
    with pytest.raises(DataError) as error:
        Definition.from_dict(table)
    assert error.value.place == place
    assert words in str(error.value)


def test_own_file_is_read_and_named_in_errors(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[modalities.ecg]\nrate = 100\nchannels = ["ECG"]\n[split]\npretrain = "u*"\n')
    assert Definition.read(str(path)).split.pretrain == ("u*",)
    path.write_text('name = "mine"\nspeed = 1\n')
    with pytest.raises(DataError, match=r"mine\.toml: definition: unknown key speed"):
        Definition.read(path)
    path.write_bytes(b"name = \xff")
    with pytest.raises(DataError, match="valid TOML"):
        Definition.read(path)


def test_rates_need_not_be_whole_where_the_patch_is():
    definition = Definition.from_dict(changed(patch=2, modalities__ecg__rate=62.5))
    assert definition.samples("ecg") == 1875
    assert definition.tokens == 15
    assert definition.windows(59.99) == 1
    assert definition.windows(23655 / 15.5) == 50


def test_challenge_split_has_the_published_sizes(real_data):
    definition = Definition.read("physionet2018")
    names = [line.split(",")[0] for line in (real_data / "cinc2018/age-sex.csv").read_text().splitlines()[1:]]
    splits = assign_splits(definition, {name: definition.person_of(name) for name in names})
    assert Counter(splits.values()) == {"pretrain": 989, "train": 676, "test": 219, "validation": 99}
    assert {name[:2] for name in names if splits[name] == "pretrain"} == {"te"}


def test_split_depends_on_people_and_seed_alone():
    people = {f"r{number:02d}": f"p{number // 2}" for number in range(40)}
    definition = Definition.from_dict(changed(split={"test": 0.25, "validation": 0.1}))
    splits = assign_splits(definition, people)
    assert splits == assign_splits(definition, dict(reversed(people.items())))
    assert all(splits[f"r{2 * pair:02d}"] == splits[f"r{2 * pair + 1:02d}"] for pair in range(20))
    assert splits != assign_splits(Definition.from_dict(changed(split={"test": 0.25, "seed": 1})), people)


def test_people_who_are_added_move_nobody_and_shares_are_met_on_average():
    definition = Definition.from_dict(changed(split={"test": 0.22, "validation": 0.1}))
    people = {f"r{number}": f"p{number}" for number in range(4000)}
    all_splits = assign_splits(definition, people)
    for count in (1, 7, 100):
        some = dict(list(people.items())[:count])
        assert assign_splits(definition, some) == {name: all_splits[name] for name in some}
    counts = Counter(all_splits.values())
    # Three standard deviations of a binomial count.
    assert abs(counts["test"] - 880) < 3 * (4000 * 0.22 * 0.78) ** 0.5
    assert abs(counts["validation"] - 400) < 3 * (4000 * 0.1 * 0.9) ** 0.5


def test_a_larger_share_only_adds_people():
    people = {f"r{number}": f"p{number}" for number in range(500)}
    small, large = (assign_splits(Definition.from_dict(changed(split={"test": test, "validation": 0.0})), people)
                    for test in (0.2, 0.3))  # fmt: skip
    assert {name for name in people if small[name] == "test"} < {name for name in people if large[name] == "test"}


def test_person_in_two_splits_is_refused():
    definition = Definition.from_dict(changed(split={"pretrain": ["te*"]}))
    with pytest.raises(DataError, match="one split"):
        assign_splits(definition, {"te1": "anna", "tr1": "anna", "tr2": "ben"})


def test_two_recordings_of_one_person_are_one_person():
    drive = Definition.read("drivedb")
    assert drive.person_of("drive17a") == drive.person_of("drive17b") == "drive17"
    assert drive.person_of("drive05") == "drive05"
    heart = Definition.read("mitdb")
    assert heart.person_of("202") == heart.person_of("201") == "201"
    with pytest.raises(DataError, match="same_person"):
        drive.person_of("walk1")
