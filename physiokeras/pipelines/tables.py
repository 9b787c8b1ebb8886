"""Turns tables (parsed TOML or JSON) into frozen dataclasses and refuses whatever the dataclass does not know."""

import dataclasses
import math
import types
import typing

from physiokeras.errors import DataError


def build(kind, table, key):
    """An instance of the dataclass `kind` from `table`.

    Args:
        kind: A dataclass whose annotations are str, int, float, bool, tuple[x, ...], dict[str, str] or None unions.
        table: dict of plain values.
        key: Where the table stands in its file, for messages: "[modalities.eeg]".

    Raises:
        DataError: An unknown or missing key, or a value of another type; its `place` is the key.
    """
    if not isinstance(table, dict):
        raise DataError(f"must be a table. Received: {table!r}. Write it as {key} with keys below it.", place=key)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise DataError(f"unknown key {', '.join(unknown)}. Known: {', '.join(fields)}.", place=key)
    missing = [name for name, field in fields.items() if name not in table and _needed(field)]
    if missing:
        raise DataError(f"misses the key {', '.join(missing)}. Known: {', '.join(fields)}.", place=key)
    hints = typing.get_type_hints(kind)
    return kind(**{name: convert(hints[name], value, f"{key} {name}") for name, value in table.items()})


def convert(hint, value, key):
    """`value` as the annotation `hint` wants it (lists become tuples, integers floats), or a DataError at `key`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return convert(next(arg for arg in args if arg is not type(None)), value, key)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise DataError(f"must be a list. Received: {value!r}.", place=key)
        return tuple(convert(args[0], item, key) for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise DataError(f"must be a table. Received: {value!r}.", place=key)
        return {name: convert(args[1], item, f"{key}.{name}") for name, item in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if isinstance(value, hint) and isinstance(value, bool) == (hint is bool) and hint is not float:
        return value
    wanted = {str: "a string", int: "an integer", float: "a finite number", bool: "true or false"}.get(hint, hint)
    raise DataError(f"must be {wanted}. Received: {value!r}.", place=key)


def _needed(field):
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def plain(value):
    """Dataclasses, tuples and mappings as dicts and lists that JSON can hold; None entries are left out."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
