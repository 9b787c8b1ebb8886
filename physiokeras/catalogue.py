"""Finds the declarations (TOML) that the package ships: data sets and experiments."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder(kind):
    """The folder of shipped `kind` ("pipelines" or "recipes"): in the wheel, else beside the package in a checkout."""
    shipped = _PACKAGE / kind / "catalogue"
    return shipped if shipped.is_dir() else _PACKAGE.parent / kind


def names(kind):
    """Names of the shipped declarations of `kind`, sorted."""
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def find(kind, name):
    """Path of a declaration, given a shipped name or a path to the user's own file.

    Args:
        kind: "pipelines" or "recipes".
        name: A shipped name such as "demo", or a path that ends in ".toml".

    Raises:
        FileNotFoundError: Neither; the message lists the shipped names.
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
