"""Training on a stream of windows, with checkpoints, metrics and validation."""

import collections
import contextlib
import functools
from dataclasses import replace

import numpy as np

from physiokeras.callbacks import Checkpoints, MetricsFile, hosts, state
from physiokeras.experiments import compiled_models, devices, loggers, progress
from physiokeras.experiments.build import build_encoder, build_model, compile_model
from physiokeras.pipelines import WindowsInMemory, stream
from physiokeras.pipelines.prepared.streaming import damage_named
from physiokeras.seeds import derive

BATCH = 64
"""Windows of a batch where the network does not see them."""


def pretrained(settings, manifest, run, *, folder, records, title, validation=()):
    """Build and train the model of an objective without labels, through a compiled copy where one is kept.

    Args:
        settings: `TrainingSettings`.
        manifest: `Manifest`, with the variances of these records.
        run: `Run` that trains.
        folder: Where `metrics.csv` and `checkpoints/` go.
        records: Names of records to train on.
        validation: Names of records of other people, for the validation loss.
        title: Words that name this training in its lines of progress.

    Returns: the trained model; with the objective "untrained" an `Encoder` with its initial weights.
    """
    if settings.objective == "untrained":
        with devices.sharing(settings):
            encoder = build_encoder(settings, manifest)
            adapt(encoder, manifest, settings, records=records)
        return encoder
    model = untrained_model(settings, manifest, records=records)
    with devices.sharing(settings), compiled_models.compiled_before(model, settings) as compiled:
        own = {"folder": folder, "records": records, "validation": validation, "title": title}
        fit(compiled, manifest, settings, run, **own)
    return model


def untrained_model(settings, manifest, splits=None, *, records=None):
    """The compiled model of an objective without labels, whose spectra have their statistics from splits or records."""
    with devices.sharing(settings):
        model = build_model(settings, manifest)
        adapt(model, manifest, settings, splits, records=records)
        compile_model(model, settings)
    return model


