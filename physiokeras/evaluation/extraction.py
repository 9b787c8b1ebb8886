"""Features of prepared windows, through an encoder, from the time or by any function; or a sample of windows."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from physiokeras.channel_layout import ChannelLayout
from physiokeras.evaluation.features import Features
from physiokeras.models import Encoder, FeatureExtractor
from physiokeras.models.subsets import SubsetExtractor
from physiokeras.pipelines import Manifest, stream
from physiokeras.pipelines.prepared.streaming import damage_named

SPLITS = ("train", "validation", "test")
FULL_BATCH = 64
"""Windows of a batch from which features are extracted."""

BATCH = 32
"""Windows of a batch of an analysis."""


def features_of(extractor: FeatureExtractor, manifest: Manifest, splits: Sequence[str] = SPLITS) -> dict[str, Features]:
    """Features, labels and people of the windows of each split.

    Args:
        extractor: `FeatureExtractor`.
        manifest: `Manifest`.
        splits: Names of splits; those that the data lack are left out.

    Returns: dict of split -> `Features`, whose labels hold "record" and "window" too.
    """
    return {split: features_of_windows(extractor, manifest, split) for split in splits if split in manifest.splits}


def features_of_windows(
    extractor: FeatureExtractor,
    manifest: Manifest,
    split: str | None = None,
    records: Sequence[str] | None = None,
) -> Features:
    """Features, labels and people of the windows of one split, of some records, or of all windows.

    Args:
        extractor: `FeatureExtractor`.
        manifest: `Manifest`.
        split: Name of a split, or None.
        records: Names of records, or None.

    Returns: `Features`, in the manifest's order; its labels hold "record" and "window" too.
    """

    def of_batch(inputs, _):
        return predict(extractor, inputs, FULL_BATCH)

    return features_by(of_batch, manifest, extractor.encoder.modalities, split, records)


@dataclass(frozen=True)
class EncoderFeatures:
    """Pooled tokens of a frozen encoder, with all modalities or with some: a source of features for probes.

    Args:
        manifest: `Manifest`.
        encoder: `Encoder`.
        pooling: As in `FeatureExtractor`.
    """

    manifest: Manifest
    encoder: Encoder
    pooling: str

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that can be missing."""
        return tuple(self.encoder.modalities)

    @property
    def parameters(self) -> int:
        """Number of the encoder's weights."""
        return self.encoder.count_params()

    def features(self, records: Sequence[str], left: Sequence[str] | None = None) -> Features:
        """`Features` of all windows of records; of the modalities only those in `left` are read, None for all."""
        if left is None:
            return features_of_windows(shared_extractor(self.encoder, self.pooling), self.manifest, records=records)
        extractor = shared_extractor(self.encoder, self.pooling, SubsetExtractor)
        places = [self.modalities.index(name) for name in left]

        def of_batch(inputs, _):
            numbers = tuple(np.full(len(inputs["present"]), place, np.int32) for place in places)
            return predict(extractor, {**inputs, "left": numbers}, FULL_BATCH)

        return features_by(of_batch, self.manifest, self.modalities, records=records)


def shared_extractor(encoder, pooling, kind=FeatureExtractor):
    """An extractor with the weights of an encoder; encoders of one architecture share one compiled program.

    Args:
        encoder: `Encoder`.
        pooling: As in `FeatureExtractor`.
        kind: `FeatureExtractor` or `SubsetExtractor`.

    Returns: an instance of `kind`, valid until the next call for an encoder of the same architecture.
    """
    extractor = _extractor(json.dumps({**encoder.get_config(), "seed": 0}), pooling, kind)
    extractor.encoder.set_weights(encoder.get_weights())
    return extractor


@functools.lru_cache(maxsize=4)
def _extractor(config, pooling, kind):
    return kind(Encoder.from_config(json.loads(config)), pooling)


@dataclass(frozen=True)
class TimeAlone:
    """Number of the window in its recording, as the only feature; no signal is read.

    Args:
        manifest: `Manifest`.
    """

    manifest: Manifest
    modalities = ()
    parameters = 0

    def features(self, records: Sequence[str]) -> Features:
        """`Features` of width 1 of all windows of records."""

        def of_batch(_, labels):
            return labels["window"][:, None].astype(np.float32)

        return features_by(of_batch, self.manifest, self.manifest.defaults[:1], records=records)


