"""Data: definition (TOML) to WFDB record to windows to TFRecord shards to tf.data."""

import importlib

_HOMES = {
    "Definition": "definition",
    "Manifest": "manifest",
    "convert": "driver",
    "damage_named": "streaming",
    "plan": "driver",
    "simulate": "simulation.simulator",
    "steps_per_pass": "streaming",
    "stream": "streaming",
    "verify": "checking",
    "windows": "streaming",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    """Import a name's module on first use: TensorFlow, which only streams need, takes 11 s and 790 MB."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
