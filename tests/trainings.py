"""Trainings that are interrupted and go on, on the backend of KERAS_BACKEND."""

import keras
import numpy as np
from tiny import MODALITIES, autoencoder, encoder, windows

from physiokeras.callbacks import Checkpoints, MetricsFile, state
from physiokeras.optimizers import AdamW

TWO = {name: MODALITIES[name] for name in ("ecg", "emg")}
STEPS, INTERVAL = 11, 4


class Hook(keras.callbacks.Callback):
    """Calls a function with the number of steps done, after each."""

    def __init__(self, checkpoints, function):
        super().__init__()
        self.checkpoints, self.function = checkpoints, function

    def on_train_batch_end(self, batch, logs=None):
        self.function(self.checkpoints.step)


def drawing():
    """A compiled autoencoder that draws masks, dropped modalities and dropout, with a schedule and a clipped norm."""
    keras.utils.set_random_seed(0)
    model = autoencoder(encoder(TWO, dropout=0.2), dropout={"rate": 0.7})
    rate = keras.optimizers.schedules.CosineDecay(0.0, STEPS, warmup_target=0.01, warmup_steps=3)
    model.compile(AdamW(rate, global_clipnorm=1.0))
    return model


def batches(step):
    """An endless stream from a step on."""
    while True:
        yield (windows(modalities=TWO, seed=step),)
        step += 1


def line(rate=0.1, accumulate=None):
    """A compiled model of a single weight matrix, which trains in no time."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="dense")])
    model.compile(keras.optimizers.Adam(rate, gradient_accumulation_steps=accumulate), "mse")
    return model


def points(step, broken=None):
    """Endless batches for `line`; that of step `broken`, counted from 0, holds a NaN."""
    while True:
        x = np.random.default_rng(step).normal(size=(4, 3)).astype("float32")
        yield x, x.sum(axis=1, keepdims=True) * (np.nan if step == broken else 1.0)
        step += 1


def train(folder, hook=None, every=3):
    """Train `drawing`, or go on; what is there in the end: arrays, rows of metrics, best."""
    folder.mkdir(exist_ok=True)
    model, checkpoints = drawing(), Checkpoints(folder / "checkpoints", every=every, advice="Do this.")
    callbacks = [MetricsFile(folder / "metrics.csv"), checkpoints]
    callbacks += [Hook(checkpoints, hook)] if hook else []
    checkpoints.restore(model)
    valid = (windows(modalities=TWO, seed=99), np.zeros(6))
    for part in checkpoints.parts(STEPS, INTERVAL):
        model.fit(
            batches(checkpoints.step), validation_data=valid, shuffle=False, callbacks=callbacks, verbose=0, **part
        )
    return state.arrays(model), (folder / "metrics.csv").read_text(), checkpoints.best
