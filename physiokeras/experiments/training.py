"""`fit` for a recipe: streams, rows of metrics, progress."""

import collections
import importlib.util

import keras

from physiokeras.callbacks import Checkpoints, FreshMemory, MetricsFile
from physiokeras.pipelines import stream
from physiokeras.pipelines.streaming import damage_named
from physiokeras.seeds import derive

BATCH = 64
"""Windows of a batch where the network does not see them."""


def fit(model, manifest, settings, folder, splits=None, *, records=None, advice="", verbose=None):
    """Train on an endless shuffled stream; one Keras epoch is `settings.interval` steps.

    Training goes on from the last checkpoint in the folder, if there is one.

    Args:
        model: A compiled model.
        manifest: `Manifest` of the prepared data.
        settings: `TrainingSettings`.
        folder: The run's folder; `metrics.csv` and `checkpoints/` go there.
        splits: Names of the splits to train on.
        records: Names of records to train on, instead of `splits`; then there is no validation loss, since the split
            "validation" may hold people that these records leave out.
        advice: How to go on after an interruption, a sentence.
        verbose: As in Keras; None chooses by the number of rows of `metrics.csv`.
    """
    options = {"batch_size": settings.batch_size, "modalities": settings.modalities or None}
    order = {"records": records, "seed": derive(settings.seed, "stream"), **options}
    valid = None
    if records is None and "validation" in manifest.splits:
        # Few windows make a small batch, so that a small data set is validated too.
        count = min(settings.batch_size, manifest.splits["validation"])
        options["batch_size"] = max(1, count // settings.devices) * settings.devices
        valid = stream(manifest.folder, "validation", seed=derive(settings.seed, "validation stream"), **options)
        valid = valid.take(settings.validation_steps)
    checkpoints = Checkpoints(
        folder / "checkpoints",
        settings.checkpoint_every,
        facts=facts(settings, manifest),
        describe=lambda step: _names_at(manifest, step, splits, **order),
        advice=advice,
    )
    interval = min(settings.interval, settings.steps)
    callbacks = [FreshMemory(), MetricsFile(folder / "metrics.csv"), *tensorboard(settings, folder), checkpoints]
    verbose = (2 if settings.steps > 100 * interval else 1) if verbose is None else verbose
    if checkpoints.restore(model):
        print(f"Going on from step {checkpoints.step} of {settings.steps}.", flush=True)
    with damage_named(manifest.folder, splits, records):
        for part in checkpoints.parts(settings.steps, interval):
            model.fit(
                stream(manifest.folder, splits, start_step=checkpoints.step, **order),
                validation_data=valid,
                shuffle=False,
                callbacks=callbacks,
                verbose=verbose,
                **part,
            )


MOST_ADAPTED = 4096
"""Windows from which spectra learn their statistics: their medians and variances are then known within a per cent."""


def adapt(model, manifest, settings, splits=None, *, records=None):
    """Let a model's spectra learn their statistics from training windows; without spectra nothing is read.

    Args:
        model: Of `build_model` or `build_encoder`.
        manifest: `Manifest` of the prepared data.
        settings: `TrainingSettings`.
        splits: Names of the splits that the model is trained on.
        records: Names of records, instead of `splits`.
    """
    if not model.patch_spectra():
        return
    few = sum(record.windows for record in manifest.select(splits, records)) <= MOST_ADAPTED
    seed = None if few else derive(settings.seed, "adapt")
    options = {"batch_size": BATCH, "modalities": settings.modalities or None, "records": records, "seed": seed}
    with damage_named(manifest.folder, splits, records):
        model.adapt(stream(manifest.folder, splits, **options), None if few else MOST_ADAPTED // BATCH)


def facts(settings, manifest):
    """What a checkpoint depends on besides the network, but for what the user accepts to differ."""
    found = {"seed": settings.seed, "data_hash": manifest.data_hash}
    return {name: value for name, value in found.items() if name not in settings.accept}


def _names_at(manifest, step, splits, **options):
    """The records of the windows of one step, which follow from the seed."""
    (_, labels), *_ = stream(manifest.folder, splits, labels=["record"], start_step=step, **options).take(1)
    names = [record.name for record in manifest.records]
    counts = collections.Counter(names[number] for number in labels["record"].numpy())
    return "windows of " + ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))


def tensorboard(settings, folder):
    """List of the callback that writes logs for TensorBoard, empty where the settings do not ask for it.

    Raises:
        SystemExit: TensorBoard is not installed.
    """
    if not settings.tensorboard:
        return []
    if importlib.util.find_spec("tensorboard") is None:
        raise SystemExit("TensorBoard is not installed here: pip install 'physiokeras[logging]'")
    return [keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False)]
