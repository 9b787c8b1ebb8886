"""Training on several devices of one machine, or of several."""

import contextlib
import functools

import keras

SPLIT = {
    r".*/(query_key_value|query|key_value|up)/kernel": (None, "model"),
    r".*/(query_key_value|query|key_value|up)/bias": ("model",),
    r".*/(mix|down)/kernel": ("model", None),
}
"""Which weights of transformer blocks are split over the devices of one model: paths -> axes of the weight.

The first of two matrix products by columns, the second by rows, as in Shoeybi et al. 2019, arXiv 1909.08053. All other
weights, embeddings and tokenizers among them, lie whole on each device.
"""


def check(settings):
    """Refuse more devices than the backend can use here, before anything is read.

    Raises:
        SystemExit: As for `sharing`.
    """
    sharing(settings)


def sharing(settings, hosts=1):
    """Context in which models are built and trained on the devices of the settings.

    The devices split every batch, and with `model_parallel` the weights. A step computes the same as on one device,
    except on TensorFlow: there every device draws the same masks for its part of the batch and contrasts only the
    windows of its part.

    Args:
        settings: With `devices`, the number of devices of each host, and perhaps `model_parallel`, the number of them
            that hold the weights of one model together, see `SPLIT`; more than one on JAX only, and on one host.
        hosts: Number of hosts, which `hosts.joined` has brought together; more than one on JAX only. Each host brings
            its own part of the batch.

    Returns: a context manager.

    Raises:
        SystemExit: The backend trains on one device only, or there are fewer; one sentence says what to do.
    """
    count = settings.devices
    if count == hosts == 1:
        return contextlib.nullcontext()
    backend = keras.config.backend()
    if backend == "torch":
        raise SystemExit(f"--devices {count} needs --backend jax or tensorflow: Keras on torch trains on one device.")
    if hosts > 1:
        return _over_hosts(count)
    if backend == "jax":
        _run_in_order()
    found = keras.distribution.list_devices()
    if len(found) < count:
        name = {"jax": "JAX", "tensorflow": "TensorFlow"}[backend]
        raise SystemExit(f"--devices {count}, but {name} finds {len(found)} here: {', '.join(found)}.")
    if backend == "jax":
        return _split(found[:count], getattr(settings, "model_parallel", 1)).scope()
    return _mirrored(tuple(found[:count])).scope()


def _run_in_order():
    """Let JAX begin no program on CPUs before the last one ends: on several devices they would wait for one another."""
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)


def _over_hosts(count):
    import jax

    names = []
    for host in range(jax.process_count()):
        found = [f"{device.platform}:{device.id}" for device in jax.devices() if device.process_index == host]
        if len(found) < count:
            raise SystemExit(f"--devices {count}, but JAX finds {len(found)} on host {host}: {', '.join(found)}.")
        names += found[:count]
    return keras.distribution.DataParallel(devices=names, auto_shard_dataset=False).scope()


def _split(names, model):
    if model == 1:
        return keras.distribution.DataParallel(devices=names)
    mesh = keras.distribution.DeviceMesh((len(names) // model, model), ("batch", "model"), names)
    layout = keras.distribution.LayoutMap(mesh)
    for path, axes in SPLIT.items():
        layout[path] = axes
    return keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")


@functools.cache  # models that share a compiled program must share the strategy
def _mirrored(devices):
    import tensorflow

    return tensorflow.distribute.MirroredStrategy(list(devices))
