"""Chooses the framework that computes, which must happen before Keras is imported."""

import importlib.util
import os
import sys

from physiokeras.pipelines.devices import keras_backend, leave_gpus_to_backend


def use(backend):
    """Make Keras run on `backend` in this process; call it before Keras is imported.

    TensorFlow, which reads the data for every backend, is kept off the GPUs unless it is the backend, and its log is
    kept to what is fatal (`TF_CPP_MIN_LOG_LEVEL` set beforehand wins).

    Args:
        backend: "tensorflow", "jax" or "torch".

    Raises:
        SystemExit: The backend is not installed; one sentence says what to install.
        RuntimeError: Keras already runs on another one.
    """
    if "keras" in sys.modules and keras_backend() != backend:
        raise RuntimeError(
            f"Keras already runs on {keras_backend()} in this process; {backend} needs a new one "
            f"(or KERAS_BACKEND={backend} before Keras is first imported)."
        )
    if importlib.util.find_spec(backend) is None:
        what = "physiokeras" if backend == "tensorflow" else f"physiokeras[{backend}]"
        raise SystemExit(f"The {backend} backend is not installed here: pip install '{what}'")
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Where TensorFlow comes later, the stream, which alone imports it, hides them.
    if "tensorflow" in sys.modules:
        leave_gpus_to_backend(sys.modules["tensorflow"])
