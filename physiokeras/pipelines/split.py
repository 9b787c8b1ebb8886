"""The former place of `physiokeras.pipelines.people.split`, for scripts that import from here."""

from physiokeras.pipelines.people.split import assign_splits

__all__ = ["assign_splits"]
