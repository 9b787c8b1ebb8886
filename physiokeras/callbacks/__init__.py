"""Keras callbacks: checkpoints from which training goes on exactly, rows of metrics, memory."""

from physiokeras.callbacks.checkpoints import Checkpoints
from physiokeras.callbacks.memory import FreshMemory
from physiokeras.callbacks.metrics_file import MetricsFile

__all__ = ["Checkpoints", "FreshMemory", "MetricsFile"]
