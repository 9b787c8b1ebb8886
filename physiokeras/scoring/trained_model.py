"""A trained model with the definition of its data, its encoder, linear layers and card."""

import difflib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from physiokeras.errors import DataError
from physiokeras.evaluation.features import Features
from physiokeras.evaluation.missing_modalities import mapped, names_of
from physiokeras.experiments.compatibility import shared_modalities
from physiokeras.experiments.saved_models import model_folders, run_of
from physiokeras.models import Encoder, FeatureExtractor, encoder_of
from physiokeras.models import load as load_model
from physiokeras.models.saving import metadata
from physiokeras.pipelines.converting.names import without_missing_labels
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.people.label_tables import read_tables
from physiokeras.pipelines.people.people import without_missing_people
from physiokeras.pipelines.prepared.remote import local_file
from physiokeras.pipelines.readers.memory import Recording
from physiokeras.scoring import window_features
from physiokeras.scoring.heads import Head, heads_of
from physiokeras.scoring.inputs import check_scaled, completed, inputs_of, of_stream, slices
from physiokeras.scoring.nights import Night, read_night
from physiokeras.scoring.prediction import Prediction
from physiokeras.scoring.presets import channel_lines
from physiokeras.scoring.raw import night_of_raw

_TAKEN = "expected a path, an mne.io.Raw, what from_arrays returns, a dict of arrays or a stream"


