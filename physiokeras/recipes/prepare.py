"""Convert a data set's records into a folder of shards that training streams from.

    python -m physiokeras.recipes.prepare --dataset physionet2018 --source FOLDER --out DIR --workers 8

A run that was interrupted, or whose records were set aside, is finished by the same command.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.pipelines import convert
from physiokeras.recipes import settings as settings_module
from physiokeras.recipes.settings import setting


@dataclass(frozen=True)
class Settings:
    """What is converted, where to, and by how many processes."""

    config: str | None = setting(None, "a TOML file of settings; flags win", "run")
    dataset: str = setting(help="a shipped definition's name (physionet2018, mitdb, ...), or a TOML file", group="data")
    source: str = setting(help="folder of the data set's records", group="data")
    out: str = setting(help="folder for the shards, made if missing", group="data")
    workers: int = setting(1, "processes", "work")
    shard_index: int = setting(0, "which part of the records this machine converts, from 0", "work")
    num_shards: int = setting(1, "into how many parts the records are divided among machines", "work")
    strict: bool = setting(True, "set a record aside whose checksum or first sample contradicts its header", "work")

    def __post_init__(self):
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1. Received: {self.workers}.")
        if not 0 <= self.shard_index < self.num_shards:
            rule = "shard_index must lie in [0, num_shards)"
            raise ValueError(f"{rule}. Received: {self.shard_index} of {self.num_shards}.")


def main(argv=None):
    """Run the command.

    Returns: exit status: 0, or 1 where any record was set aside or the data set cannot be converted.
    """
    settings = settings_module.read(
        Settings,
        argv,
        prog="python -m physiokeras.recipes.prepare",
        description="Convert a data set's records into a folder of shards that training streams from.",
    )
    try:
        manifest = convert(
            settings.source,
            settings.dataset,
            Path(settings.out),
            workers=settings.workers,
            shard_index=settings.shard_index,
            num_shards=settings.num_shards,
            strict=settings.strict,
            progress=_say,
        )
    except (DataError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return int(bool(manifest and manifest.set_aside))


def _say(line):
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
