import gc
import json
import os
import resource
import signal

import keras
import numpy as np
import pytest
from trainings import INTERVAL, STEPS, drawing, line, points, train

from physiokeras import checkpoint_folders
from physiokeras.callbacks import Checkpoints, MetricsFile, state
from physiokeras.errors import DataError, TrainingError


class Interrupted(Exception):
    pass


def assert_equal(ours, theirs):
    (arrays, metrics, best), (others, their_metrics, their_best) = ours, theirs
    assert arrays.keys() == others.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []
    assert (metrics, best) == (their_metrics, their_best)


def test_resumed_training_equals_the_uninterrupted_one_bit_for_bit(whole, tmp_path, capsys):
    def stop(step):
        if step == 5:  # inside an epoch, and between two checkpoints
            raise Interrupted

    def terminate(step):
        if step == 6:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(tmp_path, stop)
    assert checkpoint_folders.steps(tmp_path / "checkpoints") == [3, 4]
    with pytest.raises(SystemExit) as end:
        train(tmp_path, terminate, every=100)
    assert end.value.code == 143
    message = capsys.readouterr().err
    assert f"SIGTERM: step 7 is saved in {checkpoint_folders.place(tmp_path / 'checkpoints', 7)}. Do this." in message
    assert_equal(train(tmp_path), whole[1])
    assert len(whole[1][1].splitlines()) == 1 + 3
    assert whole[1][0]["optimizer/0/iteration"] == STEPS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_is_the_callers_again_once_training_has_ended(tmp_path, monkeypatch, number):
    def stop(*_):
        raise Interrupted

    received = []
    earlier = signal.signal(number, lambda *_: received.append("caller's"))
    try:
        fit(Checkpoints(tmp_path / "a"), 1)
        signal.raise_signal(number)
        monkeypatch.setattr(Checkpoints, "_check_loss", stop)
        with pytest.raises(Interrupted):
            fit(Checkpoints(tmp_path / "b"), 1)
        signal.raise_signal(number)
    finally:
        signal.signal(number, earlier)
    assert received == ["caller's"] * 2


def test_state_holds_every_weight_seed_and_slot(whole):
    arrays = whole[1][0]
    model = drawing()
    seeds = [name for name in arrays if "/seed_" in name]
    assert len(seeds) == 2 + 2  # of dropout, mask, modality dropout
    before = state.arrays(model)
    still = [name for name in before if np.array_equal(before[name], arrays[name])]
    assert still == []
    assert len([name for name in arrays if name.startswith("optimizer/")]) == 1 + 2 * len(model.trainable_weights)


def fit(checkpoints, steps, model=None, broken=None):
    """Train `line`, or go on."""
    model = model or line()
    checkpoints.restore(model)
    for part in checkpoints.parts(steps, INTERVAL):
        model.fit(points(checkpoints.step, broken), callbacks=[checkpoints], verbose=0, shuffle=False, **part)
    return model


def test_training_that_accumulates_gradients_goes_on_inside_an_accumulation(tmp_path):
    def trained(folder, *ends):
        for end in ends:
            model, checkpoints = line(accumulate=3), Checkpoints(tmp_path / folder)
            checkpoints.restore(model)
            callbacks = [MetricsFile(tmp_path / folder / "metrics.csv"), checkpoints]
            for part in checkpoints.parts(end, 4):
                model.fit(points(checkpoints.step), callbacks=callbacks, verbose=0, shuffle=False, **part)
        return state.arrays(model), (tmp_path / folder / "metrics.csv").read_text(), checkpoints.best

    whole = trained("whole", 10)
    assert_equal(trained("parts", 4, 10), whole)
    assert [row.split(",")[0] for row in whole[1].splitlines()] == ["step", "4", "8", "10"]
    assert whole[0]["optimizer/0/iteration"] == 10


