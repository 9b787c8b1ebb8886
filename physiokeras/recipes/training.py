"""`fit` for a recipe: streams, rows of metrics, progress."""

import csv
import math

import keras

from physiokeras.pipelines import stream
from physiokeras.seeds import derive


def fit(model, manifest, settings, folder, splits=None, *, records=None):
    """Train on an endless shuffled stream; one Keras epoch is `settings.interval` steps.

    Args:
        model: A compiled model.
        manifest: `Manifest` of the prepared data.
        settings: `TrainingSettings`.
        folder: The run's folder; `metrics.csv` goes there.
        splits: Names of the splits to train on.
        records: Names of records to train on, instead of `splits`; then there is no validation loss, since the split
            "validation" may hold people that these records leave out.

    Returns: the Keras history.
    """
    options = {"modalities": settings.modalities or None, "batch_size": settings.batch_size}
    train = stream(manifest.folder, splits, records=records, seed=derive(settings.seed, "stream"), **options)
    valid = None
    if records is None and "validation" in manifest.splits:
        # Few windows make a small batch, so that a small data set is validated too.
        options["batch_size"] = min(settings.batch_size, manifest.splits["validation"])
        valid = stream(manifest.folder, "validation", seed=derive(settings.seed, "validation stream"), **options)
        valid = valid.take(settings.validation_steps)
    interval = min(settings.interval, settings.steps)
    return model.fit(
        train,
        steps_per_epoch=interval,
        epochs=math.ceil(settings.steps / interval),
        validation_data=valid,
        shuffle=False,
        callbacks=[LastStep(settings.steps, interval), MetricsFile(folder / "metrics.csv")],
        verbose=2 if settings.steps > 100 * interval else 1,
    )


class LastStep(keras.callbacks.Callback):
    """Ends training at a step that may lie inside a Keras epoch.

    Args:
        steps: Steps in all.
        interval: Steps of a Keras epoch.
    """

    def __init__(self, steps, interval):
        super().__init__()
        self.steps, self.interval, self.epoch = steps, interval, 0

    def on_epoch_begin(self, epoch, logs=None):  # noqa: D102
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):  # noqa: D102
        if self.epoch * self.interval + batch + 1 >= self.steps:
            self.model.stop_training = True


class MetricsFile(keras.callbacks.Callback):
    """A row for each Keras epoch: step, learning rate, losses.

    Args:
        path: The CSV file.
    """

    def __init__(self, path):
        super().__init__()
        self.path, self.columns = path, None

    def on_epoch_end(self, epoch, logs=None):  # noqa: D102
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        logs = {name: f"{float(value):.6g}" for name, value in (logs or {}).items()}
        row = {"step": step, "learning_rate": f"{rate:.6g}", **logs}
        new = self.columns is None
        self.columns = self.columns or list(row)
        with open(self.path, "w" if new else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow(row)


def extract(model, batches, batch_size):
    """What a model makes of a stream's windows, and their labels.

    Args:
        model: A model whose output is one array, such as `FeatureExtractor`.
        batches: Finite stream of `(inputs, labels)`.
        batch_size: Size of its full batches; a smaller one is padded, so that one compiled program serves all.

    Returns: outputs `(windows, ...)`, and dict of labels `(windows,)`.
    """
    import numpy as np

    outputs, labels = [], []
    for inputs, label in batches.as_numpy_iterator():
        count = len(inputs["present"])
        if count < batch_size:
            inputs = {name: np.resize(values, (batch_size, *values.shape[1:])) for name, values in inputs.items()}
        outputs.append(np.asarray(model.predict_on_batch(inputs))[:count])
        labels.append(label)
    return np.concatenate(outputs), {name: np.concatenate([label[name] for label in labels]) for name in labels[0]}
