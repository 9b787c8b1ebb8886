"""What is exported: a run folder, a model folder or a model, with the probe of a task; and what it has to give."""

import os
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from physiokeras.errors import DataError
from physiokeras.evaluation import arousal_seconds
from physiokeras.evaluation.extraction import present_modalities
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.probe_files import load_probe
from physiokeras.evaluation.subset_maps import FILE, SubsetMaps
from physiokeras.evaluation.tasks import tasks_of_network
from physiokeras.experiments.saved_models import model_folder, run_of
from physiokeras.exporting.portable import Head, in_float32
from physiokeras.models import FeatureExtractor, LinearProbe, digest, encoder_of, load
from physiokeras.models.saving import metadata
from physiokeras.scoring.inputs import slices
from physiokeras.scoring.trained_model import TrainedModel
from physiokeras.scoring.trained_model import load as load_trained


@dataclass(frozen=True)
class Source:
    """What is exported.

    Args:
        extractor: `FeatureExtractor` in float32.
        head: `Head`, or None: features.
        facts: The model's metadata, empty for a model in memory.
        maps: `SubsetMaps` of the run, or None.
        trained: What `physiokeras.load` returns for the run, with the head's task; None for features, a model in
            memory, a `Probe`, and a model without a definition of its data.
        task: The name of the task there.
    """

    extractor: FeatureExtractor
    head: Head | None
    facts: dict[str, Any]
    maps: SubsetMaps | None
    trained: TrainedModel | None = None
    task: str | None = None

    @property
    def reference(self) -> str:
        """What the exported model is compared with, in words."""
        return "physiokeras.load(...).predict" if self.trained else "Keras"

    @property
    def note(self) -> str:
        """What the exported model does with windows that lack modalities, in a sentence."""
        if self.head is None:
            mapped = "; extract and load(...).features map those of windows that lack modalities" if self.maps else ""
            return f"Features are as the encoder gives them{mapped}."
        if len(self.extractor.encoder.modalities) == 1:
            return "Where nothing is present, the output is NaN."
        count = len(self.head.subsets)
        mapped = f"features of {count} subsets of the modalities are mapped to those of all, as in predict"
        none = "there are no subset maps, and predictions may be of one class only, as in predict"
        return f"Where modalities are missing, {mapped if count else none}; where nothing is present, NaN."

    def expected(self, inputs: dict[str, np.ndarray], size: int) -> np.ndarray:
        """What the exported model has to give: `predict` itself, or features of Keras and the linear layer in NumPy.

        Args:
            inputs: Windows, as the exported model takes them.
            size: Windows of a batch.

        Returns: `(windows, outputs)`.
        """
        if self.trained is None:
            features = self.extractor.predict(inputs, batch_size=size, verbose=0)
            return self.predicted(np.asarray(features), inputs)
        found, _ = self.trained.features_of(self.extractor, slices(inputs))
        return self.trained.prediction(self.trained.head(self.task), found, window=1.0).probabilities

    def in_keras(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Outputs for one batch, to be timed: the compiled extractor, then the linear layer in NumPy."""
        return self.predicted(np.asarray(self.extractor.predict_on_batch(inputs)), inputs)

    def predicted(self, features: np.ndarray, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Outputs of the head for features `(windows, width)` of Keras, in NumPy and float64; or the features."""
        if self.head is None:
            return features
        present = present_modalities(self.extractor.encoder, inputs)
        features = self.maps.apply(features, present)[0] if self.maps else features
        found = features.astype(np.float64) @ self.head.weights[0] + self.head.bias[0]
        if self.head.task.classes:
            found = np.exp(found - found.max(axis=1, keepdims=True))
            found /= found.sum(axis=1, keepdims=True)
        return np.where(present.any(axis=1)[:, None], found, np.nan)


def read_source(model: "keras.Model | str | os.PathLike", task: "str | Probe | None", pooling: str | None) -> Source:
    """The source of an export; arguments as of `export`.

    Returns: `Source`.

    Raises:
        DataError: No model there, no probe of this task, a probe of another encoder, or subset maps of another encoder.
        ValueError: A task of a model that has no probes, or a probe that reads several windows or times.
    """
    run, facts, trained = None, {}, None
    if not isinstance(model, keras.Model):
        folder = model_folder(model)
        run, facts = run_of(folder), metadata(folder)
        if isinstance(task, str) and isinstance(facts.get("definition"), dict):
            trained = load_trained(folder)
        model = trained.model if trained else load(folder)
    own, maps = facts.get("pooling", "mean"), None
    if isinstance(model, FeatureExtractor):
        extractor = model
    elif isinstance(model, LinearProbe):
        extractor = model.extractor
    else:
        extractor = FeatureExtractor(encoder_of(model), pooling or own)
    as_in_run = isinstance(model, FeatureExtractor | LinearProbe) or extractor.pooling == own
    if run and as_in_run and (run / FILE).is_file():
        maps = SubsetMaps.load(run / FILE, encoder=digest(extractor.encoder))
    head = None if task is None else _head(model, extractor, task, run, facts, maps)
    return Source(
        in_float32(extractor), head, facts, maps, trained, task if isinstance(task, str) and trained else None
    )


def _head(model, extractor, task, run, facts, maps):
    own = {one.name: one for one in tasks_of_network(model, facts)} if isinstance(model, LinearProbe) else {}
    if isinstance(task, str) and task in own:
        return Head.of_network(model, own[task], maps)
    probe = task if isinstance(task, Probe) else _probe(run, task, sorted(own), extractor)
    if probe.encoder and probe.encoder != digest(extractor.encoder):
        raise ValueError(f"The probe of {probe.task.name!r} was fitted on features of another encoder; fit it again.")
    if extractor.keep_time:
        raise ValueError("A probe reads one vector for each window. Received: an extractor with `keep_time`.")
    if len(probe.mean) != extractor.width:
        raise ValueError(
            f"The probe of {probe.task.name!r} reads {len(probe.mean)} features, and the model gives "
            f"{extractor.width}. Give the `pooling` with which the probe was fitted."
        )
    return Head.of_probe(probe, maps)


def _probe(run, task, known, extractor):
    """The probe of a task in a run's folder, of the extractor's encoder; `known` are the model's own tasks."""
    if run is None:
        raise ValueError(f"A model in memory has the tasks {known}. Received: task={task!r}. Give a `Probe`.")
    probes = run / "probes"
    path = probes / f"{task}.npz"
    if not path.is_file():
        known += sorted(path.stem for path in probes.glob("*.npz"))
        raise DataError(f"no probe of the task {task!r}; there are: {', '.join(known) or 'none'}.", file=probes)
    probe = load_probe(path, encoder=digest(extractor.encoder))
    if probe.task == arousal_seconds.TASK:
        message = "a probe of single seconds is not exported; export the features of windows, or another task."
        raise DataError(message, file=path)
    return probe