def fit(model, manifest, settings, run, splits=None, *, folder=None, records=None, validation=None, title=None):
    """Train on an endless shuffled stream; one Keras epoch is `settings.interval` steps.

    Training resumes from the last checkpoint in the folder, if there is one. Of several hosts each reads its share of
    every batch, and the first uses the folder.

    Args:
        model: A compiled model.
        manifest: `Manifest` of the prepared data.
        settings: `TrainingSettings`.
        run: `Run` that trains.
        splits: Names of the splits to train on.
        folder: Where `metrics.csv` and `checkpoints/` go; None: the run's folder.
        records: Names of records to train on, instead of `splits`.
        validation: Names of records of other people, for the validation loss; empty: there is none; None: with
            `splits` those of the split "validation", if there is one.
        title: As in `progress.shown`.
    """
    continued, folder, count = folder is None, folder or run.folder, hosts.count()
    options = {"batch_size": settings.batch_size // count, "modalities": settings.modalities or None}
    options["host"] = hosts.index(), count
    order = {"records": records, "seed": derive(settings.seed, "stream"), **options}
    read = _reading(manifest, splits, getattr(settings, "cache", None), order)
    if validation is None and records is None and "validation" in manifest.splits:
        validation = [record.name for record in manifest.select("validation")]
    valid = None
    if validation:
        # Few windows make a small batch, so that a small data set is validated too.
        few = min(settings.batch_size, sum(record.windows for record in manifest.select(records=validation))) // count
        options["batch_size"] = max(1, few // settings.devices) * settings.devices
        options |= {"records": validation, "seed": derive(settings.seed, "validation stream")}
        valid = stream(manifest, **options).take(settings.validation_steps)
    interval = min(settings.interval, settings.steps)
    checkpoints = Checkpoints(
        folder / "checkpoints",
        settings.checkpoint_every,
        patience=settings.early_stopping * interval or None,
        facts=facts(settings, manifest),
        describe=lambda step: _names_at(manifest, step, splits, **order),
        advice=f"Go on with: {run.resume_command}",
    )
    lines, verbose = progress.shown(settings.steps, interval, title) if hosts.is_first() else ([], 0)
    resumed = (folder / "metrics.csv").exists() or (continued and getattr(settings, "resume", None) is not None)
    restore(checkpoints, model, settings.steps, resumed)
    with damage_named(manifest, splits, records), _loggers(settings, folder) as logs:
        for part in checkpoints.parts(settings.steps, interval):
            model.fit(
                read(start_step=checkpoints.step),
                validation_data=valid,
                shuffle=False,
                callbacks=[MetricsFile(folder / "metrics.csv"), *logs, *lines, checkpoints],
                verbose=verbose,
                **part,
            )
    if settings.early_stopping:
        _take_best(checkpoints, model, settings.steps)


def _reading(manifest, splits, cache, order):
    """Function from `start_step` to the stream of a training: from the shards, or from memory, `cache`."""
    if not cache:
        return functools.partial(stream, manifest, splits, **order)
    chosen_by = {name: order[name] for name in ("records", "modalities", "host")}
    with damage_named(manifest, splits, order["records"]):
        kept = WindowsInMemory(manifest, splits, place=cache, **chosen_by)
    if hosts.is_first():
        print(f"The training's windows, {kept.size / 1e9:.3g} GB, are in the {cache}'s memory.", flush=True)
    return functools.partial(kept.stream, order["batch_size"], order["seed"])


def fit_together(here, manifest, settings, run, splits):
    """Train one model on all hosts, as `fit` does; to be called by each of them.

    Args:
        here: `Place` of this host.
        manifest: As for `fit`.
        settings: `TrainingSettings` and `HostSettings`.
        run: As for `fit`; only the first host uses its folder.
        splits: As for `fit`.

    Returns: on the first host the model before its training, which that host alone can go on with, and the state that
        all trained, for `callbacks.state.restore`; on other hosts None and that state.
    """
    model = begin = None
    if here.index == 0:
        # Outside of the distribution: what is made inside belongs to all hosts.
        model = untrained_model(replace(settings, devices=1, hosts=1), manifest, splits)
        state.build_optimizer(model)
        begin = state.arrays(model)
    with devices.sharing(settings, settings.hosts):
        shared = build_model(settings, manifest)
        compile_model(shared, settings)
        arrays, _ = hosts.from_first(lambda: (begin, None))
        state.restore(shared, arrays, "memory")
        fit(shared, manifest, settings, run, splits)
        return model, state.arrays(shared)


def _loggers(settings, folder):
    return loggers.opened(settings, folder) if hosts.is_first() else contextlib.nullcontext([])


def _take_best(checkpoints, model, steps):
    """Give the model the weights of its lowest validation loss."""
    checkpoints.restore_best(model)
    if checkpoints.best and hosts.is_first():
        ended = (
            f"Training ended at step {checkpoints.step} of {steps}" if checkpoints.step < steps else "Training ended"
        )
        print(f"{ended}; the weights are those of step {checkpoints.best['step']}, of the lowest validation loss.")


def restore(checkpoints, model, steps, resumed):
    """Restore a model's last checkpoint and print its step; with `resumed`, also print that there is none."""
    step = checkpoints.restore(model)
    if not hosts.is_first():
        return
    if step:
        print(f"Going on from step {step} of {steps}.", flush=True)
    elif resumed:
        print(f"No checkpoint in {checkpoints.folder}: training begins at step 0.", flush=True)


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
    with damage_named(manifest, splits, records):
        model.adapt(stream(manifest, splits, **options), None if few else MOST_ADAPTED // BATCH)


def facts(settings, manifest):
    """Seed and data hash that a checkpoint must have, except what the user accepts to differ."""
    found = {"seed": settings.seed, "data_hash": manifest.data_hash}
    return {name: value for name, value in found.items() if name not in settings.accept}


def _names_at(manifest, step, splits, **options):
    """Names of the records that the windows of one step come from, with counts."""
    (_, labels), *_ = stream(manifest, splits, labels=["record"], start_step=step, **options).take(1)
    names = [record.name for record in manifest.records]
    counts = collections.Counter(names[number] for number in np.asarray(labels["record"]))
    return "windows of " + ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
