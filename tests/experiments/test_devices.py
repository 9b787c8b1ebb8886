import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from tiny import autoencoder, encoder, windows
from trainings import TWO, drawing, points

from physiokeras.callbacks import Checkpoints, state
from physiokeras.experiments.devices import sharing
from physiokeras.models.replicas import ReplicatedModel
from physiokeras.optimizers import AdamW

BACKEND = keras.config.backend()


def on(devices):
    """The settings that `sharing` reads."""
    return SimpleNamespace(devices=devices, model_parallel=1)


def train(devices):
    """A model, losses of its training, and on how many devices its weights lie.

    On JAX it draws masks, drops and dropout. TensorFlow's devices draw each for themselves, so there one modality is to
    be told from all of the other.
    """
    with sharing(on(devices)):
        if BACKEND == "jax":
            model, more = drawing(), {}
        else:
            keras.utils.set_random_seed(0)
            model, more = autoencoder(encoder(TWO), mask={"ratio": 0.0}), {"kept": np.tile([True, False], (24, 1))}
            model.compile(AdamW(1e-2, global_clipnorm=1.0), jit_compile=False)
        inputs = {**windows(24, modalities=TWO), **more}
        history = model.fit(inputs, batch_size=6, epochs=2, shuffle=False, verbose=0).history
    return model, {"history": history, "spread": sorted({spread(v.value) for v in model.variables})}


def spread(value):
    """Number of devices that hold a weight."""
    return len(value.devices() if BACKEND == "jax" else getattr(value, "values", [value]))


class Line(ReplicatedModel):
    """A layer that trains in no time, and drops."""

    def __init__(self):
        super().__init__()
        self.drop, self.dense = keras.layers.Dropout(0.5, seed=1, name="drop"), keras.layers.Dense(1, name="dense")
        self.dense.build((None, 3))
        self.built = True

    def call(self, inputs, training=False):
        return self.dense(self.drop(inputs, training=training))


def train_on(folder, *stops):
    """Train to each of these steps, each time with a new model that goes on; what there is in the end."""
    for stop in stops:
        keras.utils.set_random_seed(0)
        with sharing(on(2)):
            model, checkpoints = Line(), Checkpoints(folder, every=2)
            model.compile(AdamW(0.1, global_clipnorm=1.0), "mse")
            checkpoints.restore(model)
            for part in checkpoints.parts(stop, 4):
                model.fit(points(checkpoints.step), callbacks=[checkpoints], shuffle=False, verbose=0, **part)
    return state.arrays(model)


def on_two_devices(folder):
    """What this file prints as a program that sees two devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, __file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(BACKEND == "torch", reason="devices are shared on JAX and TensorFlow alone")
def test_two_devices_train_as_one_does(tmp_path):
    (_, ours), theirs = train(1), on_two_devices(tmp_path)
    assert (ours["spread"], theirs["spread"]) == ([1], [2])
    for name, losses in ours["history"].items():
        np.testing.assert_allclose(theirs["history"][name], losses, rtol=1e-4)


def test_devices_that_are_not_there_are_refused_in_a_sentence():
    words = {"jax": "JAX finds 1 here", "tensorflow": "TensorFlow finds 1 here", "torch": "Keras on torch"}
    with pytest.raises(SystemExit, match=f"--devices 2.*{words[BACKEND]}"):
        sharing(on(2))
    with sharing(on(1)):
        pass


if __name__ == "__main__":
    if BACKEND == "tensorflow":
        import tensorflow

        (cpu,), one = tensorflow.config.list_physical_devices("CPU"), tensorflow.config.LogicalDeviceConfiguration()
        tensorflow.config.set_logical_device_configuration(cpu, [one, one])
    trained, facts = train(2)
    # Afterwards a single window, which two devices cannot share, is no trouble.
    alone = keras.ops.convert_to_numpy(trained.encoder.predict_on_batch(windows(1, modalities=TWO)))
    assert alone.shape[0] == 1
    assert np.isfinite(alone).all()
    parts, whole = train_on(Path(sys.argv[1]) / "parts", 3, 6), train_on(Path(sys.argv[1]) / "whole", 6)
    for key, array in whole.items():
        np.testing.assert_array_equal(parts[key], array, err_msg=key)
    print(json.dumps(facts))
