"""Data preparation: WFDB or EDF records, described by a TOML definition, to TFRecord shards, to `tf.data` streams."""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {
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

__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
