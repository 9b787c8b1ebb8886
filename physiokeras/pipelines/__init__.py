"""Data preparation: recordings, described by a TOML definition, to TFRecord shards, to `tf.data` streams.

Recordings are files (WFDB, EDF, BDF, and what MNE-Python reads) or are in memory.
"""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {
    "Definition": "definition",
    "Manifest": "manifest",
    "Recording": "memory",
    "convert": "driver",
    "damage_named": "streaming",
    "from_arrays": "memory",
    "from_raw": "memory",
    "inspect_record": "inspection",
    "plan": "driver",
    "simulate": "simulation.simulator",
    "source": "streaming",
    "steps_per_pass": "streaming",
    "stream": "streaming",
    "verify": "checking",
    "windows": "streaming",
}

__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
