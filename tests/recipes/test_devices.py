import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import windows
from trainings import TWO, drawing

from physiokeras.recipes.devices import sharing


def train(devices):
    """Losses of a training that draws masks, drops and dropout, what it learned, and a prediction for a single row."""
    with sharing(devices):
        model = drawing()
        inputs = windows(24, modalities=TWO)
        history = model.fit(inputs, batch_size=6, epochs=2, validation_data=(inputs,), shuffle=False, verbose=0).history
        spread = {len(variable.value.devices()) for variable in model.variables}
    alone = model.predict_on_batch(windows(1, modalities=TWO))["signals"]["ecg"]
    return {"history": history, "spread": sorted(spread), "alone": alone.tolist()}


@pytest.mark.skipif(keras.config.backend() != "jax", reason="devices are shared on JAX alone")
def test_two_devices_train_as_one_does():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = train(1), json.loads(done.stdout.splitlines()[-1])
    assert (ours["spread"], theirs["spread"]) == ([1], [2])
    for name, losses in ours["history"].items():
        np.testing.assert_allclose(theirs["history"][name], losses, rtol=1e-4)
    np.testing.assert_allclose(theirs["alone"], ours["alone"], atol=1e-4)


def test_devices_that_are_not_there_are_refused_in_a_sentence():
    words = "JAX finds 1 here" if keras.config.backend() == "jax" else "needs --backend jax: on"
    with pytest.raises(SystemExit, match=f"--devices 2.*{words}"):
        sharing(2)
    with sharing(1):
        pass


if __name__ == "__main__":
    print(json.dumps(train(2)))
