"""Finds the TOML files that the package ships: definitions of data sets and settings of experiments."""

import difflib
from pathlib import Path

_WHAT = {"pipelines": "definition of a data set", "recipes": "experiment"}
_PACKAGE = Path(__file__).parent


def folder(kind):
    """Folder of the shipped files of `kind` ("pipelines" or "recipes"), in the wheel or in a checkout."""
    shipped = _PACKAGE / kind / "catalogue"
    return shipped if shipped.is_dir() else _PACKAGE.parent / kind


def names(kind):
    """Sorted names of the shipped files of `kind`."""
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def find(kind, name):
    """Path of a TOML file, given a shipped name or the path of the user's own file.

    Args:
        kind: "pipelines" or "recipes".
        name: A shipped name such as "demo", or a path that ends in ".toml".

    Raises:
        FileNotFoundError: There is no such name or file; the message lists the shipped names.
    """
    path = Path(name)
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise FileNotFoundError(f"{path}: no such file.{_closest(path.stem, kind)}")
    shipped = folder(kind) / f"{name}.toml"
    if name in names(kind):
        return shipped
    own = path.with_name(f"{path.name}.toml")
    advice = f" For your own file write {own}." if own.is_file() else _closest(path.name, kind)
    raise FileNotFoundError(
        f"No {_WHAT[kind]} named {str(name)!r}.{advice} Shipped: {', '.join(names(kind))}; or give the path of a .toml "
        "file."
    )


def _closest(name, kind):
    close = difflib.get_close_matches(name, names(kind), 1)
    return f" Did you mean {close[0]}?" if close else ""
