import json
import operator
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import wfdb

from physiokeras.constants import INT16_SCALE
from physiokeras.errors import DataError
from physiokeras.files import locked, write_atomic
from physiokeras.pipelines.converting import pool
from physiokeras.pipelines.converting.conversion import window_order
from physiokeras.pipelines.converting.driver import convert
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.prepared.manifest import Manifest, check_people
from physiokeras.pipelines.prepared.shards import read_shard
from physiokeras.recipes import prepare

TABLE = {
    "name": "tiny",
    "window": 2.0,
    "modalities": {
        "acc": {"rate": 20, "channels": ["X", {"name": "Y", "alias": ["why"]}], "scale": "physical", "factor": 10.0},
        "bvp": {"rate": 10, "channels": ["B"], "bandpass": [0.5, 3.0]},
    },
    "labels": {"task": {"kind": "spans", "annotator": "task", "classes": ["rest", "stress"]}},
    # Of a, b and c one each trains, validates and tests.
    "split": {"pretrain": ["u*"], "seed": 23},
}
TOML = """
name = "tiny"
window = 2.0
[modalities.acc]
rate = 20
channels = ["X", "Y"]
"""
TINY = Definition.from_dict(TABLE)
SECONDS = 31


def write_record(folder, name, seed=0, names=("X", "why", "B")):
    """A record of 31 s: X and Y at 20 Hz, B at 40 Hz; stress from second 10 on."""
    random = np.random.default_rng(seed)
    frames = np.concatenate(
        [random.integers(-900, 900, (SECONDS * 20, 2)), random.integers(-900, 900, (SECONDS * 20, 2))], axis=1
    ).astype("<i2")
    (folder / f"{name}.dat").write_bytes(frames.tobytes())
    formats = ("16", "16", "16x2")
    lines = [f"{name} 3 20 {len(frames)}"]
    lines += [f"{name}.dat {form} 10(0)/NU 16 0 {frames[0, i]} {frames[:, i : i + (i == 2) + 1].sum()} 0 {channel}"
              for i, (form, channel) in enumerate(zip(formats, names, strict=True))]  # fmt: skip
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    wfdb.wrann(name, "task", np.array([0, 200]), symbol=['"', '"'], aux_note=["rest", "stress"], write_dir=str(folder))
    return frames


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for seed, name in enumerate(("a", "b", "c", "u1")):
        write_record(folder, name, seed)
    return folder


def run(source, out, definition=TINY, **options):
    return convert(source, definition, out, progress=None, **options)


def shards(out):
    return {path.name: path.read_bytes() for path in (out / "records").glob("*.tfrecord")}


def times(out):
    return {path.name: path.stat().st_mtime_ns for path in (out / "records").glob("*.tfrecord")}


def test_windows_hold_the_scaled_samples_their_labels_and_their_place(source, tmp_path):
    import tensorflow as tf

    frames = write_record(source, "a", seed=9)
    manifest = run(source, tmp_path / "out")
    assert [record.windows for record in manifest.records] == [15] * 4
    expected = frames[: 15 * 40, :2].reshape(15, 40, 2) / 10 / 10
    seen = []
    for payload in read_shard(manifest.shard("a")):
        feature = tf.train.Example.FromString(payload).features.feature
        window = feature["window"].int64_list.value[0]
        seen.append(window)
        acc = np.frombuffer(feature["signals/acc"].bytes_list.value[0], "<i2").reshape(40, 2)
        np.testing.assert_allclose(acc * INT16_SCALE, np.clip(expected[window], -20, 20), atol=INT16_SCALE / 2 * 1.01)
        assert feature["record"].bytes_list.value[0] == b"a"
        assert feature["present"].bytes_list.value[0] == b"\1\1\1"
        assert feature["labels/task"].int64_list.value[0] == int(window >= 5)
    assert sorted(seen) == list(range(15))
    assert seen != sorted(seen)


