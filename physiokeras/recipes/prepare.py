"""Convert the records of a data set to a folder of shards from which training streams windows.

    physiokeras prepare --dataset physionet2018 --source FOLDER --out DIR --dry-run
    physiokeras prepare --dataset physionet2018 --source FOLDER --out DIR --workers 8
    physiokeras prepare ... --beam "--runner=FlinkRunner --flink_master=HOST:8081"
    physiokeras prepare ... --dask tcp://HOST:8786
    physiokeras prepare --out DIR --verify

The same command resumes an interrupted run and retries records that were set aside.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from physiokeras.experiments import exit_status
from physiokeras.experiments.settings import read, setting
from physiokeras.pipelines import convert, plan, verify
from physiokeras.pipelines.prepared.remote import local_folder


@dataclass(frozen=True)
class Settings:
    """Settings of a conversion: data set, output and processes."""

    config: tuple[str, ...] | None = setting(
        None, "TOML files of settings; later ones override earlier ones, and flags override all", "run", "invocation"
    )
    dry_run: bool = setting(False, "print what a conversion would read, write and need, then stop", "run", "execution")
    verify: bool = setting(
        False, "read a whole prepared folder, compare it with its manifest, then stop", "run", "execution"
    )
    dataset: str | None = setting(
        None, "name of a shipped definition (physionet2018, ...) or path of a TOML file", "data", "result"
    )
    source: str | None = setting(None, "folder of the records", "data", "place", holds="recordings")
    out: str = setting(help="folder for the shards; created if missing", group="data", role="place", holds="results")
    report: bool = setting(True, "write report.md, a page on the converted data, with a figure", "data", "extent")
    workers: int = setting(1, "processes", "work", "execution")
    beam: str | None = setting(
        None, "options of Apache Beam in one string, to convert on one of its runners", "work", "execution"
    )
    dask: str | None = setting(
        None, "address of a Dask scheduler, such as tcp://host:8786, to convert on its workers", "work", "execution"
    )
    shard_index: int = setting(
        0, "number of the part of the records that this machine converts, from 0", "work", "extent"
    )
    num_shards: int = setting(1, "number of parts into which the records are divided among machines", "work", "extent")
    strict: bool = setting(
        True, "set aside records that contradict their header or SHA256SUMS.txt; off: only note it", "work", "result"
    )

    def __post_init__(self):
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1. Received: {self.workers}.")
        if not 0 <= self.shard_index < self.num_shards:
            rule = "shard_index must lie in [0, num_shards)"
            raise ValueError(f"{rule}. Received: {self.shard_index} of {self.num_shards}.")
        if self.beam is not None and self.dask is not None:
            raise ValueError("--beam and --dask exclude each other.")
        if not self.verify and (self.dataset is None or self.source is None):
            raise ValueError("--dataset and --source must be given, except with --verify.")


def main(argv=None):
    """Run the command.

    Returns: exit status: 0, or 1 where any record was set aside, or the data set lacks what the definition names.

    Raises:
        DataError: The data set cannot be converted.
    """
    settings = read(
        Settings,
        argv,
        prog="physiokeras prepare",
        description="Convert the records of a data set to a folder of shards from which training streams windows.",
    )
    return run(settings)


def run(settings):
    """Convert, or print what would be converted, or compare with the manifest.

    Returns: exit status.
    """
    if settings.verify:
        print(f"{verify(settings.out)} windows in {settings.out} are as the manifest says.")
        return 0
    what = {"source": local_folder(settings.source), "definition": settings.dataset, "out": Path(settings.out)}
    what |= {name: getattr(settings, name) for name in ("workers", "shard_index", "num_shards", "strict")}
    if settings.dry_run:
        print("\n".join(plan(**what)))
        return 0
    engine = None
    if settings.beam is not None:
        from physiokeras.pipelines.converting import beam

        engine = beam.engine(shlex.split(settings.beam))
    if settings.dask is not None:
        from physiokeras.pipelines.converting import dask

        engine = dask.engine(settings.dask)
    if engine is not None:  # workers may have another working folder
        what |= {name: Path(what[name]).absolute() for name in ("source", "out")}
    manifest = convert(**what, engine=engine, progress=_say)
    if manifest and settings.report:
        from physiokeras.figures.conversion_report import write_report

        print(f"Read {write_report(manifest)} before you train on it.")
    if manifest and manifest.records:
        print(f"Then: physiokeras pretrain --data {shlex.quote(settings.out)} --backend jax")
    return int(bool(manifest and (manifest.set_aside or manifest.problems)))


def _say(line):
    print(line, flush=True)


if __name__ == "__main__":
    exit_status.run(main)
