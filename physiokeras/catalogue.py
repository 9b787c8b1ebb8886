"""Finds the TOML files that the package ships: definitions of data sets and settings of experiments."""

from pathlib import Path

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
        raise FileNotFoundError(f"{path}: no such file.")
    shipped = folder(kind) / f"{name}.toml"
    if name in names(kind):
        return shipped
    raise FileNotFoundError(
        f"No {kind} named {name!r}. Shipped: {', '.join(names(kind))}; or give the path of a .toml file."
    )
