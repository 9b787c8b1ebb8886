"""The former place of `physiokeras.pipelines.converting.driver`, for scripts that import from here."""

from physiokeras.pipelines.converting.driver import convert, plan

__all__ = ["convert", "plan"]
