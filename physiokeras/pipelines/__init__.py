"""Data preparation: recordings, described by a TOML definition, to TFRecord shards, to `tf.data` streams.

Recordings are files (WFDB, EDF, BDF, and what MNE-Python reads) or are in memory.
"""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {
    "Definition": "definitions.definition",
    "Manifest": "prepared.manifest",
    "Recording": "readers.memory",
    "WindowsInMemory": "prepared.in_memory",
    "convert": "converting.driver",
    "damage_named": "prepared.streaming",
    "from_arrays": "readers.memory",
    "from_raw": "readers.memory",
    "inspect_record": "inspecting.inspection",
    "plan": "converting.driver",
    "simulate": "simulation.simulator",
    "source": "prepared.streaming",
    "steps_per_pass": "prepared.streaming",
    "stream": "prepared.streaming",
    "verify": "prepared.checking",
    "windows": "prepared.streaming",
}
# What `convert` takes as `engine`, by the name of its module.
_ENGINES = {"beam": "converting.beam", "dask": "converting.dask"}

__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy_exports(__name__, _MODULES | _ENGINES)
