"""The types that a setting may have, and values checked against them."""

import types
import typing
from dataclasses import fields

_WORDS = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


def hints(kind):
    """Dict of field name to type of a settings dataclass."""
    resolved = typing.get_type_hints(kind)
    return {item.name: resolved[item.name] for item in fields(kind)}


def without_none(hint):
    """The type without its None, and whether it allows None.

    Raises:
        TypeError: More than one type besides None.
    """
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    rest = [part for part in typing.get_args(hint) if part is not type(None)]
    if len(rest) != 1:
        raise TypeError(f"A setting has one type, or one and None. Received: {hint}.")
    return rest[0], True


def item_type(hint):
    """The type of a tuple's items and their number (None: any); `(None, None)` where `hint` is no tuple."""
    if typing.get_origin(hint) is not tuple:
        return None, None
    items = typing.get_args(hint)
    return items[0], None if items[-1] is Ellipsis else len(items)


def choices(hint):
    """What a `Literal` allows; empty for other types."""
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def checked(value, hint):
    """`value`, as TOML gives it, as the type `hint` wants it.

    Raises:
        TypeError: It is something else.
    """
    inner, optional = without_none(hint)
    if optional and value == "none":
        return None
    item, count = item_type(inner)
    if item is not None:
        if not isinstance(value, list) or count not in (None, len(value)):
            raise TypeError
        return tuple(checked(part, item) for part in value)
    if choices(inner):
        if not any(value == choice and type(value) is type(choice) for choice in choices(inner)):
            raise TypeError
        return value
    if inner is float and type(value) is int:
        return float(value)
    # Exactly this type: true is an int to Python, but not to the writer of a settings file.
    if type(value) is not inner:
        raise TypeError
    return value


def describe(hint):
    """A type in words, for messages."""
    inner, optional = without_none(hint)
    item, count = item_type(inner)
    if item is not None:
        text = f"a list of {count} values" if count else "a list"
        text += f", each {describe(item)}"
    elif choices(inner):
        text = "one of " + ", ".join(repr(choice) for choice in choices(inner))
    else:
        text = _WORDS.get(inner, str(inner))
    return text + ' (or "none")' if optional else text
