"""Keras callbacks: checkpoints for exact resumption, and a file of metrics."""

from physiokeras.callbacks.checkpoints import Checkpoints
from physiokeras.callbacks.metrics_file import MetricsFile

__all__ = ["Checkpoints", "MetricsFile"]