@dataclass
class TrainedModel:
    """A trained model that reads recordings: what `physiokeras.load` returns.

    ```python
    model = physiokeras.load("runs/pretrain-1")
    night = model.predict("night.edf", task="stage")
    night.labels, night.probabilities
    ```

    Args:
        folder: The run's folder.
        models: The Keras models, by their folder's name: one, or one for each task.
        facts: The models' `metadata.json`, by the same names.
        definition: `Definition` of the data that it was trained on, which says how recordings become windows.
        heads: Task name to its linear layer.
    """

    folder: Path
    models: dict[str, keras.Model]
    facts: dict[str, dict]
    definition: Definition
    heads: dict[str, Head] = field(default_factory=dict)

    def __repr__(self):
        lines = [
            f"TrainedModel({self.folder.name}): {type(self.model).__name__}, tasks {', '.join(self.heads) or 'none'}"
        ]
        lines += [f"windows of {self.definition.window:g} s, channels by name, at any rate:"]
        return "\n".join([*lines, *(f"  {line}" for line in channel_lines(self.definition))])

    @property
    def model(self) -> keras.Model:
        """The Keras model; the first of several."""
        return next(iter(self.models.values()))

    @property
    def encoder(self) -> Encoder:
        """The encoder; the first of several."""
        return encoder_of(self.model)

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor of the features that the heads read; the first of several."""
        for head in self.heads.values():
            if not head.extractor.keep_time:
                return head.extractor
        return FeatureExtractor(self.encoder, self.first_facts.get("pooling", "mean"))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it can predict."""
        return tuple(self.heads)

    @property
    def card(self) -> dict[str, Any]:
        """Facts for users of the model: kind, data, channels, windows, tasks, size, scores, licence, versions.

        "scores" are those of the run; a preset has none of its own, its page "readme" says how its recipe scores.
        """
        run, facts, readme = _json(self.folder / "run.json"), self.first_facts, self.folder / "README.md"
        parts = self.definition.modalities.items()
        return {
            "kind": type(self.model).__name__,
            "data": self.definition.name,
            "description": self.definition.description,
            "modalities": {name: dict(sizes) for name, sizes in self.encoder.modalities.items()},
            "channels": {
                name: {"names": [one.name for one in m.channels], "rate": m.rate, "unit": m.unit} for name, m in parts
            },
            "window_seconds": self.definition.window,
            "tasks": {name: list(head.task.classes) or [head.task.kind] for name, head in self.heads.items()},
            "parameters": int(self.model.count_params()),
            "encoder_parameters": int(self.encoder.count_params()),
            "scores": run.get("scores", {}),
            "readme": readme.read_text(encoding="utf-8") if readme.is_file() else None,
            "license": facts.get("license"),
            "versions": run.get("versions", {"keras": facts.get("keras")}),
            "data_hash": facts.get("data_hash"),
        }

    @property
    def digest(self) -> str:
        """SHA-256 of all files on which a prediction depends: models, probes, subset maps."""
        total = hashlib.sha256()
        for name, facts in sorted(self.facts.items()):
            total.update(json.dumps([name, facts["sha256"], facts.get("pooling")], sort_keys=True).encode())
        for path in sorted([*self.folder.glob("probes/*.npz"), *self.folder.glob("subset_maps.npz")]):
            total.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()

    @property
    def first_facts(self) -> dict[str, Any]:
        """The `metadata.json` of the first model."""
        return next(iter(self.facts.values()))

    def features(self, x: Any) -> np.ndarray:
        """Features of windows, as the linear layers read them: those of missing modalities are mapped.

        Args:
            x: As in `predict`.

        Returns: float32 `(windows, width)`.
        """
        return self.features_of(self.extractor, self._batches(x)[0])[0].values

    def predict(self, x: Any, task: str | None = None) -> Prediction:
        """Predict a task for every window.

        Args:
            x: One recording: the path of a file, an `mne.io.Raw`, or what `physiokeras.pipelines.from_arrays` makes of
                arrays in physical units: these are filtered, resampled and scaled by the model's definition. Or a dict
                of arrays for which this is done already, modality -> `(windows, samples, channels)` in order of time:
                int16 as `prepare` stores them, or floats in scaled units (after the definition's band-pass; without
                unit; within its `clip`), with "present", boolean `(windows, channels)` of its modalities in the model's
                order, where some are missing. Or a stream of `physiokeras.pipelines.stream` without `seed`; with the
                labels "record" and "window" it may hold several recordings. Modalities may be missing.
            task: Name of a task; None: "stage", or the first.

        Returns: `Prediction`.

        Raises:
            DataError: A task that the model has no layer for, or data that it cannot read: NaN, integers other than
                int16, values that are no scaled units.
        """
        head = self.head(task)
        batches, facts = self._batches(x)
        return self.prediction(head, self.features_of(head.extractor, batches)[0], **facts)

    def head(self, task: str | None = None) -> Head:
        """The linear layer of a task.

        Args:
            task: As in `predict`.

        Returns: `Head`.
        """
        if not self.heads:
            message = "has no probes; fit them with `physiokeras probe`"
            raise DataError(f"{message} --run {self.folder} --data PREPARED, and load that run.", file=self.folder)
        name = task or ("stage" if "stage" in self.heads else next(iter(self.heads)))
        if name not in self.heads:
            raise DataError(f"no task {name!r}. Its tasks: {', '.join(self.heads)}.", file=self.folder)
        return self.heads[name]

    def prediction(
        self, head: Head, found: Features, *, window: float, start: float = 0.0, clock: datetime | None = None
    ) -> Prediction:
        """Predictions of a head from features.

        Args:
            head: `Head`.
            found: `Features` of its extractor, as `features_of` gives them.
            window: Seconds per window.
            start: Seconds of the recording before the first window.
            clock: Date and time of the recording's start, or None.

        Returns: `Prediction`; of a head that reads single seconds, its `window` is that second.
        """
        if head.extractor.keep_time:
            window = window / head.extractor.encoder.time
        read = head.read(found.values, found.labels["record"], found.labels["window"])
        outputs, distance = np.array(head.outputs(read), float), head.distance(read)
        modalities, present = head.extractor.encoder.modalities, found.present
        if present is None:
            present = np.ones((len(outputs), len(modalities)), bool)
        nothing = ~present.any(axis=1)
        outputs[nothing] = distance[nothing] = np.nan
        starts = start + found.labels["window"] * window
        return Prediction(head.task, outputs, starts, window, names_of(modalities, ~present), distance, clock)

    def features_of(self, extractor: FeatureExtractor, batches: Iterable) -> tuple[Features, str]:
        """Features of batches of windows, mapped where modalities are missing.

        Args:
            extractor: That of a head; with `keep_time` the result has a row for each time of a window, not mapped.
            batches: `(inputs,)` or `(inputs, labels)`, at most `inputs.BATCH` windows each.

        Returns: `Features` with the labels "record" and "window", and a note on windows that lack modalities, "" where
            none does.

        Raises:
            DataError: No windows.
        """
        found = window_features.read(extractor, batches)
        return (found, "") if extractor.keep_time else self.mapped(extractor, found)

    def mapped(self, extractor: FeatureExtractor, found: Features) -> tuple[Features, str]:
        """Features of windows, as `window_features.read` gives them, mapped where modalities are missing.

        Args:
            extractor: Their extractor.
            found: `Features`.

        Returns: As `features_of`.
        """
        values, note = mapped(found, extractor.encoder, self.folder)
        return replace(found, values=values), note

    def read(self, path: str | os.PathLike, definition: Definition | None = None) -> Night:
        """Read a recording by the model's definition, or another one.

        Args:
            path: Its file, or its header, or the URL of one.
            definition: `Definition`; None: the model's.

        Returns: `Night`.

        Raises:
            DataError: The recording breaks a rule.
        """
        place = local_file(path)
        if not place.exists() and not place.with_suffix(".hea").exists():
            close = difflib.get_close_matches(place.name, [one.name for one in place.parent.glob("*")], 1)
            advice = f" Did you mean {place.with_name(close[0])}?" if close else ""
            raise DataError(f"there is no such file.{advice}", file=place)
        definition = self._narrowed(definition or self.definition)
        there = without_missing_labels(without_missing_people(definition, place.parent), [place])
        there, people = read_tables(place.parent, there, [place.stem])
        return read_night(place, there, people)

    def _narrowed(self, definition):
        return narrowed(definition, self.encoder, self.first_facts.get("definition"))

    def _batches(self, x):
        """Batches of whatever `predict` takes, and facts for `prediction`."""
        facts = {"window": self.definition.window}
        if isinstance(x, str | os.PathLike):
            x = self.read(x)
        elif isinstance(x, Recording) or (hasattr(x, "ch_names") and hasattr(x, "get_data")):
            x = night_of_raw(x, self._narrowed(self.definition))
        if isinstance(x, Night):
            return slices(inputs_of(x, self.encoder)), {**facts, "start": x.start, "clock": x.clock}
        if isinstance(x, dict):
            inputs = completed(x, self.encoder)
            check_scaled(inputs, self.encoder, self.definition)
            return slices(inputs), facts
        if isinstance(x, np.ndarray) or not isinstance(x, Iterable):
            raise DataError(f"{_TAKEN}. Received: {type(x).__name__}.")
        return of_stream(x, self.encoder, list(self.definition.modalities)), facts


