"""Packages that write and run each format; whether they are installed is seen before Keras is imported."""

import importlib.util

_ONNX = dict.fromkeys(("tf2onnx", "onnx", "onnxruntime"), "physiokeras[onnx]")

NEEDS = {
    "saved_model": {"tensorflow": "physiokeras"},
    "onnx": _ONNX,
    "litert": {"ai_edge_litert": "physiokeras[litert]"},
    "openvino": {"openvino": "physiokeras[openvino]"},
    "torch": {"torch": "physiokeras[torch]"},
}
"""Format -> names of modules -> what to install."""


def check_packages(name):
    """Check that the packages of a format are installed.

    Args:
        name: Format, a key of `NEEDS`.

    Raises:
        ImportError: One is missing; the message says what to install.
    """
    for module, what in NEEDS[name].items():
        if importlib.util.find_spec(module) is None:
            raise ImportError(f"The format {name!r} needs {module}, which is not installed: pip install '{what}'")
