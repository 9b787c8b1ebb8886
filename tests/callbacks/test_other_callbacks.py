"""Trainings with other callbacks and optimizers beside `Checkpoints`, interrupted and resumed."""

import keras
import numpy as np
import pytest
from trainings import Hook, points

from physiokeras import checkpoint_folders
from physiokeras.callbacks import Checkpoints, MetricsFile, state

C, optimizers = keras.callbacks, keras.optimizers
INTERVAL = 4


class Interrupted(Exception):
    pass


class Halve(C.Callback):
    """Halves the learning rate after every second epoch that it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def on_epoch_end(self, epoch, logs=None):
        self.seen += 1
        if self.seen % 2 == 0:
            rate = self.model.optimizer.learning_rate
            self.model.optimizer.learning_rate = float(keras.ops.convert_to_numpy(rate)) / 2


class HalveKept(Halve):
    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, stored):
        self.seen = stored["seen"]


def adam(**options):
    return optimizers.Adam(0.1, **options)


def average(**options):
    return adam(use_ema=True, ema_momentum=0.9, **options)


def plateau():
    return C.ReduceLROnPlateau("val_loss", factor=0.5, patience=2, min_delta=10.0)


def stopping(**options):
    return C.EarlyStopping("val_loss", patience=2, mode="max", **options)


def train(folder, optimizer, callbacks, steps, stop=None):
    """Train a model of one unnamed layer, or go on; the model and its `Checkpoints`."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.1, seed=1), keras.layers.Dense(1)])
    model.compile(optimizer(), "mse")
    checkpoints = Checkpoints(folder, every=2)
    checkpoints.restore(model)

    def end(step):
        if step == stop:
            raise Interrupted

    hooks = [Hook(checkpoints, end)] if stop else []
    valid = next(points(99))
    others = callbacks()
    for part in checkpoints.parts(steps, INTERVAL):
        data = points(checkpoints.step)
        listed = [*others, checkpoints, *hooks]
        model.fit(data, callbacks=listed, validation_data=valid, shuffle=False, verbose=0, **part)
    return model, checkpoints


CASES = {
    "scheduler": (adam, lambda: [C.LearningRateScheduler(lambda epoch, rate: rate * 0.7)], 14),
    "plateau": (adam, lambda: [plateau()], 22),
    "early stopping": (adam, lambda: [stopping()], 40),
    "best weights": (adam, lambda: [stopping(restore_best_weights=True)], 40),
    "best weights, parts": (adam, lambda: [C.EarlyStopping("loss", patience=9, restore_best_weights=True)], 14),
    "own state": (adam, lambda: [HalveKept()], 22),
    "average": (average, list, 14),
    "average, overwriting": (lambda: average(ema_overwrite_frequency=3), list, 14),
    "average, swapped": (average, lambda: [C.SwapEMAWeights()], 14),
    "loss scale": (lambda: optimizers.LossScaleOptimizer(average()), list, 14),
    "several optimizers": (lambda: optimizers.MultiOptimizer(optimizers.OptimizerMap(adam())), list, 14),
}


PLAIN = ("scheduler", "plateau", "early stopping", "best weights", "best weights, parts", "own state")
"""Cases whose state is Python's own, on every backend the same; the others keep theirs in variables of the backend."""


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.once if case in PLAIN else ()) for case in CASES]
)
def test_resumed_training_equals_the_uninterrupted_one(case, tmp_path):
    optimizer, callbacks, steps = CASES[case]
    whole, first = train(tmp_path / "whole", optimizer, callbacks, steps)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", optimizer, callbacks, steps, stop=7)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", optimizer, callbacks, steps, stop=9)
    resumed, second = train(tmp_path / "parts", optimizer, callbacks, steps)
    again, third = train(tmp_path / "parts", optimizer, callbacks, steps)  # has ended, and ends like this
    assert first.step == second.step == third.step == (12 if "stopping" in case or case == "best weights" else steps)
    expected = state.arrays(whole)
    for model in resumed, again:
        found = state.arrays(model)
        assert found.keys() == expected.keys()
        assert [name for name in found if not np.array_equal(found[name], expected[name])] == []


def test_averages_replace_the_weights_at_the_end_only(tmp_path):
    weights, expected = [], None
    note = C.LambdaCallback(on_train_batch_end=lambda batch, logs: weights.append(note.model.get_weights()[0]))
    model, _ = train(tmp_path, average, lambda: [note], 10)
    for array in weights:
        expected = array if expected is None else 0.9 * expected + 0.1 * array
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5)
    stored, _ = checkpoint_folders.read(tmp_path, 10)
    np.testing.assert_array_equal(stored["model/dense/kernel"], weights[-1])


def test_training_that_early_stopping_ended_stays_ended_until_told(tmp_path):
    _, first = train(tmp_path, adam, lambda: [stopping()], 40)
    with pytest.warns(UserWarning, match="EarlyStopping ended this training at step 12"):
        model, second = train(tmp_path, adam, list, 40)
    assert (first.step, second.step) == (12, 12)
    second.stopped = False
    for part in second.parts(16, INTERVAL):
        model.fit(points(second.step), callbacks=[second], shuffle=False, verbose=0, **part)
    assert second.step == 16


def test_callbacks_whose_state_is_lost_are_named(tmp_path):
    with pytest.raises(Interrupted):
        train(tmp_path, adam, lambda: [Halve()], 12, stop=7)
    with pytest.warns(UserWarning, match="starts again") as told:
        train(tmp_path, adam, lambda: [Halve(), plateau()], 12)
    told = [str(warning.message) for warning in told]
    assert any("If Halve has a state" in message for message in told)
    assert any("holds no state of ReduceLROnPlateau" in message for message in told)


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (lambda folder: [C.BackupAndRestore(folder / "backup")], "Leave it out"),
        (lambda folder: [C.SwapEMAWeights(swap_on_epoch=True)], r"Use `SwapEMAWeights\(\)`"),
        (lambda folder: [C.CSVLogger(folder / "log.csv")], "append=True"),
    ],
)
def test_callbacks_that_contradict_checkpoints_are_refused(callbacks, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", average, lambda: callbacks(tmp_path), 4)


def test_callbacks_with_state_must_come_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Put it before `Checkpoints`"):
        model.fit(points(0), steps_per_epoch=1, callbacks=[checkpoints, stopping()], verbose=0)


@pytest.mark.parametrize(
    ("optimizer", "columns"),
    [
        (lambda: optimizers.LossScaleOptimizer(adam()), "step,learning_rate,loss,val_loss"),
        (lambda: optimizers.MultiOptimizer(optimizers.OptimizerMap(adam())), "step,learning_rate_0,loss,val_loss"),
    ],
)
def test_metrics_have_the_steps_and_rates_of_wrapped_optimizers(optimizer, columns, tmp_path):
    train(tmp_path / "run", optimizer, lambda: [MetricsFile(tmp_path / "metrics.csv")], 6)
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert rows[0] == columns
    assert [row.split(",")[:2] for row in rows[1:]] == [["4", "0.1"], ["6", "0.1"]]
