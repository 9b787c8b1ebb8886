"""What the hosts of one training tell each other, where a `keras.distribution` spans several processes of JAX.

Every function must be called by all hosts, in the same order. With one host each does nothing.
"""

import json
from collections.abc import Callable

import keras
import numpy as np


def count() -> int:
    """Number of hosts (processes) of the current `keras.distribution`; 1 without one."""
    current = keras.distribution.distribution()
    return 1 if current is None else current.num_processes


def index() -> int:
    """Number of this host, from 0."""
    if count() == 1:
        return 0
    import jax

    return jax.process_index()


def is_first() -> bool:
    """Whether this is the host that writes files."""
    return index() == 0


def largest(values: list[int]) -> list[int]:
    """The largest of all hosts' values, place by place."""
    if count() == 1:
        return values
    return _gather(np.array(values, "int32")).max(axis=0).tolist()


def texts(text: str) -> list[str]:
    """The texts of all hosts."""
    if count() == 1:
        return [text]
    data = np.frombuffer(text.encode(), "uint8")
    lengths = _gather(np.array([data.size], "int32"))[:, 0]
    rows = _gather(np.pad(data, (0, lengths.max() - data.size)))
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def from_first(make: Callable[[], tuple[dict | None, object]]) -> tuple[dict | None, object]:
    """Call a function on the first host alone, and give its result to all hosts.

    Args:
        make: Function without arguments that returns a dict of name to array, or None, and a JSON value.

    Returns: both, on every host.
    """
    if count() == 1:
        return make()
    arrays, facts = make() if is_first() else (None, None)
    kinds = arrays if arrays is None else {name: (str(a.dtype), a.shape) for name, a in arrays.items()}
    kinds, facts = json.loads(texts(json.dumps([kinds, facts]))[0])
    if kinds is None:
        return None, facts
    from jax.experimental import multihost_utils

    sizes = [np.dtype(kind).itemsize * int(np.prod(shape)) for kind, shape in kinds.values()]
    # One array of bytes: each shape would be compiled, and JAX has no 64-bit numbers by default.
    whole = np.zeros(sum(sizes), "uint8")
    if arrays is not None:
        whole = np.frombuffer(b"".join(array.tobytes() for array in arrays.values()), "uint8")
    parts = np.split(multihost_utils.broadcast_one_to_all(whole), np.cumsum(sizes)[:-1])
    return {
        name: np.frombuffer(part.tobytes(), kind).reshape(shape)
        for part, (name, (kind, shape)) in zip(parts, kinds.items(), strict=True)
    }, facts


def placed(array: np.ndarray, variable: keras.Variable):
    """An array that all hosts have, as a value for a variable, without the comparison between hosts that JAX makes."""
    if count() == 1:
        return array
    import jax

    return jax.make_array_from_callback(array.shape, variable.value.sharding, lambda places: array[places])


def _gather(values):
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(values))
