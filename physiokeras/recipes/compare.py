"""Compare training strategies of an encoder on all tasks, with several seeds, as the paper does.

    physiokeras compare --backend jax
    physiokeras compare --config stress_predict --data PREPARED --backend jax --out runs/stress
    physiokeras compare --resume runs/stress --seeds 5

A strategy is a file of settings that override those of the run. Each encoder is trained once per seed and fold, saved
and probed on test people. `band_power` has no encoder: its probes read log band powers of the windows, the baseline
that an encoder has to exceed. The same command with the same `--out`, or `--resume` with the folder, resumes an
interrupted comparison; added strategies or seeds are computed, finished ones are kept. On several machines that see one
folder, start it on each: every one computes cells that are free, and the one that ends last writes the page. The run
folder gets the page `scores.md`, its numbers as CSV, figures, and `folds.csv`, the people of each fold.
"""

import itertools
import json
from dataclasses import dataclass
from typing import Literal

from physiokeras.comparison.strategies import check_names, check_reference, overrides, strategies_of
from physiokeras.errors import DataError
from physiokeras.experiments import exit_status, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CONFIG_HELP, read, setting
from physiokeras.experiments.training_settings import CohortSettings, ProbeSettings, SubsetSettings, TrainingSettings
from physiokeras.files import write_csv

STRATEGIES = (
    *("unimodal", "mae", "input_dropout", "output_dropout", "pairwise", "leave_one_out"),
    *("supervised", "untrained", "band_power"),
)
"""Those that are compared unless told otherwise."""


