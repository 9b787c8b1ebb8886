"""Foundation models of physiological signals in Keras 3."""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {
    "__version__": "version",
    "export": "exporting.exporter",
    "load": "scoring.trained_model",
    "push": "scoring.hub_upload",
}

# `__all__` has no version: `from physiokeras import *` brings what is to be called.
__all__ = ["export", "load", "push"]
__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
