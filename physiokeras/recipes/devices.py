"""Training on several devices of one machine."""

import contextlib

import keras


def sharing(count):
    """Inside it, models that are built train and predict with every batch laid over several devices.

    Each device holds all weights, and a step computes what it would on one. Batches must divide by the number.

    Args:
        count: Number of devices.

    Returns: a context manager.

    Raises:
        SystemExit: The backend trains on one device only, or there are fewer; one sentence says what to do.
    """
    if count == 1:
        return contextlib.nullcontext()
    if keras.config.backend() != "jax":
        raise SystemExit(
            f"--devices {count} needs --backend jax: on {keras.config.backend()} training uses one device."
        )
    found = keras.distribution.list_devices()
    if len(found) < count:
        raise SystemExit(f"--devices {count}, but JAX finds {len(found)} here: {', '.join(found)}.")
    return keras.distribution.DataParallel(devices=found[:count]).scope()
