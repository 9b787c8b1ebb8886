"""The former place of `physiokeras.pipelines.definitions.definition`, for scripts that import from here."""

from physiokeras.pipelines.definitions.definition import Definition

__all__ = ["Definition"]