@dataclass(frozen=True)
class Settings(SubsetSettings, ProbeSettings, CohortSettings, TrainingSettings):
    """Settings of a comparison: strategies, data, folds, network, training, supervised training, probes."""

    config: tuple[str, ...] | None = setting(("comparison",), CONFIG_HELP, "run", "invocation")
    strategies: tuple[str, ...] = setting(
        STRATEGIES,
        "shipped strategies or TOML files of settings that override all others; also band_power and time_alone, "
        "which have no encoder",
        "comparison", "extent",
    )  # fmt: skip
    seeds: int = setting(
        5, "number of repetitions with different seeds; a finished run can be given more", "comparison", "extent"
    )
    tasks: tuple[str, ...] = setting(
        (), "tasks to probe; none: all tasks that the labels allow", "comparison", "probe", alias="task"
    )
    reference: str = setting("input_dropout", "strategy with which the others are compared", "comparison", "probe")
    subsets: bool = setting(True, "also score each subset of the modalities at test time", "comparison", "probe")
    refit: bool = setting(
        True, "with subsets: also fit probes on training windows that lack the same modalities",
        "comparison", "probe",
    )  # fmt: skip
    draws: int = setting(1000, "number of bootstrap draws of people for the intervals", "comparison", "probe")
    folds: int = setting(
        0, "number of groups of people, each held out once; 0: the splits of the data", "comparison", "result"
    )
    validation_share: float = setting(
        0.2, "with folds: share of the remaining labelled people who form the validation set",
        "comparison", "result",
    )  # fmt: skip
    pretrain_on: tuple[str, ...] = setting(
        (), "without folds: splits to pretrain on; none: pretrain and train, if the data have them",
        "data", "result",
    )  # fmt: skip
    supervised_steps: int | None = setting(
        None, "greatest number of steps of supervised training from scratch; none: as many as pretraining has",
        "supervised", "supervised",
    )  # fmt: skip
    supervised_interval: int | None = setting(
        None, "number of steps between evaluations of the validation loss; none: that of pretraining",
        "supervised", "supervised",
    )  # fmt: skip
    patience: int = setting(
        4, "number of evaluations without a lower loss after which training ends", "supervised", "supervised"
    )
    scalings: tuple[Literal["raw", "per person"], ...] = setting(
        ("raw",), "features unchanged, or scaled within each person, which data of few people need",
        "probe", "probe",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        check_names(self.strategies)
        if self.folds and self.early_stopping:
            raise ValueError(
                "early_stopping needs a validation loss, which folds do not have: validation people pretrain too. Give "
                "--folds 0 or --early-stopping 0."
            )
        for name, of_pretraining in (("supervised_steps", self.steps), ("supervised_interval", self.interval)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, of_pretraining)


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras compare", description=__doc__.split("\n")[0])
    run_folder.refuse_taken(settings, resume=True)
    try:
        check_reference(settings, [name for name, _ in overrides(settings)])
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from error
    use(settings.backend)
    from physiokeras.comparison import cells, report
    from physiokeras.comparison.pool import pool
    from physiokeras.comparison.table import score_table
    from physiokeras.evaluation import folds
    from physiokeras.experiments import cohort, devices, loggers, progress

    devices.check(settings)
    loggers.check(settings)
    manifest = cohort.prepared(settings)
    tasks = chosen_tasks(settings, manifest)
    try:
        parts, compared = folds.of_settings(settings, manifest, tasks), strategies_of(settings, manifest)
        check_reference(settings, [strategy.name for strategy in compared])
    except ValueError as error:
        raise SystemExit(str(error)) from error
    cells.check(compared, parts, manifest)
    # Changed settings of probes invalidate the cells that depend on them.
    known = {"data_hash": manifest.data_hash, "resume": True, "free": ("probe", "readout")}
    with run_folder.start(settings, recipe="compare", shared=True, **known) as run:
        plan = cells.plan(settings, manifest, compared, parts, run.folder)
        with run.locked():
            write_csv(run.folder / "folds.csv", folds.fold_rows(parts))
        compute_free(plan, manifest, tasks, run)
        with run.locked():
            elsewhere = sum(not cells.is_done(cell, tasks) for cell in plan)
            if elsewhere:
                progress.say(
                    f"{elsewhere} of {len(plan)} cells are being computed by other processes, or were changed by one "
                    "with other settings. The one that ends last writes the page; if one dies, run the command again."
                )
                return 0
            pooled = pool(plan, tasks)
            table = score_table(pooled, plan, settings.draws, settings.seed)
            report.report(run, plan, pooled, table, manifest, settings)
    return 0


def compute_free(plan, manifest, tasks, run):
    """Compute the cells that are not done, except those that other processes are computing.

    Args:
        plan: list of `Cell`.
        manifest: `Manifest`.
        tasks: list of `Task`.
        run: `Run`.
    """
    from physiokeras.comparison import cells
    from physiokeras.experiments import progress

    def is_done(cell):
        return cells.is_done(cell, tasks)

    computed, before = set(), None
    while computed != before:  # once more after the last cell, since another process may have died in one that it took
        before = set(computed)
        for number, cell in enumerate(plan):
            # Another process with other settings of probes may change a cell; two would never end.
            if cell.folder in computed or is_done(cell):
                continue
            with cells.taken(cell) as free:
                if free and not is_done(cell):
                    cells.compute(cell, manifest, tasks, run, f"Cell {number + 1} of {len(plan)}")
                    progress.say(cell_done(plan, number, is_done))
                    computed.add(cell.folder)


def chosen_tasks(settings, manifest):
    """The tasks of `settings.tasks`, or all.

    Raises:
        DataError: An unknown name, or data without labels.
    """
    from physiokeras.evaluation.tasks import tasks_of

    known = tasks_of(manifest.labels, age_threshold=settings.age_threshold)
    unknown = [name for name in settings.tasks if name not in known]
    if unknown or not known:
        message = f"no task {', '.join(unknown) or 'at all'}. The labels allow: {', '.join(known) or 'none'}."
        raise DataError(message, file=manifest.folder)
    return [task for name, task in known.items() if not settings.tasks or name in settings.tasks]


def cell_done(plan, number, is_done):
    """A line on a cell that has just ended, and an estimate of the time left from the cells that are done."""
    seconds = {}
    for cell in filter(is_done, plan):
        took = sum(json.loads((cell.folder / "cell.json").read_bytes())["seconds"].values())
        seconds.setdefault(cell.strategy.name, []).append(took)
    every = [took for own in seconds.values() for took in own]
    left = 0.0
    for cell in itertools.filterfalse(is_done, plan):
        own = seconds.get(cell.strategy.name, every)
        left += sum(own) / len(own)
    cell = plan[number]
    took = json.loads((cell.folder / "cell.json").read_bytes())["seconds"]
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in took.items())
    return f"Cell {number + 1} of {len(plan)} ({cell.title}) is done: {parts}; about {left / 60:.0f} min left."


if __name__ == "__main__":
    exit_status.run(main)
