"""Parsed tables of a definition or a manifest as frozen dataclasses, and back; errors name the place in the file."""

import dataclasses
import typing

from physiokeras import tables
from physiokeras.errors import DataError

_WORDS = {**tables.WORDS, float: "a finite number", tuple: "a list", dict: "a table"}


def build(kind, table, key):
    """Make an instance of the dataclass `kind` from `table`.

    Args:
        kind: A dataclass whose annotations `physiokeras.tables.convert` knows.
        table: dict of plain values.
        key: Where the table stands in its file, for messages: "[modalities.eeg]".

    Raises:
        DataError: An unknown or missing key, or a value of another type; its `place` is the key.
    """
    if not isinstance(table, dict):
        raise DataError(f"must be a table. Received: {table!r}. Write it as {key} with keys below it.", place=key)
    hints = tables.hints(kind)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise DataError(f"unknown key {', '.join(unknown)}. Known: {', '.join(hints)}.", place=key)
    missing = tables.missing(kind, table)
    if missing:
        raise DataError(f"misses the key {', '.join(missing)}. Known: {', '.join(hints)}.", place=key)
    return kind(**{name: _convert(value, hints[name], f"{key} {name}") for name, value in table.items()})


def _convert(value, hint, key):
    try:
        return tables.convert(value, hint, finite=True)
    except tables.WrongType as error:
        wanted = _WORDS.get(typing.get_origin(error.hint) or error.hint, error.hint)
        raise DataError(f"must be {wanted}. Received: {error.value!r}.", place=key + error.inside) from None


def plain(value):
    """Dataclasses, tuples and mappings as dicts and lists that JSON can hold; None entries are left out."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
