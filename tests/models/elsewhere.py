"""Run as a program: load a model where TensorFlow and the readers of recordings are not installed, run it, train it."""

import sys
from pathlib import Path

MISSING = ("tensorflow", "wfdb", "h5py", "google_crc32c")
for name in MISSING:
    sys.modules[name] = None

import keras  # noqa: E402
import numpy as np  # noqa: E402

from physiokeras.models import MaskedAutoencoder, load  # noqa: E402


def main(folder):
    """Write what the model of the folder gives for the inputs of the folder, and losses of a training."""
    inputs = dict(np.load(folder / "inputs.npz"))
    model = load(folder / "model")
    outputs = model.predict(inputs, verbose=0)
    outputs = {**outputs["signals"], "hidden": outputs["hidden"], "tokens": model.encoder.predict(inputs, verbose=0)}
    small = MaskedAutoencoder.from_config(load(folder / "small").get_config())
    small.compile("sgd")
    inputs = {"ecg": inputs["ecg"], "present": inputs["present"][:, 2:3]}
    outputs["losses"] = small.fit(inputs, epochs=2, verbose=0).history["loss"]
    assert all(sys.modules[name] is None for name in MISSING)
    np.savez(folder / f"{keras.config.backend()}.npz", **outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
