"""Simulate polysomnograms as WFDB records in the Challenge-2018 layout: invented physiology, no data about anyone.

    physiokeras simulate --out DIR --people 48 --hours 0.3334 --workers 2

48 records of 20 minutes take about 13 s on one core. The same command finishes an interrupted run.
"""

from dataclasses import dataclass

from physiokeras.experiments import exit_status
from physiokeras.experiments.settings import read, setting


@dataclass(frozen=True)
class Settings:
    """Settings of a simulation: people, length and output."""

    config: tuple[str, ...] | None = setting(
        None, "TOML files of settings; later ones override earlier ones, and flags override all", "run", "invocation"
    )
    seed: int = setting(0, "seed of all random numbers", "run", "run")
    out: str = setting(help="folder for the records; created if missing", group="run", role="place", holds="results")
    people: int = setting(48, "number of people with labels", "cohort", "result")
    unlabelled: int = setting(0, "number of people without labels, for pretraining", "cohort", "result")
    hours: float = setting(
        1 / 3, "length of each record in hours; a short record contains a compressed night", "cohort", "result"
    )
    coupled: bool = setting(
        True,
        "simulate all modalities from one physiology; off: independently, as a negative control",
        "cohort",
        "result",
    )
    workers: int = setting(1, "processes", "work", "execution")

    def __post_init__(self):
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1. Received: {self.workers}.")


def main(argv=None):
    """Run the command.

    Returns: exit status.

    Raises:
        SystemExit: The folder holds something else, or a setting is out of range.
    """
    settings = read(
        Settings,
        argv,
        prog="physiokeras simulate",
        description="Simulate polysomnograms as WFDB records in the Challenge-2018 layout.",
    )
    from physiokeras.pipelines import simulate  # not above: it imports SciPy and WFDB, which `--help` does not need

    try:
        simulate(
            settings.out,
            settings.people,
            settings.unlabelled,
            settings.hours,
            seed=settings.seed,
            workers=settings.workers,
            coupled=settings.coupled,
        )
    except ValueError as error:
        raise SystemExit(str(error)) from error
    return 0


if __name__ == "__main__":
    exit_status.run(main)
