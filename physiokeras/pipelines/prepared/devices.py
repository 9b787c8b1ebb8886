"""Hides GPUs from TensorFlow when it only reads data and another backend computes."""

import os
import sys


def keras_backend():
    """Name of Keras's backend, or the one that the environment selects; does not import Keras."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return keras.config.backend()
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def leave_gpus_to_backend(tensorflow):
    """Hide all GPUs from TensorFlow unless it is the backend, because it would allocate all of their memory.

    Call this right after `import tensorflow`.

    Args:
        tensorflow: The imported module.

    Raises:
        RuntimeError: TensorFlow already uses a GPU.
    """
    if keras_backend() == "tensorflow":
        return
    try:
        tensorflow.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise RuntimeError(
            f"TensorFlow already uses the GPUs that the {keras_backend()} backend needs. Start a new process with "
            f"KERAS_BACKEND={keras_backend()} set."
        ) from error
