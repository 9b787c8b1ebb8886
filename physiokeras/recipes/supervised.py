"""Supervised training of an encoder from scratch: what a pretrained one has to compare with."""

from dataclasses import replace

import keras
import numpy as np
from keras import ops

from physiokeras.callbacks import Checkpoints, MetricsFile
from physiokeras.models import LinearProbe
from physiokeras.pipelines import stream
from physiokeras.recipes.experiment import build_encoder, build_optimizer
from physiokeras.recipes.folds import class_counts
from physiokeras.recipes.training import facts
from physiokeras.seeds import derive


def train(task, manifest, settings, folder, *, records, validation, advice=""):
    """Train encoder and linear layer on labels; keep the weights of the lowest validation loss.

    Training goes on from the last checkpoint in the folder, if there is one.

    Args:
        task: `Task` with one class a window.
        manifest: `Manifest`.
        settings: `TrainingSettings` with `pooling`, `supervised_steps`, `supervised_interval` and `patience`.
        folder: Where `supervised.csv`, the losses, and `supervised_checkpoints/` go.
        records: Names of the records to train on.
        validation: Names of records of other people.
        advice: How to go on after an interruption, a sentence.

    Returns: the trained `LinearProbe`.
    """
    return fit(
        build_encoder(settings, manifest),
        task,
        manifest,
        settings,
        folder,
        steps=settings.supervised_steps,
        interval=settings.supervised_interval,
        records=records,
        validation=validation,
        advice=advice,
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
):
    """Train an encoder, from whatever weights it has, and a linear layer on labels; see `train`.

    Args:
        encoder: The encoder.
        task: `Task` with one class a window.
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

    Returns: the trained `LinearProbe`.
    """
    model = LinearProbe(encoder, {task.label: len(task.classes)}, settings.pooling, frozen=False, name="network")
    # By default the averages would still hold half of the first values after a hundred steps.
    model.standardize.momentum = 0.9
    weights = balanced_weights(manifest, task, records) if class_weight else np.ones(len(task.classes))
    optimizer = build_optimizer(replace(settings, steps=steps))
    model.compile(optimizer, loss={task.label: BalancedCrossEntropy(weights)})
    options = {"batch_size": settings.batch_size, "labels": [task.label], "modalities": list(encoder.modalities)}
    seed = derive(settings.seed, "supervised stream")
    # In whole batches, so that one compiled program serves all.
    valid = stream(manifest.folder, records=validation, drop_remainder=True, **options)
    checkpoints = Checkpoints(
        folder / f"{name}_checkpoints",
        settings.checkpoint_every,
        patience=settings.patience * interval,
        facts=facts(settings, manifest),
        advice=advice,
    )
    if checkpoints.restore(model):
        print(f"Going on from step {checkpoints.step} of {steps}.", flush=True)
    for part in checkpoints.parts(max(1, steps // interval) * interval, interval):
        model.fit(
            stream(manifest.folder, records=records, seed=seed, start_step=checkpoints.step, **options),
            validation_data=valid,
            callbacks=[MetricsFile(folder / f"{name}.csv"), checkpoints],
            shuffle=False,
            verbose=2,
            **part,
        )
    checkpoints.restore_best(model)
    return model


def balanced_weights(manifest, task, records):
    """Weights `(classes,)` by which the classes of these records' windows count alike, 1 in the mean over windows."""
    counts = np.zeros(len(task.classes))
    for record in manifest.select(records=records):
        for index, count in class_counts(record, task.label).items():
            counts[index] += count
    return np.where(counts > 0, counts.sum() / np.maximum(counts, 1) / max(1, (counts > 0).sum()), 0.0)


class BalancedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits `(batch, classes)`, each class with its weight; windows labelled -1 count nothing.

    Args:
        weights: `(classes,)`.
    """

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.weights = np.asarray(weights, "float32")

    def call(self, y_true, y_pred):  # noqa: D102
        y_true = ops.reshape(y_true, (-1, 1))
        right = ops.cast(ops.equal(ops.cast(y_true, "int32"), ops.arange(len(self.weights), dtype="int32")), "float32")
        return -ops.sum(right * ops.convert_to_tensor(self.weights) * ops.log_softmax(y_pred), axis=-1)


def predict_proba(model, values):
    """Class probabilities `(windows, classes)` that a trained `LinearProbe` gives features `(windows, width)`."""
    logits = model.heads[0](model.standardize(ops.convert_to_tensor(values), training=False))
    return ops.convert_to_numpy(ops.softmax(logits))
