"""Arousal by the second: features and targets of every second, probabilities at every sample."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from physiokeras.errors import DataError
from physiokeras.evaluation import extraction
from physiokeras.evaluation.extraction import predict
from physiokeras.evaluation.features import Features, neighbours
from physiokeras.evaluation.tasks import Task
from physiokeras.pipelines import Manifest, stream
from physiokeras.pipelines.converting.record_list import find_records
from physiokeras.pipelines.definitions.definition import Definition, Label
from physiokeras.pipelines.labels.challenge import per_token
from physiokeras.pipelines.labels.window_labels import AROUSAL_SECOND, arousal_targets
from physiokeras.pipelines.readers.records import read_header
from physiokeras.seeds import derive

TASK = Task(AROUSAL_SECOND, AROUSAL_SECOND, "classes", ("no arousal", "arousal"))
BATCH = 64


@dataclass(frozen=True)
class Reader:
    """Reads target vectors of a data set's recordings.

    Args:
        headers: Record name -> path of its header.
        label: The definition's label of the kind "arousal".
        patch: Seconds of a token.
    """

    headers: dict[str, Path]
    label: Label
    patch: float

    @classmethod
    def of(cls, manifest: Manifest, source: str | os.PathLike) -> Self:
        """For the recordings of prepared data.

        Args:
            manifest: `Manifest`.
            source: Their folder.

        Raises:
            DataError: No arousals in the definition, windows that follow a `grid`, or a prepared record that is not
                among the recordings.
        """
        definition = Definition.from_dict(manifest.definition)
        labels = [label for label in definition.labels.values() if label.kind == "arousal"]
        if not labels:
            message = f'the definition {definition.name!r} has no label of kind "arousal"; add one as in physionet2018.'
            raise DataError(message, file=manifest.folder)
        if any(record.get("start") for record in manifest.records):
            message = (
                "seconds are counted from the records' starts, where `grid` did not begin the windows; leave it out."
            )
            raise DataError(message, file=manifest.folder)
        headers = {path.stem: path for path in find_records(source, definition)}
        missing = sorted({record.name for record in manifest.records} - headers.keys())
        if missing:
            raise DataError(
                f"lacks {len(missing)} of the prepared records, such as {missing[0]}; give the folder that they were "
                "prepared from.",
                file=source,
            )
        return cls(headers, labels[0], definition.window / definition.tokens)

    def targets(self, name: str) -> tuple[np.ndarray | None, float]:
        """A record's target vector `(frames,)`, or None where it has none, and its frames a second."""
        header = read_header(self.headers[name])
        return arousal_targets(header, self.label), header.rate


def drawn(reader, extractor, manifest, split, settings):
    """Seconds of a split to fit a probe on: of each record some, drawn by the seed.

    Args:
        reader: `Reader`.
        extractor: `FeatureExtractor` with `keep_time`.
        manifest: `Manifest`.
        split: The split's name.
        settings: With `seconds`, most of a record; `context`, `context_mode` and `seed`.

    Returns: `Features` with the label "arousal_second".

    Raises:
        DataError: No record of the split has scored seconds.
    """
    values, targets, people = [], [], []
    context = settings.context, settings.context_mode
    for record in manifest.select(split):
        vector, rate = reader.targets(record.name)
        if vector is None:
            continue
        target = per_token(vector, reader.patch, rate, record.windows * extractor.encoder.time)
        scored = np.flatnonzero(target >= 0)
        draw = np.random.default_rng(derive(settings.seed, "seconds", record.name))
        chosen = np.sort(draw.permutation(scored)[: settings.seconds])
        values.append(features_of_record(extractor, manifest, record.name, *context)[chosen])
        targets.append(target[chosen])
        people += [record.person] * len(chosen)
    if not people:
        raise DataError(f"no record of the split {split} has scored seconds.", file=manifest.folder)
    labels = {TASK.label: np.concatenate(targets)}
    return Features(np.concatenate(values), labels, np.array(people), *context)


def features_of_record(extractor, manifest, name, context=0, mode="concatenate"):
    """Features of every second of a record, in order.

    Args:
        extractor: `FeatureExtractor` with `keep_time`.
        manifest: `Manifest`.
        name: The record's name.
        context: Neighbouring seconds on either side whose features are part.
        mode: How they are part, as in `neighbours`.

    Returns: `(seconds, width)`.
    """
    modalities = list(extractor.encoder.modalities)
    batches = stream(manifest, records=[name], batch_size=BATCH, labels=["window"], modalities=modalities)
    read = extraction.read(batches, manifest, records=[name])
    values, _ = extraction.extract(lambda inputs, _: predict(extractor, inputs, BATCH), read)
    values = values.reshape(-1, values.shape[-1])
    return neighbours(values, np.zeros(len(values)), np.arange(len(values)), context, mode) if context else values


def per_sample(chances, patch, rate, frames):
    """Probabilities at every sample: straight lines between the middles of tokens, level before and after.

    Args:
        chances: `(tokens,)`.
        patch: Seconds of a token.
        rate: Frames per second.
        frames: How many.

    Returns: `(frames,)`.
    """
    middles = (np.arange(len(chances)) + 0.5) * patch * rate - 0.5
    return np.clip(np.interp(np.arange(frames), middles, chances), 0, 1)
