"""What is exported: a run folder, a model folder or a model, with the probe of a task."""

import os

import keras

from physiokeras.errors import DataError
from physiokeras.evaluation import arousal_seconds
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.probe_files import load_probe
from physiokeras.evaluation.tasks import tasks_of_network
from physiokeras.experiments.saved_models import model_folder, run_of
from physiokeras.exporting.portable import Head, in_float32
from physiokeras.models import FeatureExtractor, LinearProbe, digest, encoder_of, load
from physiokeras.models.saving import metadata


def read_source(model: "keras.Model | str | os.PathLike", task: "str | Probe | None", pooling: str | None):
    """Feature extractor, head and facts of what is exported; arguments as of `export`.

    Returns: `FeatureExtractor` in float32, `Head` or None, and the dict of the model's metadata, empty for a model in
        memory.

    Raises:
        DataError: No model there, no probe of this task, or a probe of another encoder.
        ValueError: A task of a model that has no probes, or a probe that reads several windows or times.
    """
    folder, facts = None, {}
    if not isinstance(model, keras.Model):
        folder = model_folder(model)
        facts, model = metadata(folder), load(folder)
    if isinstance(model, FeatureExtractor):
        extractor = model
    elif isinstance(model, LinearProbe):
        extractor = model.extractor
    else:
        extractor = FeatureExtractor(encoder_of(model), pooling or facts.get("pooling", "mean"))
    head = None if task is None else _head(model, extractor, task, folder and run_of(folder), facts)
    if head is not None and extractor.keep_time:
        raise ValueError("A probe reads one vector for each window. Received: an extractor with `keep_time`.")
    if head is not None and len(head.weights) != extractor.width:
        raise ValueError(
            f"The probe of {head.task.name!r} reads {len(head.weights)} features, and the model gives "
            f"{extractor.width}. Give the `pooling` with which the probe was fitted."
        )
    return in_float32(extractor), head, facts


def _head(model, extractor, task, run, facts):
    if isinstance(task, Probe):
        if task.encoder and task.encoder != digest(extractor.encoder):
            raise ValueError(
                f"The probe of {task.task.name!r} was fitted on features of another encoder; fit it again."
            )
        return Head.of_probe(task)
    own = {one.name: one for one in tasks_of_network(model, facts)} if isinstance(model, LinearProbe) else {}
    if task in own:
        return Head.of_network(model, own[task])
    known = sorted(own)
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
    return Head.of_probe(probe)
