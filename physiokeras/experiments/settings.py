"""Settings of a command: defaults in a dataclass, overridden by a TOML file, overridden by the command line."""

import os
import sys
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Literal

from physiokeras import catalogue
from physiokeras.experiments import flags
from physiokeras.experiments.setting_types import checked, describe, hints

INVOCATION = ("config", "resume", "accept")
"""Settings that say where an invocation begins; no file holds them."""

CONFIG_HELP = "shipped experiments' names, or TOML files of settings; later ones win, and flags over all"


def setting(default=MISSING, help="", group=None):
    """A field of a settings dataclass.

    Args:
        default: Its default; left out, the setting must be given.
        help: One sentence for newcomers, shown by `--help`.
        group: Heading under which `--help` lists it.
    """
    return field(default=default, kw_only=True, metadata={"help": help, "group": group})


def _backend():
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


@dataclass(frozen=True)
class CommonSettings:
    """What every command takes. Subclass it (frozen too) and add fields made by `setting`."""

    config: tuple[str, ...] | None = setting(None, CONFIG_HELP, "run")
    backend: Literal["tensorflow", "jax", "torch"] = field(
        default_factory=_backend,
        kw_only=True,
        metadata={"help": "framework that computes; the variable KERAS_BACKEND sets the default", "group": "run"},
    )
    seed: int = setting(0, "number from which everything random in the run follows", "run")
    out: str | None = setting(None, "folder for the results, made if missing", "run")

    def __post_init__(self):
        """Where subclasses check what they add, each after `super().__post_init__()`."""


def read(kind, argv=None, *, prog=None, description=None):
    """Settings from the command line, over those of the files that `--config` names, over the defaults.

    A command that overrides the field `config` with a default has those settings where none is named. The
    field `resume`, where given, stands for the `config` and `out` of a run's folder.

    Args:
        kind: A frozen, flat dataclass of settings (see `setting`). Types: str, int, float, bool, `Literal`, tuples of
            these, and any of them `| None`. The field `mask_ratio` becomes the flag `--mask-ratio` and the TOML key
            `mask_ratio`; the word "none" stands for None in both.
        argv: Arguments without the command's name; default: those of the process.
        prog: Name of the command in messages, such as "python -m physiokeras.recipes.pretrain".
        description: What the command does, shown by `--help`.

    Returns: an instance of `kind`.

    Raises:
        SystemExit: Status 2 and one message for anything unknown or of a wrong type, including a `ValueError` from the
            dataclass's own `__post_init__`.
    """
    parser = flags.parser(kind, prog=prog, description=description)
    try:
        given = flags.parse(parser, kind, sys.argv[1:] if argv is None else list(argv))
        if given.get("resume"):
            given = _of_run(given["resume"]) | given
        values = {}
        for config in given.get("config", _default_config(kind)) or ():
            values |= from_toml(kind, config)
        values |= given
        for name in missing(kind, values):
            raise ValueError(f"{flags.flag(name)} must be given.")
        return kind(**values)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def from_toml(kind, name):
    """The settings that a TOML file gives, checked against the dataclass.

    Args:
        kind: The settings dataclass.
        name: A shipped experiment's name, or the path of a file.

    Returns: dict of field name to value.

    Raises:
        ValueError: Names the file, the key, what was expected and what was received.
        FileNotFoundError: No such file or shipped name.
    """
    path = catalogue.find("recipes", name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of TOML's grammar or of UTF-8
        raise ValueError(f"{path}: not a TOML file: {error}") from error
    types = {key: hint for key, hint in hints(kind).items() if key not in INVOCATION}
    for key, value in table.items():
        if key not in types:
            known = ", ".join(sorted(types))
            raise ValueError(f"{path}: unknown key `{key}`.{flags.closest(key, types)} Known keys: {known}.")
        try:
            table[key] = checked(value, types[key])
        except TypeError:
            kind_received = type(value).__name__
            raise ValueError(
                f"{path}: `{key}` must be {describe(types[key])}. Received: {value!r} ({kind_received})."
            ) from None
    return table


def to_toml(settings, *, note=None):
    """The complete settings as TOML from which `read` makes an equal instance, `config` apart.

    What belongs to one invocation (`INVOCATION`) is left out, and so is None where it is the default.

    Args:
        settings: An instance of a settings dataclass.
        note: Text for a comment on top.
    """
    import tomli_w  # here, so that `--help` works before anything is installed

    table = {}
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.name in INVOCATION or (value is None and item.default is None):
            continue
        table[item.name] = "none" if value is None else value
    comment = "".join(f"# {line}".rstrip() + "\n" for line in (note or "").splitlines())
    return comment + tomli_w.dumps(table)


def _of_run(folder):
    path = Path(folder) / "settings.toml"
    if not path.is_file():
        raise ValueError(f"{folder} holds no run to resume: there is no settings.toml. Start it by its first command.")
    return {"config": (str(path),), "out": folder}


def _default_config(kind):
    return next((item.default for item in fields(kind) if item.name == "config"), None)


def missing(kind, values):
    """Names of the fields without default that `values` lacks."""
    needed = [item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING]
    return [name for name in needed if name not in values]