def test_bad_loss_ends_training_and_leaves_the_last_good_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=2, describe=lambda step: f"records of batch {step}")
    with pytest.raises(TrainingError) as caught:
        fit(checkpoints, 8, broken=4)
    message = str(caught.value)
    assert "stopped at step 5: the mean loss is nan" in message
    assert f"Last good checkpoint: {checkpoint_folders.place(tmp_path, 4)}." in message
    assert "records of batch 4" in message
    assert "lower learning rate" in message
    arrays, _ = checkpoint_folders.read(tmp_path, checkpoint_folders.steps(tmp_path)[-1])
    assert all(state.is_finite(array) for array in arrays.values())
    whole = fit(Checkpoints(tmp_path / "whole"), 8)
    for ours, theirs in zip(fit(Checkpoints(tmp_path), 8).get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_exploding_loss_ends_training(tmp_path):
    with pytest.raises(TrainingError, match="the mean loss is"):
        fit(Checkpoints(tmp_path, largest_loss=1e-9), 8)
    assert checkpoint_folders.steps(tmp_path) == []


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    model, checkpoints = line(), Checkpoints(tmp_path, every=1)
    checkpoints.set_model(model)
    checkpoints.on_train_begin()
    model.layers[0].bias.assign([np.inf])
    checkpoints.step = 1
    with pytest.raises(TrainingError, match="model/dense/bias is not finite"):
        checkpoints.on_train_end()
    assert checkpoint_folders.steps(tmp_path) == []


class Losses(keras.callbacks.Callback):
    """Gives each Keras epoch a validation loss."""

    def __init__(self, losses):
        super().__init__()
        self.losses = losses

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.losses[epoch]


@pytest.mark.once
def test_the_last_two_and_the_best_are_kept_and_patience_survives_a_restart(tmp_path):
    losses, kept, best = [3.0, 1.0, 2.0, 1.0, 2.0, 2.0, 2.0], [], None
    for _ in range(len(losses)):  # a new process for each Keras epoch
        model, checkpoints = line(), Checkpoints(tmp_path, every=2, patience=3 * 2)
        checkpoints.restore(model)
        for part in checkpoints.parts(2 * len(losses), 2):
            part["epochs"] = part["initial_epoch"] + 1
            data = points(checkpoints.step)
            model.fit(data, callbacks=[Losses(losses), checkpoints], verbose=0, shuffle=False, **part)
            kept.append(checkpoint_folders.steps(tmp_path))
            best = model.get_weights() if checkpoints.step == 4 else best
            break
    assert kept == [[2], [2, 4], [4, 6], [4, 6, 8], [4, 8, 10]]
    assert checkpoints.best == {"step": 4, "value": 1.0}
    checkpoints.restore_best(model)
    for ours, theirs in zip(model.get_weights(), best, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def three(tmp_path):
    """Folder with checkpoints of steps 4 and 6, and the weights of step 4."""
    fit(Checkpoints(tmp_path, every=4), 4)
    weights = fit(Checkpoints(tmp_path), 4).get_weights()
    fit(Checkpoints(tmp_path, every=2), 6)
    assert checkpoint_folders.steps(tmp_path) == [4, 6]
    return tmp_path, weights


def damage(path, how):
    if how in ("no facts", "no state"):
        (path / {"no facts": "checkpoint.json", "no state": "state.safetensors"}[how]).unlink()
        return
    name, change = how
    content = bytearray((path / name).read_bytes())
    if change == "flipped":
        content[-20] ^= 1
    (path / name).write_bytes({"empty": b"", "cut": content[: len(content) // 2], "flipped": content}[change])


DAMAGES = ["no facts", "no state"]
DAMAGES += [(f, c) for f in ("checkpoint.json", "state.safetensors") for c in ("empty", "cut", "flipped")]


@pytest.mark.once
@pytest.mark.parametrize("how", DAMAGES, ids=str)
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(three, how):
    folder, weights = three
    damage(checkpoint_folders.place(folder, 6), how)
    model, checkpoints = line(), Checkpoints(folder)
    with pytest.warns(UserWarning, match=r"step-000000006.*resumes from step 4"):
        assert checkpoints.restore(model) == 4
    for ours, theirs in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert checkpoint_folders.steps(folder) == [4]


@pytest.mark.once
def test_training_never_begins_anew_where_all_checkpoints_are_damaged(three):
    for step in (4, 6):
        damage(checkpoint_folders.place(three[0], step), ("state.safetensors", "cut"))
    with pytest.raises(DataError, match="all checkpoints are damaged"):
        Checkpoints(three[0]).restore(line())
    assert checkpoint_folders.steps(three[0]) == [4, 6]


@pytest.mark.once
def test_checkpoints_are_not_overwritten_by_a_training_that_did_not_restore_them(three):
    with pytest.raises(ValueError, match="holds checkpoints already"):
        line().fit(points(0), steps_per_epoch=1, verbose=0, shuffle=False, callbacks=[Checkpoints(three[0])])
    assert checkpoint_folders.steps(three[0]) == [4, 6]


def test_a_checkpoint_of_another_model_or_run_is_refused_with_the_differences(three):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])
    model.compile("adam", "mse")
    before = model.get_weights()
    with pytest.raises(DataError, match=r"model/dense/kernel: \(3, 1\) in the file, \(2, 1\) here"):
        Checkpoints(three[0]).restore(model)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    folder = three[0] / "own"
    fit(Checkpoints(folder, facts={"seed": 3, "data": "abc"}), 1)
    with pytest.raises(DataError, match="seed: 3 then, 4 now"):
        Checkpoints(folder, facts={"seed": 4, "data": "abc"}).restore(line())


@pytest.mark.once
def test_full_disk_leaves_the_last_checkpoint_whole(three):
    folder, _ = three
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            fit(Checkpoints(folder, every=1), 8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == before
    assert list(folder.glob(".*")) == []


@pytest.mark.once
def test_leftovers_of_killed_writers_are_removed(three):
    (three[0] / ".step-000000008.1.tmp").mkdir()
    (three[0] / ".step-000000008.1.tmp" / "state.safetensors").write_bytes(b"part")
    assert Checkpoints(three[0]).restore(line()) == 6
    assert sorted(path.name for path in three[0].iterdir()) == ["step-000000004", "step-000000006"]


def test_seeds_of_another_backend_keep_their_bits(whole):
    arrays = {name: a.astype("int64") % 2**32 if "/seed_" in name else a for name, a in whole[1][0].items()}
    model = drawing()
    state.restore(model, arrays, "elsewhere")
    for name, array in state.arrays(model).items():
        np.testing.assert_array_equal(array.astype("float64") % 2**32 if "/seed_" in name else array, arrays[name])


def test_many_checkpoints_take_no_memory_and_leave_no_files(tmp_path):
    def used():
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(os.listdir("/proc/self/fd"))

    model = fit(Checkpoints(tmp_path, every=1), 100)
    memory, files = used()
    fit(Checkpoints(tmp_path, every=1), 400, model)
    more, still = used()
    assert more - memory < 20_000  # kilobytes
    assert still <= files
    assert checkpoint_folders.steps(tmp_path) == [399, 400]
    assert list(tmp_path.rglob(".*")) == []


@pytest.mark.once
def test_parts_cover_each_step_once():
    for steps, interval, done in [(10, 4, 0), (10, 4, 3), (8, 4, 4), (3, 4, 0), (9, 4, 9), (9, 4, 8)]:
        checkpoints, covered = Checkpoints("unused"), []
        checkpoints.set_model(type("Model", (), {"stop_training": False}))
        checkpoints.step = done
        for part in checkpoints.parts(steps, interval):
            for epoch in range(part["initial_epoch"], part["epochs"]):
                assert epoch == checkpoints.step // interval
                covered += range(checkpoints.step, checkpoints.step + part["steps_per_epoch"])
                checkpoints.step += part["steps_per_epoch"]
        assert covered == list(range(done, steps))


def test_facts_are_json_that_says_where_training_stood(whole):
    folder = whole[0] / "checkpoints"
    table = json.loads((checkpoint_folders.place(folder, STEPS) / "checkpoint.json").read_text())
    assert table["facts"]["step"] == STEPS
    assert table["facts"]["backend"] == keras.config.backend()
    assert table["facts"]["best"] == whole[1][2]
