"""Prepared data of a command: the user's, or a simulated cohort where none is given."""

from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.pipelines import Manifest, convert, simulate
from physiokeras.pipelines.checking import check_sizes
from physiokeras.pipelines.manifest import TRAINING


def prepared(settings):
    """The manifest of the prepared data; without `settings.data` a cohort is simulated and converted, or reused.

    Args:
        settings: `CohortSettings`. A simulated cohort lies beside the run, in a folder named after its settings.

    Returns: `Manifest`.
    """
    if settings.data is not None:
        return Manifest.read(settings.data)
    s = settings
    beside = Path(s.out).parent if s.out else Path("runs")
    kind = "simulated" if s.coupled else "simulated-uncoupled"
    folder = beside / f"{kind}-{s.people}-{s.unlabelled}-{round(s.hours * 120)}x30s-{s.seed}"
    print(f"No data given: a cohort is simulated in {folder}.", flush=True)
    whole = _whole(folder / "prepared")
    if whole is not None:
        return whole
    source = simulate(
        folder / "source", s.people, s.unlabelled, s.hours, seed=s.seed, workers=s.workers, coupled=s.coupled
    )
    return convert(source, "simulated", folder / "prepared", workers=s.workers, progress=None, wait=True)


def _whole(folder):
    """The manifest of a folder that is prepared already, by whatever version, so that runs on it stay comparable."""
    try:
        manifest = Manifest.read(folder)
        check_sizes(manifest, manifest.records)
    except (DataError, OSError):
        return None
    return None if manifest.set_aside else manifest


def training_splits(settings, manifest):
    """Names of the splits to pretrain on: `settings.pretrain_on`, or "pretrain" and "train" where the data have them.

    Raises:
        DataError: The test people are among them.
    """
    if "test" in settings.pretrain_on:
        raise DataError("the test people are held out, from pretraining too.", file=manifest.folder)
    return settings.pretrain_on or tuple(name for name in TRAINING if name in manifest.splits) or TRAINING
