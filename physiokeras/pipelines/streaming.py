"""The former place of `physiokeras.pipelines.prepared.streaming`, for scripts that import from here."""

from physiokeras.pipelines.prepared.streaming import steps_per_pass, stream, windows

__all__ = ["steps_per_pass", "stream", "windows"]
