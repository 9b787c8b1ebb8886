"""Training of an encoder and a linear layer on labels, from scratch or from pretrained weights."""

from dataclasses import asdict, replace

import keras
import numpy as np
from keras import ops

from physiokeras.callbacks import Checkpoints, MetricsFile
from physiokeras.experiments import compiled_models, devices, progress, training
from physiokeras.experiments.build import build_network, build_optimizer
from physiokeras.pipelines import stream
from physiokeras.pipelines.prepared.streaming import damage_named
from physiokeras.seeds import derive


def train(task, manifest, settings, run, *, folder=None, records, validation, title):
    """Train encoder and linear layer on labels from scratch; keep the weights of the lowest validation loss.

    Training resumes from the last checkpoint in the folder, if there is one.

    Args:
        task: `Task` with classes.
        manifest: `Manifest`.
        settings: `TrainingSettings` and `ProbeSettings` with `supervised_steps`, `supervised_interval` and `patience`.
        run: `Run` that trains.
        folder: Where `supervised_TASK.csv`, the losses, and `supervised_TASK_checkpoints/` go; None: the run's folder.
        records: Names of the records to train on.
        validation: Names of records of other people.
        title: Words that name this training in its lines of progress.

    Returns: the trained `LinearProbe`, or None where the training windows are of fewer than two classes.
    """
    if (balanced_weights(manifest, task, records) > 0).sum() < 2:
        return None
    own = replace(settings, steps=settings.supervised_steps, interval=settings.supervised_interval)
    name = f"supervised_{task.name}"
    people = {"records": records, "validation": validation}
    with devices.sharing(settings):
        network = build_network(settings, manifest, task)
        training.adapt(network.encoder, manifest, settings, records=records)
        return fit(network, task, manifest, own, run, folder=folder, **people, name=name, title=title)


def fit(network, task, manifest, settings, run, *, folder=None, records, validation, name=None, title=None):
    """Train a network, from whatever weights it has, on labels; see `train`.

    Args:
        network: `LinearProbe` of the task, not compiled yet; see `build_network`.
        task: `Task` with classes.
        manifest: `Manifest`.
        settings: With `steps`, `interval`, `patience`, `batch_size`, `devices`, `checkpoint_every`, `class_weight`,
            `seed`, `accept` and those that `build_optimizer` reads. `steps` is rounded down to whole intervals.
        run: `Run` that trains.
        folder: Where `NAME.csv` and `NAME_checkpoints/` go; None: the run's folder.
        records: Names of the records to train on.
        validation: Names of records of other people.
        name: Name of the files; None: `metrics.csv` and `checkpoints/`, as of every run.
        title: As in `progress.shown`.

    Returns: `network`.
    """
    folder, steps, interval = folder or run.folder, settings.steps, min(settings.interval, settings.steps)
    if settings.class_weight:
        network.class_weights[0].values.assign(balanced_weights(manifest, task, records))
    loss = BalancedCrossEntropy(network.class_weights[0], task.threshold)
    network.compile(build_optimizer(settings), loss={task.label: loss})
    options = {"labels": [task.label], "modalities": list(network.encoder.modalities)}
    order = {"batch_size": settings.batch_size, "seed": derive(settings.seed, "supervised stream"), **options}
    # Whole batches only, so that one compiled program serves all, and the same number of windows for each device.
    few = min(settings.batch_size, sum(record.windows for record in manifest.select(records=validation)))
    size = max(1, few // settings.devices) * settings.devices
    valid = stream(manifest, records=validation, batch_size=size, drop_remainder=True, **options)
    metrics = folder / f"{name or 'metrics'}.csv"
    checkpoints = Checkpoints(
        folder / (f"{name}_checkpoints" if name else "checkpoints"),
        settings.checkpoint_every,
        patience=settings.patience * interval,
        facts=training.facts(settings, manifest),
        advice=f"Go on with: {run.resume_command}",
    )
    lines, verbose = progress.shown(steps, interval, title)
    trained = compiled_models.compiled_before(network, settings, asdict(task))
    with damage_named(manifest, records=[*records, *validation]), trained as model:
        training.restore(checkpoints, model, steps, resumed=metrics.exists())
        for part in checkpoints.parts(max(1, steps // interval) * interval, interval):
            model.fit(
                stream(manifest, records=records, start_step=checkpoints.step, **order),
                validation_data=valid,
                callbacks=[MetricsFile(metrics), *lines, checkpoints],
                shuffle=False,
                verbose=verbose,
                **part,
            )
        checkpoints.restore_best(model)
    return network


def balanced_weights(manifest, task, records):
    """Class weights `(classes,)` that balance the windows of these records; their mean over windows is 1."""
    counts = np.zeros(len(task.classes))
    for record in manifest.select(records=records):
        for value, count in manifest.value_counts(record, task.label).items():
            counts[task.targets([value])[0]] += count
    return np.where(counts > 0, counts.sum() / np.maximum(counts, 1) / max(1, (counts > 0).sum()), 0.0)


class BalancedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits `(batch, classes)` with class weights; unlabelled windows are left out.

    Args:
        weights: `Constants` `(classes,)`.
        threshold: None where labels are class numbers, -1 if unlabelled. Otherwise labels are numbers, NaN if
            unlabelled, of class 0 up to the threshold and of class 1 above it.
    """

    def __init__(self, weights, threshold=None, **kwargs):
        super().__init__(**kwargs)
        self.weights, self.threshold = weights, threshold

    def call(self, y_true, y_pred):  # noqa: D102
        y_true, weights = ops.reshape(y_true, (-1, 1)), ops.convert_to_tensor(self.weights.values)
        if self.threshold is not None:
            above = ops.cast(y_true > self.threshold, "float32")
            y_true = ops.where(ops.isnan(y_true), -1.0, above)
        right = ops.cast(ops.equal(ops.cast(y_true, "int32"), ops.arange(weights.shape[0], dtype="int32")), "float32")
        return -ops.sum(right * weights * ops.log_softmax(y_pred), axis=-1)


def predict_proba(model, values, head=0):
    """Class probabilities `(windows, classes)` of a trained `LinearProbe`, from features `(windows, width)`."""
    logits = model.heads[head](model.standardize(ops.convert_to_tensor(values), training=False))
    return ops.convert_to_numpy(ops.softmax(logits))
