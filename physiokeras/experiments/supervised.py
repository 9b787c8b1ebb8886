"""Supervised training of an encoder from scratch: what a pretrained one has to compare with."""

from dataclasses import replace

import keras
import numpy as np
from keras import ops

from physiokeras.callbacks import Checkpoints, FreshMemory, MetricsFile
from physiokeras.experiments import compiled_models
from physiokeras.experiments.build import build_encoder, build_optimizer
from physiokeras.experiments.training import adapt, facts
from physiokeras.models import LinearProbe
from physiokeras.pipelines import stream
from physiokeras.pipelines.streaming import damage_named
from physiokeras.seeds import derive


def train(task, manifest, settings, folder, *, records, validation, advice=""):
    """Train encoder and linear layer on labels; keep the weights of the lowest validation loss.

    Training goes on from the last checkpoint in the folder, if there is one.

    Args:
        task: `Task` with classes.
        manifest: `Manifest`.
        settings: `TrainingSettings` and `ProbeSettings` with `supervised_steps`, `supervised_interval` and `patience`.
        folder: Where `supervised_TASK.csv`, the losses, and `supervised_TASK_checkpoints/` go.
        records: Names of the records to train on.
        validation: Names of records of other people.
        advice: How to go on after an interruption, a sentence.

    Returns: the trained `LinearProbe`, or None where the training windows are of fewer than two classes.
    """
    if (balanced_weights(manifest, task, records) > 0).sum() < 2:
        return None
    encoder = build_encoder(settings, manifest)
    adapt(encoder, manifest, settings, records=records)
    return fit(
        encoder,
        task,
        manifest,
        settings,
        folder,
        steps=settings.supervised_steps,
        interval=min(settings.supervised_interval, settings.supervised_steps),
        records=records,
        validation=validation,
        advice=advice,
        name=f"supervised_{task.name}",
        class_weight=settings.class_weight,
        verbose=0,
    )


def fit(
    encoder,
    task,
    manifest,
    settings,
    folder,
    *,
    steps,
    interval,
    records,
    validation,
    advice="",
    name="supervised",
    class_weight="balanced",
    verbose=2,
):
    """Train an encoder, from whatever weights it has, and a linear layer on labels; see `train`.

    Args:
        encoder: The encoder.
        task: `Task` with classes.
        manifest: `Manifest`.
        settings: With `pooling`, `patience`, `batch_size`, `checkpoint_every`, `seed`, `accept` and what
            `build_optimizer` reads, its `steps` apart.
        folder: Where `NAME.csv` and `NAME_checkpoints/` go.
        steps: Most steps; whole intervals are done.
        interval: Steps between two looks at the validation people.
        records: Names of the records to train on.
        validation: Names of records of other people.
        advice: How to go on after an interruption, a sentence.
        name: Of the files.
        class_weight: "balanced" or None.
        verbose: As in Keras.

    Returns: the trained `LinearProbe`.
    """
    network = LinearProbe(encoder, {task.label: len(task.classes)}, settings.pooling, frozen=False, name="network")
    # By default the averages would still hold half of the first values after a hundred steps.
    network.standardize.momentum = 0.9
    weights = balanced_weights(manifest, task, records) if class_weight else np.ones(len(task.classes))
    optimizer = build_optimizer(replace(settings, steps=steps))
    network.compile(optimizer, loss={task.label: BalancedCrossEntropy(weights, task.threshold)})
    options = {"labels": [task.label], "modalities": list(encoder.modalities)}
    order = {"batch_size": settings.batch_size, "seed": derive(settings.seed, "supervised stream"), **options}
    # In whole batches, so that one compiled program serves all.
    few = sum(record.windows for record in manifest.select(records=validation))
    size = min(settings.batch_size, few)
    valid = stream(manifest.folder, records=validation, batch_size=size, drop_remainder=True, **options)
    checkpoints = Checkpoints(
        folder / f"{name}_checkpoints",
        settings.checkpoint_every,
        patience=settings.patience * interval,
        facts=facts(settings, manifest),
        advice=advice,
    )
    trained = compiled_models.compiled_before(network, settings, task.name, weights.tolist(), steps)
    with damage_named(manifest.folder, records=[*records, *validation]), trained as model:
        if checkpoints.restore(model):
            print(f"Going on from step {checkpoints.step} of {steps}.", flush=True)
        for part in checkpoints.parts(max(1, steps // interval) * interval, interval):
            model.fit(
                stream(manifest.folder, records=records, start_step=checkpoints.step, **order),
                validation_data=valid,
                callbacks=[FreshMemory(), MetricsFile(folder / f"{name}.csv"), checkpoints],
                shuffle=False,
                verbose=verbose,
                **part,
            )
        checkpoints.restore_best(model)
    return network


def balanced_weights(manifest, task, records):
    """Weights `(classes,)` by which the classes of these records' windows count alike, 1 in the mean over windows."""
    counts = np.zeros(len(task.classes))
    for record in manifest.select(records=records):
        for value, count in manifest.value_counts(record, task.label).items():
            counts[task.targets([value])[0]] += count
    return np.where(counts > 0, counts.sum() / np.maximum(counts, 1) / max(1, (counts > 0).sum()), 0.0)


class BalancedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits `(batch, classes)`, each class with its weight; unlabelled windows count nothing.

    Args:
        weights: `(classes,)`.
        threshold: None where labels are class numbers, -1 for none; otherwise they are numbers, NaN for none, of class
            0 up to the threshold and of class 1 above it.
    """

    def __init__(self, weights, threshold=None, **kwargs):
        super().__init__(**kwargs)
        self.weights, self.threshold = np.asarray(weights, "float32"), threshold

    def call(self, y_true, y_pred):  # noqa: D102
        y_true = ops.reshape(y_true, (-1, 1))
        if self.threshold is not None:
            above = ops.cast(y_true > self.threshold, "float32")
            y_true = ops.where(ops.isnan(y_true), -1.0, above)
        right = ops.cast(ops.equal(ops.cast(y_true, "int32"), ops.arange(len(self.weights), dtype="int32")), "float32")
        return -ops.sum(right * ops.convert_to_tensor(self.weights) * ops.log_softmax(y_pred), axis=-1)


def predict_proba(model, values):
    """Class probabilities `(windows, classes)` that a trained `LinearProbe` gives features `(windows, width)`."""
    logits = model.heads[0](model.standardize(ops.convert_to_tensor(values), training=False))
    return ops.convert_to_numpy(ops.softmax(logits))
