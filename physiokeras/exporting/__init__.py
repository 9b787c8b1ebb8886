"""Export of encoders and probes to SavedModel, ONNX, LiteRT, OpenVINO and PyTorch programs, checked after writing."""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {"Exported": "exporter", "export": "exporter"}

__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
