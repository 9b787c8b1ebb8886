import pickle
from dataclasses import replace

import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines import Definition, Manifest, source, steps_per_pass, stream, verify, windows
from physiokeras.pipelines.prepared.joined import in_layout_of
from tests.two_folders import SLEEP, WRIST, prepare


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("joined")
    sleep = prepare(place / "sleep", SLEEP, {"t1": 7, "t2": 5, "x3": 4})
    return sleep, prepare(place / "wrist", WRIST, {"t1": 6, "v2": 3, "x4": 2})


def test_windows_have_the_values_of_their_folder_and_nothing_of_the_other(folders):
    joined = Manifest.joined(folders)
    assert {name: m["channels"] for name, m in joined.modalities.items()} == {
        "eeg": ["A", "B", "C"],
        "ecg": ["D"],
        "bvp": ["P"],
    }
    labels = ["stage", "age", "record", "window"]
    found = windows(folders, labels=labels)
    sleep = windows(folders[0], labels=["stage", "window"])
    wrist = windows(folders[1], labels=["age", "window"])
    assert [joined.records[n].name for n in np.unique(found["record"])][:4] == [
        "sleep/t1", "sleep/t2", "sleep/x3", "wrist/t1"]  # fmt: skip
    of_sleep, of_wrist = slice(0, 16), slice(16, None)
    np.testing.assert_array_equal(found["eeg"][of_sleep, :, :2], sleep["eeg"])
    np.testing.assert_array_equal(found["eeg"][of_wrist][:, :, [2, 1]], wrist["eeg"])
    np.testing.assert_array_equal(found["ecg"][of_sleep], sleep["ecg"])
    np.testing.assert_array_equal(found["bvp"][of_wrist], wrist["bvp"])
    np.testing.assert_array_equal(found["present"][of_sleep][:, [0, 1, 3]], sleep["present"])
    np.testing.assert_array_equal(found["present"][of_wrist][:, [2, 1, 4]], wrist["present"])
    nothing = [
        found["eeg"][of_sleep, :, 2],
        found["bvp"][of_sleep],
        found["eeg"][of_wrist, :, 0],
        found["ecg"][of_wrist],
    ]
    assert not any(values.any() for values in nothing)
    assert not found["present"][of_sleep][:, [2, 4]].any()
    assert not found["present"][of_wrist][:, [0, 3]].any()
    np.testing.assert_array_equal(found["stage"], [*sleep["stage"], *[-1] * 11])
    np.testing.assert_array_equal(found["age"], [*[np.nan] * 16, *wrist["age"]])
    np.testing.assert_array_equal(found["window"], [*sleep["window"], *wrist["window"]])


def test_batches_mix_the_folders_and_go_on_exactly_at_any_step(folders):
    joined = Manifest.joined(folders)
    options = {"batch_size": 4, "labels": ["record", "stage", "age"], "modalities": ["bvp", "eeg"], "seed": 1}
    whole, later = (
        source(joined, "train", **options),
        pickle.loads(pickle.dumps(source(folders, "train", start_step=5, **options))),
    )
    assert steps_per_pass(joined, "train", 4) == 18 // 4
    streamed = stream(folders, "train", **options).take(8).as_numpy_iterator()
    for step, (inputs, labels) in enumerate(streamed):
        assert list(inputs) == ["eeg", "bvp", "present"]
        for name, values in {**inputs, **labels}.items():
            np.testing.assert_array_equal(values, {**whole[step][0], **whole[step][1]}[name])
            if step >= 5:
                np.testing.assert_array_equal(values, {**later[step - 5][0], **later[step - 5][1]}[name])
    drawn = np.concatenate([whole[step][1]["record"] for step in range(4)])
    assert {joined.records[number].name for number in drawn} == {"sleep/t1", "sleep/t2", "wrist/t1"}
    pytest.importorskip("fsspec")
    far = source([folders[0], f"file://{folders[1]}"], "train", **options)
    np.testing.assert_array_equal(far[2][0]["eeg"], whole[2][0]["eeg"])
    with pytest.raises(DataError, match=r"sleep and .*wrist"):
        source(folders, "nobody", batch_size=4)


