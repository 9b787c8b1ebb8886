"""Search settings of pretraining by the score of a probe on the validation people.

    physiokeras search --backend jax
    physiokeras search --data PREPARED --tuner bayesian --trials 20 --space drop_rate=0:1 depth=2:8
    physiokeras search --grid --space mask_ratio=0.5,0.7,0.9 drop_rate=0,0.5,1 --seeds 3

Each trial pretrains an encoder and probes it. The score is the balanced accuracy on validation people, not the
reconstruction loss, which does not measure a representation. Test people are not used. KerasTuner chooses the trials.
With `--grid` every combination of two settings runs with every seed, and their interaction is tested. The same command
with the same `--out`, or `--resume` with the folder, resumes an interrupted search.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Literal

from physiokeras.errors import DataError
from physiokeras.experiments import exit_status, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import read, setting
from physiokeras.recipes import pretrain
from physiokeras.search.space import Dimension

MOST_CHECKED = 1000
"""Combinations of values that are checked before the first trial."""


@dataclass(frozen=True)
class Settings(pretrain.PretrainingSettings):
    """The search, and all settings of the pretraining, which hold for every trial."""

    tuner: Literal["random", "bayesian", "hyperband"] = setting(
        "random", "search algorithm of KerasTuner; hyperband runs many trials with few steps first",
        "search", "result",
    )  # fmt: skip
    trials: int = setting(8, "number of trials; hyperband determines it itself", "search", "extent")
    space: tuple[str, ...] = setting(
        ("drop_rate=0:1", "mask_ratio=0.3:0.9"), "settings to vary, each NAME=LOW:HIGH, NAME=LOW:HIGH:STEP or NAME=A,B",
        "search", "result",
    )  # fmt: skip
    task: str | None = setting(
        None, "label to probe; none: the first label with a class for each window", "search", "result", alias="label"
    )
    grid: bool = setting(False, "run all combinations of two settings with lists of values", "search", "result")
    seeds: int = setting(
        3,
        "number of repetitions of the grid with different seeds; a finished grid can be given more",
        "search",
        "extent",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.label_share != 1 or not self.space:
            raise ValueError("A search needs settings to vary in `space` and a `label_share` of 1.")
        if self.probe_folds:
            raise ValueError(
                "A search scores the validation people: `probe_folds` must be 0, so that no probe is fitted on them."
            )
        dimensions = [Dimension.parse(text) for text in self.space]
        if self.grid and (len(dimensions) != 2 or any(len(d.values) < 2 for d in dimensions)):
            raise ValueError(
                "A grid needs two settings with two or more values each: --space mask_ratio=0.5,0.7 drop_rate=0,1."
            )


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras search", description=__doc__.split("\n")[0])
    run_folder.refuse_taken(settings, resume=True)
    use(settings.backend)
    from physiokeras.evaluation import folds
    from physiokeras.experiments import cohort, devices, loggers
    from physiokeras.search import grid, tuner

    devices.check(settings)
    loggers.check(settings)
    dimensions = [Dimension.parse(text) for text in settings.space]
    trials = extremes(settings, dimensions)
    manifest = cohort.prepared(settings)
    missing = [split for split in ("train", "validation") if split not in manifest.splits]
    if missing:
        raise DataError(
            f"there are no people in the split {', '.join(missing)}; a search needs them.", file=manifest.folder
        )
    task = folds.task_of(manifest, settings.task)
    for trial in trials:
        cohort.check(trial, manifest, cohort.training_splits(trial, manifest))
    with run_folder.start(settings, recipe="search", data_hash=manifest.data_hash, resume=True) as run:
        (grid if settings.grid else tuner).search(run, dimensions, task, manifest, settings)
    return 0


def extremes(settings, dimensions):
    """Settings of the trials at the ends of all ranges, and of all combinations of listed values.

    Raises:
        SystemExit: Settings that contradict each other.
    """
    ends = [dimension.values or (dimension.low, dimension.high) for dimension in dimensions]
    names = [dimension.name for dimension in dimensions]
    try:
        found = itertools.islice(itertools.product(*ends), MOST_CHECKED)
        return [replace(settings, **dict(zip(names, values, strict=True))) for values in found]
    except ValueError as error:
        raise SystemExit(f"The search would try settings that cannot be: {error}") from error


if __name__ == "__main__":
    exit_status.run(main)
