"""Signals that arrive while a model trains, at the places where they hurt most."""

import contextlib
import signal
import threading

import keras
import numpy as np
import pytest
from trainings import points

from physiokeras import checkpoint_folders, interruption
from physiokeras.callbacks import Checkpoints, state
from physiokeras.experiments import training


class Ring(keras.layers.Layer):
    """A layer inside which signals arrive: where its call is traced, or executed on PyTorch."""

    signals = ()
    phase = None  # True in training, False in validation

    def call(self, inputs, training=False):
        if training is Ring.phase:
            Ring.phase = None
            for number in Ring.signals:
                signal.raise_signal(number)
        return inputs


@pytest.fixture(autouse=True)
def no_signals():
    yield
    Ring.phase, Ring.signals = None, ()


class Arm(keras.callbacks.Callback):
    """Lets signals arrive inside the first step of the training (phase True) or of its validation (False)."""

    def __init__(self, phase, *numbers):
        super().__init__()
        self.phase, self.numbers = phase, numbers

    def on_epoch_begin(self, epoch, logs=None):
        if self.phase:
            Ring.phase, Ring.signals = True, self.numbers

    def on_test_begin(self, logs=None):
        if not self.phase:
            Ring.phase, Ring.signals = False, self.numbers


def train(folder, *more):
    """Train a small model to step 8, or go on; its state."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), Ring(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    checkpoints = Checkpoints(folder, every=100, advice="Do this.")
    checkpoints.restore(model)
    for part in checkpoints.parts(8, 4):
        options = {"validation_data": next(points(99)), "validation_batch_size": 2, "shuffle": False, "verbose": 0}
        model.fit(points(checkpoints.step), callbacks=[*more, checkpoints], **options, **part)
    return state.arrays(model)


@pytest.mark.parametrize(("training", "step"), [(True, 1), (False, 4)])
@pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_signal_inside_a_step_leaves_a_checkpoint(training, step, number, end, tmp_path, capsys):
    with pytest.raises(end):
        train(tmp_path / "run", Arm(training, number))
    assert checkpoint_folders.steps(tmp_path / "run") == [step]
    place = checkpoint_folders.place(tmp_path / "run", step)
    assert f"{signal.Signals(number).name}: step {step} is saved in {place}. Do this." in capsys.readouterr().err
    resumed, whole = train(tmp_path / "run"), train(tmp_path / "whole")
    assert [name for name in whole if not np.array_equal(whole[name], resumed[name])] == []


def test_second_signal_ends_after_the_batch_unsaved(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", Arm(False, signal.SIGINT, signal.SIGINT))
    assert checkpoint_folders.steps(tmp_path / "run") == []
    assert "SIGINT: ended at step 4 without a checkpoint" in capsys.readouterr().err
    resumed, whole = train(tmp_path / "run"), train(tmp_path / "whole")
    assert [name for name in whole if not np.array_equal(whole[name], resumed[name])] == []


def fail_on(number):
    """What a library makes of a signal in its midst."""
    try:
        signal.raise_signal(number)
    except BaseException as error:
        raise RuntimeError("buffers are gone") from error


@pytest.mark.once
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_signal_outside_of_training_says_which_checkpoint_there_is(number, status, tmp_path, capsys):
    before = signal.getsignal(number)
    with pytest.raises(status), interruption.explained(tmp_path, "Do this."):
        signal.raise_signal(number)
    assert "There is no checkpoint" in capsys.readouterr().err
    for step in (3, 20):
        checkpoint_folders.write(tmp_path / "checkpoints", step, {}, {}, keep=[])
    with pytest.raises(status), interruption.explained(tmp_path, "Do this."):
        fail_on(number)
    place = checkpoint_folders.place(tmp_path / "checkpoints", 20)
    message = f"stopped outside of training. The training's last checkpoint is in place: {place}. Do this."
    assert f"{signal.Signals(number).name}: {message}" in capsys.readouterr().err
    assert signal.getsignal(number) is before


@pytest.mark.once
def test_signal_whose_exception_is_lost_comes_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(interruption, "REMINDER_S", 0.01)

    def lose():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        threading.Event().wait(60)

    with pytest.raises(KeyboardInterrupt), interruption.explained(tmp_path, "Do this."):
        lose()
    assert "SIGINT: stopped outside of training." in capsys.readouterr().err


@pytest.mark.once
def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="own"), interruption.explained(tmp_path, ""):
        raise RuntimeError("own")


def test_resumed_run_says_from_where_it_goes_on(tmp_path, capsys):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    training.restore(Checkpoints(tmp_path), model, 8, resumed=False)
    assert capsys.readouterr().out == ""
    training.restore(Checkpoints(tmp_path), model, 8, resumed=True)
    assert capsys.readouterr().out == f"No checkpoint in {tmp_path}: training begins at step 0.\n"
    arrays = state.arrays(model)
    checkpoint_folders.write(tmp_path, 3, arrays, {"best": None, "facts": {}}, keep=[])
    training.restore(Checkpoints(tmp_path), model, 8, resumed=True)
    assert capsys.readouterr().out == "Going on from step 3 of 8.\n"