def test_the_order_in_a_shard_mixes_the_night():
    order = np.array(window_order("tr03-0005", 960))
    assert sorted(order) == list(range(960))
    assert all(order[start : start + 96].std() > 0.8 * np.arange(960).std() for start in range(0, 960, 96))


def test_a_channel_that_a_record_lacks_is_absent_and_zero(source, tmp_path):
    write_record(source, "b", names=("X", "Z", "B"))
    manifest = run(source, tmp_path / "out")
    record = manifest.select(records=["b"])[0]
    assert record.channels[1] == {"channel": "Y", "modality": "acc", "present": 0.0, "notes": ["not in the record"]}
    assert all(b"\1\0\1" in payload for payload in read_shard(manifest.shard("b")))


def test_the_manifest_describes_the_folder(source, tmp_path):
    manifest = run(source, tmp_path / "out")
    assert manifest == Manifest.read(tmp_path / "out")
    assert manifest.modalities["acc"] == {"rate": 20.0, "samples": 40, "channels": ["X", "Y"], "default": True}
    assert manifest.tokens == 2
    assert manifest.labels == {"task": {"kind": "spans", "classes": ["rest", "stress"]}}
    assert {record.name: record.labels["task"] for record in manifest.records}["a"] == {"0": 5, "1": 10}
    assert [record.name for record in manifest.select("pretrain")] == ["u1"]
    assert Definition.from_dict(manifest.definition) == TINY


def test_variances_are_those_of_the_training_windows(source, tmp_path):
    manifest = run(source, tmp_path / "out")
    values = [write_record(source, record.name, seed)[:600, :2].astype(np.float64) / 100
              for seed, record in enumerate(manifest.records) if record.split in ("train", "pretrain")]  # fmt: skip
    assert len(values) == 2
    assert manifest.variances["acc"] == pytest.approx(np.var(np.concatenate(values)), rel=1e-3)


def test_bytes_do_not_depend_on_the_number_of_workers(source, tmp_path):
    one, two = run(source, tmp_path / "one"), run(source, tmp_path / "two", workers=2)
    assert shards(tmp_path / "one") == shards(tmp_path / "two")
    assert one.data_hash == two.data_hash
    assert (tmp_path / "one" / "manifest.json").read_bytes() == (tmp_path / "two" / "manifest.json").read_bytes()


def test_parts_converted_apart_equal_the_whole(source, tmp_path):
    assert run(source, tmp_path / "parts", num_shards=2, shard_index=1) is None
    assert not (tmp_path / "parts" / "manifest.json").exists()
    parts = run(source, tmp_path / "parts", num_shards=2, shard_index=0)
    assert parts.data_hash == run(source, tmp_path / "whole").data_hash
    assert shards(tmp_path / "parts") == shards(tmp_path / "whole")


def test_parts_of_another_definition_are_not_taken_for_done(source, tmp_path):
    run(source, tmp_path / "out")
    changed = Definition.from_dict({**TABLE, "window": 3.0})
    first = (tmp_path / "out" / "manifest.json").read_bytes()
    options = {"num_shards": 2, "progress": None}
    assert convert(source, changed, tmp_path / "out", shard_index=0, **options) is None
    assert (tmp_path / "out" / "manifest.json").read_bytes() == first
    parts = convert(source, changed, tmp_path / "out", shard_index=1, **options)
    assert parts.data_hash == convert(source, changed, tmp_path / "whole", progress=None).data_hash


def test_a_rerun_converts_nothing_that_is_done(source, tmp_path):
    run(source, tmp_path / "out")
    before = times(tmp_path / "out")
    os.utime(source / "a.dat")
    run(source, tmp_path / "out")
    assert times(tmp_path / "out") == before


