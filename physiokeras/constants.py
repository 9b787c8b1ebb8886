"""The constants of the data contract, and the type of tensors."""

from typing import Any, TypeAlias

STORED_RANGE = 20.0
"""Scaled values are stored in [-20, 20]."""

INT16_SCALE = STORED_RANGE / 32767
"""One step of a stored int16 in scaled units: scaled value = stored value * INT16_SCALE."""

Tensor: TypeAlias = Any
"""A tensor of any backend; each docstring gives its shape."""
