"""Settings of a command: defaults of a dataclass, overridden by TOML files, overridden by the command line."""

import os
import sys
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Literal

from physiokeras import catalogue
from physiokeras.experiments import flags, places, ranges
from physiokeras.tables import WrongType, convert, describe, hints, item_type, missing, without_none

ROLES = {
    "invocation": "how one invocation begins; no file holds it",
    "place": "a path; what lies there is compared by its hash",
    "execution": "how the work is done; no number depends on it",
    "extent": "how much is computed; a finished run can be given more",
    "run": "every training depends on it and no search varies it",
    "training": "the training of an encoder depends on it",
    "supervised": "the training of a network on labels depends on it",
    "readout": "how features are read; probes and networks trained on labels depend on it",
    "probe": "how trained models are probed, scored and shown",
    "result": "any other setting on which a result depends",
}
"""What depends on a setting. Resuming, the names of a comparison's cells and searches follow from it."""

CONFIG_HELP = "shipped experiments or TOML files of settings; later ones override earlier ones, and flags override all"


def setting(default=MISSING, help="", group=None, role=None, *, factory=MISSING, alias=None, within=None, holds=None):
    """A field of a settings dataclass.

    Args:
        default: Its default; left out, the setting must be given.
        help: One sentence for newcomers, shown by `--help`.
        group: Heading under which `--help` lists it.
        role: One of `ROLES`: what depends on the setting.
        factory: Function that returns the default, instead of `default`.
        alias: A name that the setting had earlier; its flag and its TOML key still work.
        within: Interval of its values, such as "[0, 1)"; see `ranges`.
        holds: What the folder that it names must hold, one of `places.HOLDS`.

    Raises:
        ValueError: No such role, or no such thing that a folder holds.
    """
    for name, value, known in (("role", role, ROLES), ("holds", holds, places.HOLDS)):
        if value not in (None, *known):
            raise ValueError(f"`{name}` must be one of {', '.join(known)}. Received: {value!r}.")
    metadata = {"help": help, "group": group, "role": role, "alias": alias, "within": within, "holds": holds}
    return field(default=default, default_factory=factory, kw_only=True, metadata=metadata)


def of_role(kind, *roles):
    """Names of the fields of a settings dataclass, or of an instance, that have one of these roles, in order."""
    return tuple(item.name for item in fields(kind) if item.metadata.get("role") in roles)


def _backend():
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


@dataclass(frozen=True)
class CommonSettings:
    """Settings that every command takes. Subclasses, frozen too, add fields made by `setting`."""

    config: tuple[str, ...] | None = setting(None, CONFIG_HELP, "run", "invocation")
    backend: Literal["tensorflow", "jax", "torch"] = setting(
        help="Keras backend; the environment variable KERAS_BACKEND sets the default", group="run", role="run",
        factory=_backend,
    )  # fmt: skip
    seed: int = setting(0, "seed of all random numbers of the run", "run", "run")
    out: str | None = setting(None, "folder for the results; created if missing", "run", "place", holds="results")

    def __post_init__(self):
        """Check the ranges. Subclasses check more of what they add, each after `super().__post_init__()`."""
        for item in fields(self):
            if item.metadata.get("within"):
                ranges.check(item.name, getattr(self, item.name), item.metadata["within"])


def read(kind, argv=None, *, prog=None, description=None):
    """Settings from the command line, over those of the files that `--config` names, over the defaults.

    The default of the field `config` holds where no file is named. The field `resume`, where given, stands for the
    `config` and `out` of a run's folder.

    Args:
        kind: A frozen, flat dataclass of settings (see `setting`). Types: str, int, float, bool, `Literal`, tuples of
            these, and any of them `| None`. The field `mask_ratio` becomes the flag `--mask-ratio` and the TOML key
            `mask_ratio`; the word "none" stands for None in both.
        argv: Arguments without the command's name; default: those of the process.
        prog: Name of the command in messages, such as "physiokeras pretrain".
        description: What the command does, shown by `--help`.

    Returns: an instance of `kind`.

    Raises:
        SystemExit: Status 2 and one message for anything unknown or of a wrong type, for a folder that does not hold
            what its setting says, and for a `ValueError` from the dataclass's own `__post_init__`.
    """
    experiment = default_experiment(kind)
    if experiment:
        description = f"{description or ''} {_of_experiment(kind)}".strip()
    parser = flags.parser(kind, prog=prog, description=description, defaults=experiment)
    try:
        given = flags.parse(parser, kind, sys.argv[1:] if argv is None else list(argv))
        if given.get("resume"):
            given = _of_run(given["resume"]) | given
        values = dict(experiment)
        if "config" in given:
            values = {}
            for config in given["config"] or ():
                values |= from_toml(kind, config)
        values |= given
        absent = missing(kind, values)
        if absent:
            raise ValueError(f"{' and '.join(map(flags.flag, absent))} must be given.")
        settings = kind(**values)
        places.check(settings)
        return settings
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
    invocation = of_role(kind, "invocation")
    types = {key: hint for key, hint in hints(kind).items() if key not in invocation}
    former = {item.metadata["alias"]: item.name for item in fields(kind) if item.metadata.get("alias")}
    table = {former.get(key, key): value for key, value in table.items()}
    places = of_role(kind, "place")
    for key, value in table.items():
        if key in places and isinstance(value, str) and item_type(without_none(types[key])[0])[0]:
            value = [value]  # as runs of earlier versions have it, which took one folder
        if key not in types:
            known = ", ".join(sorted(types))
            raise ValueError(f"{path}: unknown key `{key}`.{flags.closest(key, types)} Known keys: {known}.")
        try:
            table[key] = convert(value, types[key], none="none")
        except WrongType:
            kind_received = type(value).__name__
            raise ValueError(
                f"{path}: `{key}` must be {describe(types[key])}. Received: {value!r} ({kind_received})."
            ) from None
    return table


def to_toml(settings, *, note=None):
    """The complete settings as TOML from which `read` makes an equal instance, `config` apart.

    Settings of the role "invocation" are left out, and so is None where it is the default.

    Args:
        settings: An instance of a settings dataclass.
        note: Text for a comment on top.
    """
    import tomli_w  # here, so that `--help` works before anything is installed

    table, invocation = {}, of_role(settings, "invocation")
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.name in invocation or (value is None and item.default is None):
            continue
        table[item.name] = "none" if value is None else value
    comment = "".join(f"# {line}".rstrip() + "\n" for line in (note or "").splitlines())
    return comment + tomli_w.dumps(table)


def _of_run(folder):
    path = Path(folder) / "settings.toml"
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no run to resume: there is no settings.toml. Start it with its original command."
        )
    return {"config": (str(path),), "out": folder}


def default_experiment(kind):
    """The settings that hold where `--config` is not given: dict of field name to value."""
    values = {}
    for config in default_config(kind):
        values |= from_toml(kind, config)
    return values


def _of_experiment(kind):
    return f"Defaults are those of the experiment {' '.join(default_config(kind))}; --config names others."


def default_config(kind):
    """Names of the experiments that hold where `--config` is not given; empty where there are none."""
    return next((item.default for item in fields(kind) if item.name == "config"), None) or ()