def test_a_changed_source_is_noticed_by_its_content(source, tmp_path):
    first = run(source, tmp_path / "out")
    before, stat = times(tmp_path / "out"), (source / "a.dat").stat()
    write_record(source, "a", seed=7)
    os.utime(source / "a.dat", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = run(source, tmp_path / "out")
    after = times(tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {"a.tfrecord"}
    assert first.data_hash != second.data_hash


def test_a_missing_or_cut_shard_is_made_again(source, tmp_path):
    run(source, tmp_path / "out")
    good = shards(tmp_path / "out")
    (tmp_path / "out" / "records" / "a.tfrecord").unlink()
    (tmp_path / "out" / "records" / "b.tfrecord").write_bytes(b"")
    run(source, tmp_path / "out")
    assert shards(tmp_path / "out") == good


def test_another_filter_converts_again_and_another_split_does_not(source, tmp_path):
    run(source, tmp_path / "out")
    before = times(tmp_path / "out")
    split = Definition.from_dict({**TABLE, "split": {"test": 0.5, "pretrain": ["u*"]}})
    assert run(source, tmp_path / "out", split).splits != TINY
    assert times(tmp_path / "out") == before
    table = json.loads(json.dumps(TABLE))
    table["modalities"]["bvp"]["bandpass"] = [0.5, 4.0]
    run(source, tmp_path / "out", Definition.from_dict(table))
    after = times(tmp_path / "out")
    assert all(after[name] != before[name] for name in before)


def test_a_bad_record_is_set_aside_and_only_it_is_redone(source, tmp_path, capsys):
    good = (source / "b.dat").read_bytes()
    (source / "b.dat").write_bytes(good[:-2])
    (tmp_path / "tiny.toml").write_text(TOML)
    command = ["--dataset", str(tmp_path / "tiny.toml"), "--source", str(source), "--out", str(tmp_path / "out")]
    assert prepare.main(command) == 1
    assert "Set aside: b: " in capsys.readouterr().out
    manifest, before = Manifest.read(tmp_path / "out"), times(tmp_path / "out")
    assert [record.name for record in manifest.records] == ["a", "c", "u1"]
    assert [entry["record"] for entry in manifest.set_aside] == ["b"]
    assert "b.hea" in manifest.set_aside[0]["reason"]
    (source / "b.dat").write_bytes(good)
    assert prepare.main(command) == 0
    after = times(tmp_path / "out")
    assert all(after[name] == before[name] for name in before)
    assert not Manifest.read(tmp_path / "out").set_aside


def test_a_record_shorter_than_a_window_is_set_aside(source, tmp_path):
    long = Definition.from_dict({**TABLE, "window": 40.0})
    with pytest.warns(UserWarning, match=r"no record could be converted.*lasts 31 s, less than one window of 40 s"):
        run(source, tmp_path / "out", long)
    assert "lasts 31 s, less than one window of 40 s" in Manifest.read(tmp_path / "out").set_aside[0]["reason"]


def test_a_wrong_checksum_sets_aside_or_with_leave_is_noted(source, tmp_path):
    data = bytearray((source / "a.dat").read_bytes())
    data[1000] ^= 1
    (source / "a.dat").write_bytes(data)
    assert [entry["record"] for entry in run(source, tmp_path / "out").set_aside] == ["a"]
    record = run(source, tmp_path / "out", strict=False).select(records=["a"])[0]
    assert any("checksum" in note for channel in record.channels for note in channel["notes"])


def test_a_second_converter_on_the_folder_is_refused(source, tmp_path):
    run(source, tmp_path / "out")
    with (
        locked(tmp_path / "out" / ".lock", shared=False),
        pytest.raises(DataError, match="another process is writing to this folder"),
    ):
        run(source, tmp_path / "out")


def test_of_two_converters_at_once_one_exits_with_a_message(source, tmp_path):
    (tmp_path / "tiny.toml").write_text(TOML)
    command = [sys.executable, "-m", "physiokeras.recipes.prepare", "--dataset", str(tmp_path / "tiny.toml")]
    command += ["--source", str(source), "--out", str(tmp_path / "out")]
    script = "import sys; from physiokeras.files import locked\n"
    script += "with locked(sys.argv[1], shared=True): print(1, flush=True); input()"
    (tmp_path / "out").mkdir()
    holder = [sys.executable, "-c", script, str(tmp_path / "out" / ".lock")]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        first.stdout.readline()
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        first.kill()
    assert second.returncode == 1
    assert "another process is writing to this folder" in second.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_folder_of_another_data_set_is_refused(source, tmp_path):
    run(source, tmp_path / "out")
    with pytest.raises(DataError, match="holds the data set 'tiny'"):
        run(source, tmp_path / "out", Definition.from_dict({**TABLE, "name": "other"}))


def test_a_person_in_two_splits_is_refused():
    records = [SimpleNamespace(name=f"r{i}", person="p", split=split) for i, split in ((1, "train"), (2, "test"))]
    with pytest.raises(DataError, match="person p is in two splits: record r1 in train, record r2 in test"):
        check_people(records, "manifest.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no manifest.json"),
        (b"{", "not valid JSON"),
        (b'{"schema": 99}', "schema version 99"),
        (b'{"schema": 1}', "does not hold"),
        (b'{"schema": 1, "records": [{"name": "a"}]}', "does not hold what a manifest must"),
    ],
)
def test_a_missing_or_damaged_manifest_is_an_error_with_the_way_out(tmp_path, content, message):
    if isinstance(content, Manifest):
        replace(content, folder=tmp_path).write()
    elif content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        Manifest.read(tmp_path)
    assert "prepare" in str(caught.value)