def test_hash_variances_and_people_are_those_of_both(folders, tmp_path):
    joined = Manifest.joined(folders)
    other = prepare(tmp_path / "wrist", WRIST, {"t1": 6, "v2": 3, "x4": 2}, seed=1)
    hashes = {Manifest.of(pair).data_hash for pair in (folders, folders[::-1], (folders[0], other))}
    assert len(hashes | {Manifest.read(folder).data_hash for folder in folders}) == 5
    assert Manifest.joined(folders).data_hash == joined.data_hash
    # Both have a person "1" in the split train, and "3" and "4" are tested.
    assert {record.person for record in joined.select("train")} == {"sleep/1", "sleep/2", "wrist/1"}
    eeg = np.concatenate([windows(folder, "train")["eeg"].ravel() for folder in folders]) * (20 / 32767)
    assert joined.variances["eeg"] == pytest.approx(eeg.var(), rel=1e-6)
    own = joined.with_variances_of(["wrist/x4"]).variances
    assert own["bvp"] == pytest.approx((windows(folders[1], "test")["bvp"] * (20 / 32767)).var(), rel=1e-6)
    assert joined.value_counts(joined.records[0], "age") == {}
    assert joined.value_counts(joined.records[3], "age") == {50.5: 6}
    assert [c["channel"] for c in joined.records[3].channels] == ["A", "B", "C", "D", "P"]
    assert Definition.from_dict(joined.definition).to_dict() == joined.definition
    assert verify(folders) == 27


def test_damage_is_named_with_its_folder(folders, tmp_path):
    prepare(tmp_path / "wrist", WRIST, {"t1": 6})
    shard = tmp_path / "wrist" / "records" / "t1.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-40] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=rf"{shard}.*byte"):
        windows([folders[0], tmp_path / "wrist"])
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard}.*missing"):
        stream([folders[0], tmp_path / "wrist"], batch_size=2)


def changed(part, **tables):
    """A manifest whose definition and tables differ."""
    definition = {**part.definition, **tables.pop("definition", {})}
    return replace(part, definition=definition, data_hash="another", **tables)


def test_what_does_not_go_together_is_refused_by_name(folders):
    sleep, wrist = (Manifest.read(folder) for folder in folders)
    eeg = wrist.modalities["eeg"]
    cases = [
        ({"definition": {"window": 3.0}}, r"windows of 8 s in 8 patches .*sleep. and of 3 s in 8 patches .*wrist"),
        ({"tokens": 4}, r"8 s in 8 patches .* 8 s in 4 patches"),
        ({"modalities": {"eeg": {**eeg, "rate": 8.0}}}, r"modality eeg: rate 4.0 in .*sleep and 8.0 in .*wrist"),
        ({"modalities": {"ear": {**eeg, "channels": ["A"]}}}, r"channel A .* eeg in .*sleep and to ear"),
        ({"labels": {"stage": {"kind": "stages", "classes": ["W", "R"]}}}, r"stage: classes ..W', 'S'. in .*'R'"),
        ({"labels": {"stage": {"kind": "class", "classes": ["W", "S"]}}}, r"label stage: kind 'stages' in .* 'class'"),
    ]  # fmt: skip
    for tables, message in cases:
        with pytest.raises(DataError, match=message):
            Manifest.joined([sleep, changed(wrist, **tables)])
    with pytest.raises(DataError, match="the same data are given twice"):
        Manifest.joined([folders[0], sleep])
    with pytest.raises(DataError, match=r"record t1 .train. of .*sleep and .* are the same recording"):
        Manifest.joined([sleep, changed(sleep)])
    assert Manifest.joined(folders[:1]) == sleep


def test_a_folder_is_read_in_the_layout_of_more_channels(folders):
    joined = Manifest.joined(folders)
    laid = in_layout_of(Manifest.read(folders[1]), joined.definition)
    assert laid.modalities["eeg"]["channels"] == ["A", "B", "C"]
    assert list(laid.modalities) == ["eeg", "bvp"]
    found, whole = windows(laid, labels=["age"]), windows(joined, records=["wrist/t1", "wrist/v2", "wrist/x4"])
    np.testing.assert_array_equal(found["eeg"], whole["eeg"])
    np.testing.assert_array_equal(found["present"], whole["present"][:, [0, 1, 2, 4]])
    assert in_layout_of(joined, joined.definition) is joined
    assert laid.data_hash == Manifest.read(folders[1]).data_hash
