"""Whether TensorFlow passes the data on, and without taking GPUs from a backend that computes."""

import contextlib
import importlib
import importlib.util
import os
import sys


def keras_backend():
    """Name of Keras's backend, or the one that the environment selects; does not import Keras."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return keras.config.backend()
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def has_tensorflow():
    """Whether TensorFlow is installed, which then passes the data to every backend; does not import it."""
    return importlib.util.find_spec("tensorflow") is not None


def load_tensorflow():
    """TensorFlow, imported so that the backend still works beside it; use it instead of `import tensorflow`.

    Returns: the module.
    """
    # From 2.20 on TensorFlow's wheels show their LLVM to all libraries that are loaded later, and Triton, which comes
    # with PyTorch's CUDA wheels, crashes the process then: github.com/tensorflow/tensorflow/issues/124205.
    if keras_backend() == "torch" and "tensorflow" not in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("triton")
    tensorflow = importlib.import_module("tensorflow")
    leave_gpus_to_backend(tensorflow)
    return tensorflow


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