def features_by(function, manifest, modalities, split=None, records=None):
    """Features that any function makes of windows; arguments and result otherwise as for `features_of_windows`.

    Args:
        function: Function of a batch's inputs and labels, at most `FULL_BATCH` windows, to `(windows, width)`.
        manifest: `Manifest`.
        modalities: Names of the modalities among the inputs.
        split: Name of a split, or None.
        records: Names of records, or None.
    """
    options = {"labels": [*manifest.labels, "record", "window"], "modalities": list(modalities)}
    batches = stream(manifest, split, records=records, batch_size=FULL_BATCH, **options)
    layout, present = ChannelLayout.of({name: manifest.modalities[name] for name in modalities}), []

    def noting(inputs, label):
        present.append(_any_channel(layout, inputs["present"]))
        return function(inputs, label)

    values, labels = extract(noting, read(batches, manifest, split, records))
    people = np.array([record.person for record in manifest.records])
    return Features(values, labels, people[labels["record"]], present=np.concatenate(present))


def extract(function, batches):
    """Apply a function to the windows of a stream; also collect their labels.

    Args:
        function: Function of a batch's inputs and labels to an array `(windows, ...)`.
        batches: Iterable of `(inputs, labels)` as arrays.

    Returns: values `(windows, ...)`, and dict of labels `(windows,)`.
    """
    values, labels = [], []
    for inputs, label in batches:
        values.append(function(inputs, label))
        labels.append(label)
    return np.concatenate(values), _joined(labels)


def read(batches, manifest, split=None, records=None):
    """Yields the batches of a stream as arrays; a damaged shard is a `DataError` that names it and the byte."""
    with damage_named(manifest, split, records):
        yield from batches.as_numpy_iterator()


def batches(manifest, modalities, limit, *, labels=(), records=None, size=BATCH):
    """Windows spread evenly over the test people (or those of the named records), in full batches but for the last.

    Args:
        manifest: `Manifest`.
        modalities: Names.
        limit: Most windows.
        labels: Names of labels to give besides.
        records: Names of records, instead of those of the test people; without test people, all.
        size: Windows of a batch.

    Yields: inputs, people `(windows,)`, and dict of labels.
    """
    split = "test" if records is None and "test" in manifest.splits else None
    count = sum(record.windows for record in manifest.select(split, records))
    keep = np.zeros(count, bool)
    keep[np.linspace(0, count - 1, min(count, limit)).astype(int)] = True
    people = np.array([record.person for record in manifest.records])
    chosen = {"labels": [*labels, "record"], "modalities": list(modalities), "records": records}
    waiting, place = None, 0
    for inputs, label in read(stream(manifest, split, batch_size=4 * size, **chosen), manifest, split, records):
        table = {**{("input", k): v for k, v in inputs.items()}, **{("label", k): v for k, v in label.items()}}
        rows = keep[place : place + len(inputs["present"])]
        place += len(rows)
        table = {key: values[rows] for key, values in table.items()}
        waiting = table if waiting is None else {k: np.concatenate([v, table[k]]) for k, v in waiting.items()}
        while len(waiting["label", "record"]) >= size:
            yield _parts({key: values[:size] for key, values in waiting.items()}, people)
            waiting = {key: values[size:] for key, values in waiting.items()}
    if len(waiting["label", "record"]):
        yield _parts(waiting, people)


def arrays(manifest, modalities, limit, **options):
    """The windows of `batches`, together: inputs, people, labels."""
    parts = list(batches(manifest, modalities, limit, **options))
    inputs, people, labels = zip(*parts, strict=True)
    return _joined(inputs), np.concatenate(people), _joined(labels)


def _parts(table, people):
    inputs = {name: values for (kind, name), values in table.items() if kind == "input"}
    labels = {name: values for (kind, name), values in table.items() if kind == "label"}
    return inputs, people[labels["record"]], labels


def _joined(tables):
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def predict(model, inputs, batch=BATCH):
    """Outputs of a model for a few windows; the batch is padded to its full size.

    Args:
        model: A Keras model of arrays, or structures of these; so are its outputs.
        inputs: Arrays `(windows, ...)`, or a structure of these, no more than `batch` windows.
        batch: Windows of a full batch.

    Returns: as the model, arrays `(windows, ...)`.
    """
    count = len(keras.tree.flatten(inputs)[0])
    if count < batch:
        inputs = keras.tree.map_structure(lambda values: np.resize(values, (batch, *values.shape[1:])), inputs)
    made = model.predict_on_batch(inputs)
    return keras.tree.map_structure(lambda values: np.asarray(values)[:count], made)


def present_modalities(encoder, inputs):
    """Boolean `(windows, modalities)`: whether any channel of the modality is present."""
    if "present" not in inputs:
        return np.ones((len(inputs[next(iter(encoder.modalities))]), len(encoder.modalities)), bool)
    return _any_channel(ChannelLayout.of(encoder.modalities), inputs["present"])


def _any_channel(layout, present):
    return np.stack([own.any(axis=1) for own in layout.split(np.asarray(present, bool)).values()], axis=1)
