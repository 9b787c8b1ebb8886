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
    """Losses of a training that draws masks, drops and dropout, and on how many devices its weights lie."""
    with sharing(devices):
        model = drawing()
        history = model.fit(windows(24, modalities=TWO), batch_size=6, epochs=2, shuffle=False, verbose=0).history
    return model, {"history": history, "spread": sorted({len(v.value.devices()) for v in model.variables})}


@pytest.mark.skipif(keras.config.backend() != "jax", reason="devices are shared on JAX alone")
def test_two_devices_train_as_one_does():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    (_, ours), theirs = train(1), json.loads(done.stdout.splitlines()[-1])
    assert (ours["spread"], theirs["spread"]) == ([1], [2])
    for name, losses in ours["history"].items():
        np.testing.assert_allclose(theirs["history"][name], losses, rtol=1e-4)


def test_devices_that_are_not_there_are_refused_in_a_sentence():
    words = "JAX finds 1 here" if keras.config.backend() == "jax" else "needs --backend jax: on"
    with pytest.raises(SystemExit, match=f"--devices 2.*{words}"):
        sharing(2)
    with sharing(1):
        pass


if __name__ == "__main__":
    trained, facts = train(2)
    # Afterwards a single window, which two devices cannot share, is no trouble.
    alone = trained.encoder.predict_on_batch(windows(1, modalities=TWO))
    assert np.isfinite(alone).all()
    print(json.dumps(facts))
