"""Keeps TensorFlow, where it only reads data, off the GPUs on which another backend computes."""

import os
import sys


def keras_backend():
    """Name of the backend that Keras runs on, or would by the environment; Keras is not imported for it."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return keras.config.backend()
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def leave_gpus_to_backend(tensorflow):
    """Hide all GPUs from TensorFlow unless it is the backend; it would take their memory whole.

    Call it right after `import tensorflow`.

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
            f"TensorFlow already took the GPUs that the {keras_backend()} backend needs. Start a new process with "
            f"KERAS_BACKEND={keras_backend()} set."
        ) from error
