"""Keras callbacks: checkpoints from which training goes on exactly, and rows of metrics."""

from physiokeras.callbacks.checkpoints import Checkpoints
from physiokeras.callbacks.metrics_file import MetricsFile

__all__ = ["Checkpoints", "MetricsFile"]
