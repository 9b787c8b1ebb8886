"""Limits on the memory and classes that an untrusted configuration can ask for."""

import collections
import contextlib
import threading

import keras

LARGEST_EMBEDDING = 10**7
"""Numbers in the embedding of time, tokens × width: a thousand times those of the paper's network."""

_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def no_weights_but(shapes):
    """Context in which layers built by this thread may create one weight for each of these shapes, and no other.

    Args:
        shapes: dict of name to shape.

    Raises:
        ValueError: A layer asked for another weight; it is not created.
    """
    left, thread = collections.Counter(shapes.values()), threading.get_ident()
    layer = keras.layers.Layer
    original = layer.add_weight

    def add_weight(self, shape=None, *arguments, **options):
        if threading.get_ident() == thread:
            wanted = tuple(shape or ())
            if not left[wanted]:
                raise ValueError(f"{self.name} has a weight of shape {wanted}, which weights.safetensors lacks")
            left[wanted] -= 1
        return original(self, shape, *arguments, **options)

    with _one_at_a_time:
        layer.add_weight = add_weight
        try:
            yield
        finally:
            layer.add_weight = original


def check_sizes(config, shapes):
    """Refuse sizes that cost time or memory before the first weight is created, and objects in Keras's own format.

    Args:
        config: A model's configuration, from JSON.
        shapes: dict of name to shape of its weights.

    Raises:
        ValueError: The message names the key and the value.
    """
    time, width = 0, 0
    for key, value in _walk(config):
        if key in ("class_name", "module", "registered_name"):
            raise ValueError(f"{key} {value!r}: classes cannot be named here")
        if key in ("depth", "decoder_depth") and not 0 <= value <= len(shapes):
            raise ValueError(f"{key} {value}, with {len(shapes)} weights")
        if key == "time":
            time = max(time, value)
        if key in ("width", "decoder_width"):
            width = max(width, value)
    if time * width > LARGEST_EMBEDDING:
        raise ValueError(f"{time} tokens of width {width}")


def _walk(config):
    for key, value in config.items():
        yield key, value
        if isinstance(value, dict):
            yield from _walk(value)
