"""Training on several devices of one machine, or of several."""

import contextlib
import functools

import keras


def check(count):
    """Refuse more devices than the backend can use here, before anything is read.

    Raises:
        SystemExit: As for `sharing`.
    """
    sharing(count)


def sharing(count, hosts=1):
    """Context in which models are built whose training splits every batch over several devices.

    Each device holds all weights. The batch size must be a multiple of the number of devices. A step computes the same
    as on one device, except on TensorFlow: there every device draws the same masks for its part of the batch and
    contrasts only the windows of its part.

    Args:
        count: Number of devices of each host.
        hosts: Number of hosts, which `hosts.joined` has brought together; more than one on JAX only. Each host brings
            its own part of the batch.

    Returns: a context manager.

    Raises:
        SystemExit: The backend trains on one device only, or there are fewer; one sentence says what to do.
    """
    if count == hosts == 1:
        return contextlib.nullcontext()
    backend = keras.config.backend()
    if backend == "torch":
        raise SystemExit(f"--devices {count} needs --backend jax or tensorflow: Keras on torch trains on one device.")
    if hosts > 1:
        return _over_hosts(count)
    found = keras.distribution.list_devices()
    if len(found) < count:
        name = {"jax": "JAX", "tensorflow": "TensorFlow"}[backend]
        raise SystemExit(f"--devices {count}, but {name} finds {len(found)} here: {', '.join(found)}.")
    if backend == "jax":
        return keras.distribution.DataParallel(devices=found[:count]).scope()
    return _mirrored(tuple(found[:count])).scope()


def _over_hosts(count):
    import jax

    names = []
    for host in range(jax.process_count()):
        found = [f"{device.platform}:{device.id}" for device in jax.devices() if device.process_index == host]
        if len(found) < count:
            raise SystemExit(f"--devices {count}, but JAX finds {len(found)} on host {host}: {', '.join(found)}.")
        names += found[:count]
    return keras.distribution.DataParallel(devices=names, auto_shard_dataset=False).scope()


@functools.cache  # models that share a compiled program must share the strategy
def _mirrored(devices):
    import tensorflow

    return tensorflow.distribute.MirroredStrategy(list(devices))