def test_a_worker_that_dies_is_named_and_the_others_finish():
    results = dict(pool.run(operator.call, [(abs, -1), (os._exit, 3), (abs, -2), (abs, -3)], workers=2))
    assert "its worker process died twice" in results.pop(1)
    assert results == {0: 1, 2: 2, 3: 3}


DYING = """
import os
from physiokeras.pipelines.converting import conversion
convert_record = conversion.convert_record
def dying(path, *arguments, **options):
    if path.stem == "b":
        os.kill(os.getpid(), 9)
    return convert_record(path, *arguments, **options)
conversion.convert_record = dying
"""


def test_the_record_whose_worker_dies_is_set_aside_and_the_others_are_converted(source, tmp_path, monkeypatch):
    # Workers are started anew and import this module first, whatever is to be converted.
    (tmp_path / "sitecustomize.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    manifest = run(source, tmp_path / "out", workers=2)
    assert [record.name for record in manifest.records] == ["a", "c", "u1"]
    assert [entry["record"] for entry in manifest.set_aside] == ["b"]
    assert "worker process died" in manifest.set_aside[0]["reason"]
    monkeypatch.undo()
    assert not run(source, tmp_path / "out").set_aside


KILLED = """
    import json, os, shutil, signal, sys
    from pathlib import Path
    from physiokeras.pipelines.converting.driver import convert
    from physiokeras.pipelines.definitions.definition import Definition

    source, reference, out, table = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
    definition = Definition.from_dict(table)

    def killed_at(count):
        left = [count]
        def counted(function):
            def call(*arguments, **options):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **options)
            return call
        os.fsync, os.replace, os.open = counted(os.fsync), counted(os.replace), counted(os.open)

    def in_child(function):
        child = os.fork()
        if not child:
            function()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def interrupted(count):
        killed_at(count)
        convert(source, definition, out, progress=None)

    def files(folder):
        return {path.name: path.read_bytes() for path in folder.glob("records/*.tfrecord")}

    convert(source, definition, out, progress=None)  # imports much, which children then need not
    for count in range(100):
        shutil.rmtree(out, ignore_errors=True)
        status = in_child(lambda: interrupted(count))
        for name, content in files(out).items():
            assert content == files(reference)[name], name
        for path in out.glob("records/[!.]*.json"):
            json.loads(path.read_bytes())
        assert status in (0, -signal.SIGKILL), status
        assert in_child(lambda: convert(source, definition, out, progress=None)) == 0
        assert files(out) == files(reference)
        assert (out / "manifest.json").read_bytes() == (reference / "manifest.json").read_bytes()
        assert not list(out.glob("records/.*"))
        if status == 0:
            break
    assert count > 15, count
    print("kills survived:", count)
"""


def test_a_kill_at_any_file_operation_leaves_whole_files_and_the_rerun_equals_an_undisturbed_run(source, tmp_path):
    for path in (*source.glob("b.*"), *source.glob("c.*")):
        path.unlink()
    run(source, tmp_path / "reference")
    script = textwrap.dedent(KILLED)
    arguments = [str(source), str(tmp_path / "reference"), str(tmp_path / "out"), json.dumps(TABLE)]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "kills survived" in done.stdout


FULL = """
    import json, resource, signal, sys
    from pathlib import Path
    from physiokeras.pipelines.converting.driver import convert
    from physiokeras.pipelines.definitions.definition import Definition
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    convert(sys.argv[1], Definition.from_dict(json.loads(sys.argv[2])), sys.argv[3], progress=None)
"""


def test_a_full_disk_ends_the_run_and_keeps_what_was_there(source, tmp_path):
    out = tmp_path / "out"
    run(source, out)
    good = shards(out)
    write_record(source, "a", seed=5)
    command = [sys.executable, "-c", textwrap.dedent(FULL), str(source), json.dumps(TABLE), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert shards(out) == good
    assert not list((out / "records").glob(".*"))


def test_write_atomic_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "f"
    write_atomic(path, b"old")
    with pytest.raises(ZeroDivisionError):
        write_atomic(path, lambda file: file.write(b"new") / 0)
    assert path.read_bytes() == b"old"
    write_atomic(path, "neu: µ")
    assert path.read_text(encoding="utf-8") == "neu: µ"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_annotated_beats_of_a_real_ecg_lie_on_its_peaks(real_data, tmp_path):
    source = tmp_path / "mitdb"
    source.mkdir()
    for path in (real_data / "mitdb").glob("100.*"):
        shutil.copy(path, source)
    manifest = run(source, tmp_path / "out", Definition.read("mitdb"))
    import tensorflow as tf

    ecg = np.zeros((60, 3000))
    for payload in read_shard(manifest.shard("100")):
        feature = tf.train.Example.FromString(payload).features.feature
        values = np.frombuffer(feature["signals/ecg"].bytes_list.value[0], "<i2")
        ecg[feature["window"].int64_list.value[0]] = values * INT16_SCALE * 0.25
    ecg = ecg.reshape(-1)
    beats = wfdb.rdann(str(source / "100"), "atr")
    places = np.rint(beats.sample[np.array(beats.symbol) == "N"] / 360 * 100).astype(int)
    places = places[(places > 20) & (places < len(ecg) - 20)]
    offsets = [ecg[place - 10 : place + 11].argmax() - 10 for place in places]
    assert len(places) > 2000
    assert abs(np.median(offsets)) <= 1
    assert np.percentile(np.abs(offsets), 95) <= 2
    assert 0.5 < np.median(ecg[places]) < 1.5


def test_a_part_removes_what_its_own_killed_run_left_and_nothing_of_others(source, tmp_path):
    (tmp_path / "out" / "records").mkdir(parents=True)
    left = [tmp_path / "out" / "records" / f".{name}.tfrecord.4711.tmp" for name in "ab"]
    for path in left:
        path.write_bytes(b"x")
    run(source, tmp_path / "out", num_shards=2, shard_index=0)
    assert [path.exists() for path in left] == [False, True]


def test_an_engine_gives_the_same_bytes(source, tmp_path):
    def engine(function, arguments):
        for values in arguments:
            function(*values)

    (source / "b.dat").write_bytes(b"")
    one = run(source, tmp_path / "engine", engine=engine)
    assert one.data_hash == run(source, tmp_path / "own").data_hash
    assert shards(tmp_path / "engine") == shards(tmp_path / "own")
    assert [entry["record"] for entry in one.set_aside] == ["b"]
