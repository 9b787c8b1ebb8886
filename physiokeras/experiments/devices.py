"""Training on several devices of one machine."""

import contextlib
import functools

import keras


def check(count):
    """Refuse more devices than the backend can use here, before anything is read.

    Raises:
        SystemExit: As for `sharing`.
    """
    sharing(count)


def sharing(count):
    """Context in which models are built whose training splits every batch over several devices.

    Each device holds all weights. The batch size must be a multiple of the number of devices. A step computes the same
    as on one device, except on TensorFlow: there every device draws the same masks for its part of the batch and
    contrasts only the windows of its part.

    Args:
        count: Number of devices.

    Returns: a context manager.

    Raises:
        SystemExit: The backend trains on one device only, or there are fewer; one sentence says what to do.
    """
    if count == 1:
        return contextlib.nullcontext()
    backend = keras.config.backend()
    if backend == "torch":
        raise SystemExit(f"--devices {count} needs --backend jax or tensorflow: Keras on torch trains on one device.")
    found = keras.distribution.list_devices()
    if len(found) < count:
        name = {"jax": "JAX", "tensorflow": "TensorFlow"}[backend]
        raise SystemExit(f"--devices {count}, but {name} finds {len(found)} here: {', '.join(found)}.")
    if backend == "jax":
        return keras.distribution.DataParallel(devices=found[:count]).scope()
    return _mirrored(tuple(found[:count])).scope()


@functools.cache  # models that share a compiled program must share the strategy
def _mirrored(devices):
    import tensorflow

    return tensorflow.distribute.MirroredStrategy(list(devices))
