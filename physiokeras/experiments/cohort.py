"""Prepared data of a command: the user's, or a simulated cohort where none is given."""

from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.experiments.settings import default_config
from physiokeras.experiments.training_settings import CONTRASTIVE
from physiokeras.pipelines import Definition, Manifest, convert, simulate
from physiokeras.pipelines.definitions.definition import SPLITS
from physiokeras.pipelines.prepared.checking import check_sizes
from physiokeras.pipelines.prepared.manifest import TRAINING
from physiokeras.pipelines.prepared.notes import without_labels
from physiokeras.pipelines.prepared.selection import Selection
from physiokeras.wording import counted

SIMULATED = "simulated"
"""The definition of the simulated cohorts."""

HELD_OUT = "the test people are held out, from pretraining too."


def prepared(settings):
    """The manifest of the prepared data; without `settings.data` a cohort is simulated and converted, or reused.

    Args:
        settings: `CohortSettings`. A simulated cohort lies beside the run, in a folder named after its settings.

    Returns: `Manifest`.

    Raises:
        DataError: No folder of prepared data, or a simulated cohort that the settings could not use.
    """
    if settings.data is not None:
        _say_experiment(settings)
        return Manifest.of(settings.data)
    _check_simulation(settings)
    s = settings
    beside = Path(s.out).parent if s.out else Path("runs")
    kind = "simulated" if s.coupled else "simulated-uncoupled"
    folder = beside / f"{kind}-{s.people}-{s.unlabelled}-{round(s.hours * 120)}x30s-{s.seed}"
    whole = _whole(folder / "prepared")
    if whole is not None:
        print(f"No data given: the simulated cohort is that of {folder}.", flush=True)
        return whole
    print(f"No data given: a cohort is simulated in {folder}.", flush=True)
    source = simulate(
        folder / "source", s.people, s.unlabelled, s.hours, seed=s.seed, workers=s.workers, coupled=s.coupled
    )
    return convert(source, SIMULATED, folder / "prepared", workers=s.workers, progress=None, wait=True)


def _say_experiment(settings):
    """Print whose settings are used where data are given without `--config`."""
    default = default_config(type(settings))
    if default and settings.config == default:
        size = f"{settings.steps} steps, width {settings.width}, depth {settings.depth}"
        print(
            f"Settings are those of the experiment {' '.join(default)} ({size}), and flags. The paper's size: "
            "--config paper.",
            flush=True,
        )


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
        DataError: The test people are among them, or the data lack one.
    """
    if "test" in settings.pretrain_on:
        raise DataError(HELD_OUT, file=manifest.folder)
    splits = settings.pretrain_on or tuple(name for name in TRAINING if name in manifest.splits) or TRAINING
    lacking = [name for name in splits if name not in manifest.splits]
    if lacking:
        there = ", ".join(f"{name} ({counted(count, 'window')})" for name, count in manifest.splits.items()) or "none"
        advice = "Name some of them: --pretrain-on train." if "train" in manifest.splits else "Prepare more people."
        message = f"no people in the split {' and '.join(lacking)} to pretrain on. There are: {there}. {advice}"
        raise DataError(message, file=manifest.folder)
    return splits


def check(settings, manifest, splits=None, *, records=None, validation=()):
    """Refuse what a training of these settings on these windows would refuse later, before it takes any time.

    Args:
        settings: `TrainingSettings`.
        manifest: `Manifest`.
        splits: Names of the splits to train on.
        records: Names of records to train on, instead of `splits`.
        validation: With `records`, names of those of the validation loss.

    Raises:
        DataError: An unknown modality, a folder without any of the modalities, fewer windows than a batch, as many
            `drop_weights` as there are no modalities, one modality for a contrast of several, no validation people for
            early stopping, or a missing shard.
    """
    chosen = Selection.of(manifest, splits, records, settings.modalities or None, (), (0, 1))
    _check_modalities(settings, chosen.modalities, manifest.folder)
    for part, own in manifest.by_folder(chosen.records):
        if not set(chosen.modalities) & set(part.modalities):
            wanted = ", ".join(chosen.modalities)
            message = f"{counted(len(own), 'record')} to train on without any of the modalities {wanted}."
            raise DataError(f"{message} Leave this folder out of --data.", file=part.folder)
    if settings.objective != "untrained":
        chosen.steps(settings.batch_size)
    validates = validation if records is not None else "validation" in manifest.splits
    if settings.early_stopping and not validates:
        message = "early_stopping needs a validation loss: people in the split validation, and no comparison of folds."
        raise DataError(message, file=manifest.folder)
    check_sizes(manifest, chosen.records)


def warn_without_labels(manifest):
    """Print which splits lack labels that others have: pretraining needs none, the probes after it do."""
    for line in without_labels(manifest):
        print(f"Warning: {line}. Then prepare again; until then that label has no probe.", flush=True)


def amount(settings, manifest, splits):
    """Length of a training in a sentence, in steps and in epochs."""
    windows = sum(record.windows for split in splits for record in manifest.select(split))
    epochs = settings.steps * settings.batch_size / windows
    size = f"{settings.steps:,} steps of {settings.batch_size} windows"
    return f"Training takes {size}: {epochs:.3g} epochs of {windows:,}."


def _check_modalities(settings, modalities, place):
    """Refuse settings that do not go with these modalities."""
    weights = getattr(settings, "drop_weights", ())
    if weights and len(weights) != len(modalities):
        message = f"drop_weights must be one number for each of {', '.join(modalities)}. Received: {weights}."
        raise DataError(message, file=place)
    if getattr(settings, "objective", None) in CONTRASTIVE and len(modalities) < 2:
        message = f"{settings.objective} contrasts modalities and needs two. Received: {', '.join(modalities)}."
        raise DataError(message, file=place)


def _check_simulation(settings):
    """Refuse, before a cohort is simulated, what it will not have."""
    definition = Definition.read(SIMULATED)
    asked = getattr(settings, "modalities", ()) or definition.defaults
    unknown = [name for name in asked if name not in definition.modalities]
    if unknown:
        known = ", ".join(definition.modalities)
        raise DataError(f"simulated recordings have no modality {', '.join(unknown)}. They have: {known}.")
    _check_modalities(settings, asked, "simulated recordings")
    splits = getattr(settings, "pretrain_on", ())
    if "test" in splits:
        raise DataError(HELD_OUT)
    if set(splits) - set(SPLITS):
        raise DataError(f"pretrain_on must name splits, of {', '.join(SPLITS)}. Received: {', '.join(splits)}.")
    windows, batch = (
        (settings.people + settings.unlabelled) * round(settings.hours * 120),
        getattr(settings, "batch_size", 0),
    )
    if windows < batch:
        message = f"{windows} simulated windows are fewer than one batch of {batch}; simulate more --people or --hours."
        raise DataError(message)
