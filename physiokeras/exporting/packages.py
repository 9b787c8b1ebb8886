"""Backends and packages that write each format; whether they are there is seen before Keras is imported."""

import importlib.util

BACKENDS = {
    "saved_model": ("tensorflow", "jax"),
    "onnx": ("tensorflow",),
    "litert": ("tensorflow",),
    "openvino": ("tensorflow",),
    "torch": ("torch",),
}
"""Format -> backends of Keras that write it."""

NEEDS = {
    "saved_model": {"tensorflow": "physiokeras"},
    "onnx": dict.fromkeys(("tf2onnx", "onnx", "onnxruntime"), "physiokeras[onnx]"),
    "litert": {"ai_edge_litert": "physiokeras[litert]"},
    "openvino": {"openvino": "physiokeras[openvino]"},
    "torch": {"torch": "physiokeras[torch]"},
}
"""Format -> names of modules that write and run it -> what to install."""


def check_format(name, backend):
    """Check that a backend and the installed packages can write a format and run it.

    Args:
        name: Format.
        backend: Backend of Keras.

    Raises:
        ValueError: No such format, or another backend must write it.
        ImportError: A package is missing; the message says what to install.
    """
    if name not in BACKENDS:
        raise ValueError(f"`format` must be one of {', '.join(BACKENDS)}. Received: {name!r}.")
    if backend not in BACKENDS[name]:
        own, other = [one for one, backends in BACKENDS.items() if backend in backends], BACKENDS[name][0]
        raise ValueError(
            f"Keras on {backend} cannot write the format {name!r}. Either export {' or '.join(map(repr, own))}, or run "
            f"with --backend {other} (KERAS_BACKEND={other}): every backend reads every model."
        )
    for module, what in NEEDS[name].items():
        if importlib.util.find_spec(module) is None:
            raise ImportError(f"The format {name!r} needs {module}, which is not installed: pip install '{what}'")
