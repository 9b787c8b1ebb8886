"""Pretrain and probe with people held out in turn, for data sets of few people.

    python -m physiokeras.recipes.crossvalidate --config stress_predict --data PREPARED --backend jax

In each fold an autoencoder is pretrained without the fold's test people. Its frozen encoder is probed, the same encoder
untrained is, and the same network is trained from scratch on the labels. The run folder gets `scores.md`,
`predictions.csv` and a folder for each fold and seed; the same command with the same `--out`, or `--resume` with the
folder, goes on where it stopped.
"""

import functools
import shlex
import sys
from dataclasses import dataclass, replace
from typing import Literal

from physiokeras.errors import DataError, TrainingError
from physiokeras.recipes import run
from physiokeras.recipes.backend import use
from physiokeras.recipes.experiment import TrainingSettings
from physiokeras.recipes.settings import CONFIG_HELP, read, setting
from physiokeras.seeds import derive

FREE = ("data", "seeds", "draws", "checkpoint_every", "tensorboard")
"""Settings that may differ when a run goes on: the data are compared by their hash."""


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """Cross-validation: data, folds, network, objective, training, supervised training, probe."""

    config: tuple[str, ...] | None = setting(("stress_predict",), CONFIG_HELP, "run")
    data: str = setting(help="folder that `prepare` made", group="data")
    label: str | None = setting(None, "label that is predicted; none given: the first with a class a window", "data")
    folds: int = setting(5, "groups of people, each held out once", "folds")
    seeds: int = setting(3, "repetitions of the whole; more can be added to a finished run", "folds")
    validation_share: float = setting(0.2, "share of the other labelled people by whom choices are made", "folds")
    supervised_steps: int = setting(300, "most training steps from scratch", "supervised")
    supervised_interval: int = setting(30, "steps between two looks at the validation people", "supervised")
    patience: int = setting(4, "looks without a lower loss after which training ends", "supervised")
    pooling: Literal["mean", "concatenate"] = setting(
        "mean", "features: mean over modalities, or side by side", "probe"
    )
    draws: int = setting(1000, "draws of people for the intervals", "probe")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(
        Settings, argv, prog="python -m physiokeras.recipes.crossvalidate", description=__doc__.split("\n")[0]
    )
    use(settings.backend)
    from physiokeras.pipelines import Manifest
    from physiokeras.recipes import cells, fold_scores, folds

    manifest = Manifest.read(settings.data)
    task = folds.task_of(manifest, settings.label)
    parts = folds.split(manifest, task.label, settings.folds, settings.validation_share, settings.seed)
    known = {"data_hash": manifest.data_hash, "resume": True, "free": FREE, "accept": settings.accept}
    with run.start(settings, recipe="crossvalidate", **known) as folder:
        advice = f"Go on with: python -m physiokeras.recipes.crossvalidate --resume {shlex.quote(str(folder))}"
        for number in range(settings.seeds):
            own = replace(settings, seed=derive(settings.seed, "repetition", number))
            untrained = functools.cache(functools.partial(cells.features_untrained, manifest, own))
            for fold in parts:
                print(f"Seed {number + 1} of {settings.seeds}, fold {fold.number + 1} of {len(parts)}", flush=True)
                cells.compute(cell_folder(folder, number, fold), fold, task, manifest, own, untrained, advice)
        found = [
            [cells.read_predictions(cell_folder(folder, number, fold) / cells.PREDICTIONS, task) for fold in parts]
            for number in range(settings.seeds)
        ]
        fold_scores.report(folder, found, task, manifest, settings)
    return 0


def cell_folder(folder, number, fold):
    """Folder of a fold and seed inside the run's."""
    return folder / "cells" / f"seed-{number}-fold-{fold.number}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, TrainingError, OSError) as error:
        sys.exit(str(error))