def load(name: str | os.PathLike) -> TrainedModel:
    """Load a trained model with all that belongs to it.

    ```python
    model = physiokeras.load("runs/pretrain-1")
    model.features(windows), model.predict("night.edf", task="stage").labels
    ```

    Args:
        name: Folder of a run (pretrained, probed, fine-tuned or supervised), its `model/`, a preset's name
            (`physiokeras presets` lists them), or a model of the hub, "hf://user/name" or
            "hf://user/name@revision" (extra `[hub]`).

    Returns: `TrainedModel`.

    Raises:
        DataError: No such folder, preset or model, or files that are damaged or refused; the message names them.
    """
    folders = model_folders(name)
    run, models, facts = run_of(folders[0]), {}, {}
    heads: dict[str, Head] = {}
    for folder in folders:
        known = facts[folder.name] = metadata(folder)
        if not isinstance(known.get("definition"), dict):
            raise DataError(
                "the model's metadata.json has no definition of its data, which only recipes write. "
                "`physiokeras.models.load` reads the Keras model alone.",
                file=folder,
            )
        models[folder.name] = load_model(folder)
        heads |= heads_of(models[folder.name], known, run)
    definition = Definition.from_dict(next(iter(facts.values()))["definition"])
    shared_modalities(encoder_of(next(iter(models.values()))), definition)
    return TrainedModel(run, models, facts, definition, heads)


def narrowed(definition, encoder, own=None):
    """The definition with those of its modalities that an encoder reads, so that no others are filtered.

    Args:
        definition: `Definition`.
        encoder: `Encoder`.
        own: Definition of the model's data, as a dict; None: unknown.

    Returns: `Definition`.

    Raises:
        DataError: None of them, or a contradiction; see `physiokeras.experiments.compatibility`.
    """
    shared = shared_modalities(encoder, definition, own)
    return replace(definition, modalities={name: definition.modalities[name] for name in shared})


def _json(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
