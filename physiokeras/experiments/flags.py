"""The command line of a settings dataclass: one flag for each field."""

import argparse
import difflib
import sys
from dataclasses import MISSING, fields

from physiokeras.tables import choices, hints, item_type, without_none


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        # The usage of a command with forty flags would hide the one sentence that matters.
        self.exit(2, f"{self.prog}: error: {message}\n(--help lists all settings)\n")


class _Help(argparse.HelpFormatter):
    def __init__(self, prog):
        super().__init__(prog, max_help_position=32, width=110)


def parser(kind, *, prog=None, description=None, defaults=None):
    """An `argparse` parser with a flag for every field of `kind`: its own settings first, the common ones last.

    Args:
        kind: The settings dataclass.
        prog: Name of the command, unless `physiokeras` started it.
        description: What the command does.
        defaults: dict of field name to the value that holds where no flag is given, instead of the field's default.
    """
    result = _Parser(
        prog=_program() or prog,
        description=description or (kind.__doc__ or "").strip(),
        formatter_class=_Help,
        usage="%(prog)s [--config NAME ...] [settings]",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    types, groups = hints(kind), {}
    for item in sorted(fields(kind), key=lambda item: item.metadata.get("group") == "run"):
        title = item.metadata.get("group") or "settings"
        if title not in groups:
            groups[title] = result.add_argument_group(title)
        options = {"dest": item.name, **_options(types[item.name])}
        groups[title].add_argument(flag(item.name), help=_help(item, defaults or {}), **options)
        if item.metadata.get("alias"):
            groups[title].add_argument(flag(item.metadata["alias"]), help=argparse.SUPPRESS, **options)
    return result


def parse(parser, kind, argv):
    """Dict of field name to value, of the fields that `argv` gives.

    Raises:
        ValueError: An unknown flag (the message names the closest), or a word that belongs to none.
        SystemExit: `--help`, or a value of a wrong type.
    """
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        word = unknown[0].split("=")[0]
        if not word.startswith("-"):
            before = argv[max(0, argv.index(word) - 2) : argv.index(word)]
            if len(before) == 2 and before[0] in map(flag, hints(kind)) and not before[1].startswith("-"):
                raise ValueError(f"{before[0]} takes one value in this command. Received also {word!r}.")
            raise ValueError(
                f"{word!r} belongs to no flag. Every setting is given by its flag, as in {_example(kind, word)}."
            )
        raise ValueError(f"unknown flag {word}.{closest(word, [flag(item.name) for item in fields(kind)])}")
    types = hints(kind)
    return {name: _value(value, types[name]) for name, value in vars(given).items()}


def _example(kind, word):
    """Example of a flag with a value: the flag to which a word without one most likely belongs."""
    names = [item.name for item in fields(kind)]
    likely = next((name for name in ("run", "data", "source") if name in names), None)
    return f"{flag(likely)} {word}" if likely else "--seed 1"


def flag(name):
    """`mask_ratio` as `--mask-ratio`."""
    return "--" + name.replace("_", "-")


def closest(name, known):
    """A sentence that offers the known name closest to `name`, or nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f" Did you mean `{close[0]}`?" if close else ""


def _program():
    """The command's name if `physiokeras` started it, such as "physiokeras pretrain"."""
    return sys.argv[0] if sys.argv[0].startswith("physiokeras ") else None


def _options(hint):
    inner, optional = without_none(hint)
    if inner is bool:
        return {"action": argparse.BooleanOptionalAction}
    item, count = item_type(inner)
    if item is not None:
        return {**_options(item | None if optional else item), "nargs": count or "*"}
    allowed = list(choices(inner))
    scalar = type(allowed[0]) if allowed else inner

    def convert(text):
        return None if optional and text.lower() == "none" else scalar(text)

    convert.__name__ = scalar.__name__  # argparse says "invalid int value"
    options = {"type": convert, "metavar": {int: "N", float: "X"}.get(scalar, "TEXT")}
    if allowed:
        options |= {
            "choices": allowed + [None] * optional,
            "metavar": "{" + ",".join([*map(str, allowed), *["none"] * optional]) + "}",
        }
    return options


def _value(value, hint):
    if not isinstance(value, list):
        return value
    return None if value == [None] and without_none(hint)[1] else tuple(value)


def _help(item, defaults):
    default = item.default if item.default_factory is MISSING else item.default_factory()
    default = defaults.get(item.name, default)
    shown = "required" if default is MISSING else f"default: {_shown(default)}"
    return f"{item.metadata.get('help', '')} ({shown})".replace("%", "%%")


def _shown(default):
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return " ".join(map(str, default)) or "none"
    if isinstance(default, float):
        return f"{default:.6g}"
    return "none" if default is None else default
