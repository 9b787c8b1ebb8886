"""Foundation models of physiological signals in Keras 3."""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {"export": "exporting.exporter"}

__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
