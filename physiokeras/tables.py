"""Values of a TOML or JSON table, checked against the annotations of a dataclass."""

import math
import types
import typing
from dataclasses import MISSING, fields

WORDS = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


class WrongType(TypeError):
    """A value of another type than its annotation says.

    Args:
        hint: The annotation.
        value: The value.
        inside: Where it stands in the table's value, such as ".eeg"; empty for the value itself and items of a list.
    """

    def __init__(self, hint, value, inside: str = ""):
        super().__init__(f"must be {describe(hint)}. Received: {value!r}.")
        self.hint, self.value, self.inside = hint, value, inside


def hints(kind) -> dict[str, typing.Any]:
    """Dict of field name to annotation of a dataclass."""
    resolved = typing.get_type_hints(kind)
    return {item.name: resolved[item.name] for item in fields(kind)}


def missing(kind, values) -> list[str]:
    """Names of the fields without default that `values` lacks."""
    needed = [item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING]
    return [name for name in needed if name not in values]


def convert(value, hint, *, none=None, finite=False):
    """Convert a value to the type of an annotation: lists to tuples, integers to floats where floats are wanted.

    Args:
        value: As TOML or JSON gives it.
        hint: str, int, float, bool, `Literal`, `tuple[x, ...]`, `tuple[x, y]`, `dict[str, x]`, or any of them `| None`.
        none: A value that stands for None, besides None.
        finite: Whether floats must be finite.

    Raises:
        WrongType: The value has another type.
    """
    inner, optional = without_none(hint)
    if optional and (value is None or value == none):
        return None
    options = {"none": none, "finite": finite}
    item, count = item_type(inner)
    if item is not None:
        if not isinstance(value, list | tuple) or count not in (None, len(value)):
            raise WrongType(inner, value)
        return tuple(convert(part, item, **options) for part in value)
    if typing.get_origin(inner) is dict:
        return _converted_table(value, inner, options)
    if choices(inner):
        right = any(value == choice and type(value) is type(choice) for choice in choices(inner))
    elif inner is float:
        right = type(value) in (int, float) and (math.isfinite(value) or not finite)
        value = float(value) if right else value
    else:
        right = type(value) is inner  # true is an int to Python, but not to TOML
    if not right:
        raise WrongType(inner, value)
    return value


def _converted_table(value, hint, options):
    if not isinstance(value, dict):
        raise WrongType(hint, value)
    converted = {}
    for name, item in value.items():
        try:
            converted[name] = convert(item, typing.get_args(hint)[1], **options)
        except WrongType as error:
            raise WrongType(error.hint, error.value, f".{name}{error.inside}") from None
    return converted


def without_none(hint):
    """The type without its None, and whether it allows None.

    Raises:
        TypeError: More than one type besides None.
    """
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    rest = [part for part in typing.get_args(hint) if part is not type(None)]
    if len(rest) != 1:
        raise TypeError(f"A field has one type, or one and None. Received: {hint}.")
    return rest[0], True


def item_type(hint):
    """The type of a tuple's items and their number (None: any); `(None, None)` where `hint` is no tuple."""
    if typing.get_origin(hint) is not tuple:
        return None, None
    items = typing.get_args(hint)
    return items[0], None if items[-1] is Ellipsis else len(items)


def choices(hint) -> tuple:
    """The values that a `Literal` allows; empty for other types."""
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def describe(hint) -> str:
    """A type in words, for messages."""
    inner, optional = without_none(hint)
    item, count = item_type(inner)
    if item is not None:
        text = f"a list of {count} values" if count else "a list"
        text += f", each {describe(item)}"
    elif choices(inner):
        text = "one of " + ", ".join(repr(choice) for choice in choices(inner))
    else:
        text = WORDS.get(inner, str(inner))
    return text + ' (or "none")' if optional else text
