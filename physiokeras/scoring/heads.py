"""The linear layers of a run, each with its task: fitted probes, or those of a network trained on labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from physiokeras.evaluation import arousal_seconds
from physiokeras.evaluation.features import neighbours
from physiokeras.evaluation.probe_files import load_probe
from physiokeras.evaluation.tasks import Task, tasks_of_network
from physiokeras.experiments.supervised import predict_proba
from physiokeras.models import FeatureExtractor, LinearProbe, digest, encoder_of


@dataclass(frozen=True)
class Head:
    """A linear layer on features.

    Args:
        task: What it predicts.
        extractor: `FeatureExtractor` of the features; with `keep_time` the layer reads tokens of one time, such as
            seconds, and all that is said of windows here holds for these.
        outputs: Function of features `(windows, width)` to probabilities `(windows, classes)`, or numbers
            `(windows, 1)`.
        mean: `(width,)`, the features' mean in training.
        scale: `(width,)`, their standard deviation there.
        context: Neighbouring windows on either side that it reads.
        context_mode: How, as in `neighbours`.
    """

    task: Task
    extractor: Any
    outputs: Callable[[np.ndarray], np.ndarray]
    mean: np.ndarray
    scale: np.ndarray
    context: int = 0
    context_mode: str = "concatenate"

    def read(self, features: np.ndarray, records: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Features with those of the neighbours that the layer reads.

        Args:
            features: `(windows, width)`.
            records: `(windows,)`, which recording a window is of.
            windows: `(windows,)`, its number there.

        Returns: `(windows, width of the layer)`.
        """
        if not self.context:
            return features
        return neighbours(features, records, windows, self.context, self.context_mode)

    def distance(self, read: np.ndarray) -> np.ndarray:
        """How far windows lie from those of the training: root mean square of standardised features, there about 1.

        Args:
            read: `(windows, width)`, what `read` gives.

        Returns: `(windows,)`.
        """
        return np.sqrt(np.mean(((read - self.mean) / self.scale) ** 2, axis=1, dtype=np.float64))


def heads_of(model, facts, run) -> dict[str, Head]:
    """The heads of a model.

    Args:
        model: `LinearProbe`, whose own layers they are, or another model, on whose encoder the run's probes read.
        facts: Its `metadata.json`.
        run: Folder with `probes/`.

    Returns: dict of task name to `Head`; empty where there are none.

    Raises:
        DataError: A probe that is damaged, or of another encoder.
    """
    if isinstance(model, LinearProbe):
        return {
            task.name: _of_network(model, task, number) for number, task in enumerate(tasks_of_network(model, facts))
        }
    encoder, heads, name = encoder_of(model), {}, None
    extractor = FeatureExtractor(encoder, facts.get("pooling", "mean"))
    for path in sorted((run / "probes").glob("*.npz")):
        name = name or digest(encoder)
        probe = load_probe(path, encoder=name)
        reads = extractor
        if probe.task == arousal_seconds.TASK:
            reads = FeatureExtractor(encoder, extractor.pooling, keep_time=True)
        outputs = probe.predict_proba if probe.task.classes else _column(probe.predict)
        context = {"context": probe.context, "context_mode": probe.context_mode}
        heads[path.stem] = Head(probe.task, reads, outputs, probe.mean, probe.scale, **context)
    return heads


def _of_network(network, task, number):
    layer = network.standardize
    mean, variance = (keras.ops.convert_to_numpy(array) for array in (layer.moving_mean, layer.moving_variance))
    scale = np.sqrt(variance + layer.epsilon)
    return Head(task, network.extractor, lambda values: predict_proba(network, values, number), mean, scale)


def _column(predict):
    return lambda values: predict(values)[:, None]
