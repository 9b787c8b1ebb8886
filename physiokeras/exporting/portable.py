"""The model that is exported: a window's signals in, features or predictions out."""

from dataclasses import dataclass
from typing import Self

import keras
import numpy as np
from keras import ops

from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.subset_maps import SubsetMaps
from physiokeras.evaluation.tasks import Task
from physiokeras.models import Encoder, FeatureExtractor, LinearProbe

_NEVER = -1e9
"""Logit of a class that the training windows lack, in place of minus infinity, which not every runtime has."""


@dataclass(frozen=True)
class Head:
    """Linear layers on features: one for each subset of the modalities that has a map, and one for all other windows.

    The scaling of the features is folded into them, and the map of the subset, after which the same layer reads.

    Args:
        task: What they predict; its name is the output's.
        weights: float32 `(1 + subsets, width, outputs)`; the first are those of windows whose features are not mapped.
        bias: float32 `(1 + subsets, outputs)`.
        subsets: Names of the modalities of each subset.
    """

    task: Task
    weights: np.ndarray
    bias: np.ndarray
    subsets: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(
        cls,
        task: Task,
        mean: np.ndarray,
        scale: np.ndarray,
        weights: np.ndarray,
        bias: np.ndarray,
        maps: SubsetMaps | None = None,
    ) -> Self:
        """The head of standardised features: `((features - mean) / scale) @ weights + bias`, folded in float64."""
        mean, scale, weights, bias = (np.asarray(values, np.float64) for values in (mean, scale, weights, bias))
        folded = weights / scale[:, None]
        layers, subsets = [(folded, bias - mean @ folded)], maps.maps if maps else {}
        for one in subsets.values():
            layers.append((one.into.astype(np.float64) @ (one.out @ folded), one.bias @ folded + layers[0][1]))
        all_weights, all_bias = map(np.stack, zip(*layers, strict=True))
        return cls(task, all_weights.astype("float32"), np.maximum(all_bias, _NEVER).astype("float32"), tuple(subsets))

    @classmethod
    def of_probe(cls, probe: Probe, maps: SubsetMaps | None = None) -> Self:
        """The head of a fitted probe.

        Raises:
            ValueError: A probe that reads neighbouring windows.
        """
        if probe.context:
            raise ValueError(
                f"The probe of {probe.task.name!r} reads {probe.context} neighbouring windows on either side, and an "
                "exported model reads one window. Fit a probe with --context 0."
            )
        return cls.of(probe.task, probe.mean, probe.scale, probe.weights, probe.bias, maps)

    @classmethod
    def of_network(cls, network: LinearProbe, task: Task, maps: SubsetMaps | None = None) -> Self:
        """The head of one task of a fine-tuned or supervised model."""
        norm, head = network.standardize, network.heads[list(network.classes).index(task.label)]
        mean, variance, weights, bias = map(
            ops.convert_to_numpy, (norm.moving_mean, norm.moving_variance, head.kernel, head.bias)
        )
        return cls.of(task, mean, np.sqrt(variance.astype(np.float64) + norm.epsilon), weights, bias, maps)


class _Windows(keras.layers.Layer):
    """Signals in the order of the modalities, then `present`, to features or predictions."""

    def __init__(self, extractor, head, **kwargs):
        super().__init__(**{"autocast": False, "dtype": "float32", **kwargs})
        self.extractor, self.head = extractor, head
        self.names = [*extractor.encoder.modalities, "present"]
        self.built = True

    def call(self, windows):
        features = self.extractor(dict(zip(self.names, windows, strict=True)), training=False)
        if self.head is None:
            return features
        there = ops.cast(self.extractor.encoder.present_modalities(windows[-1]), "float32")
        found = self._layer(features, there)
        if self.head.task.classes:
            found = ops.softmax(found, axis=-1)
        return ops.where(ops.sum(there, axis=-1, keepdims=True) > 0, found, float("nan"))

    def _layer(self, features, there):
        """Outputs `(batch, outputs)` of the layer of each window's subset.

        `there` is 1.0 for the modalities of which a channel is present, `(batch, modalities)`.
        """
        weights, bias = self.head.weights, self.head.bias
        count, width, outputs = weights.shape
        # All layers, all but one times zero: they are small, and every runtime has these operators.
        found = ops.matmul(features, weights.transpose(1, 0, 2).reshape(width, -1))
        found = found + ops.convert_to_tensor(bias.reshape(-1))
        if count == 1:
            return found
        subsets = np.array([[name in left for name in self.names[:-1]] for left in self.head.subsets], "float32")
        differing = ops.matmul(there, 1 - 2 * subsets.T) + ops.convert_to_tensor(subsets.sum(axis=1))
        chosen = ops.cast(differing < 0.5, "float32")
        chosen = ops.concatenate([1 - ops.sum(chosen, axis=-1, keepdims=True), chosen], axis=-1)
        return ops.sum(ops.reshape(found, (-1, count, outputs)) * ops.expand_dims(chosen, -1), axis=1)

    def compute_output_shape(self, shapes):
        time = [self.extractor.encoder.time] if self.extractor.keep_time else []
        return (shapes[0][0], *time, self.extractor.width if self.head is None else self.head.bias.shape[1])


def portable_model(extractor: FeatureExtractor, head: Head | None, batch: int | None, dtype: str):
    """A functional model of named inputs in a fixed order, with the extractor's own weights.

    Args:
        extractor: `FeatureExtractor`, in float32.
        head: `Head`, or None for features.
        batch: Windows of a batch; None: any number.
        dtype: "int16" (as stored) or "float32" (scaled units) of the signals.

    Returns: `keras.Model` of a list: the signals in the order of the modalities, then `present`; its output is a dict
        with one entry, "features" or the task's name. And the signature to give to `model.export`.
    """
    modalities = extractor.encoder.modalities
    inputs = [
        keras.Input(batch_shape=(batch, m["samples"], m["channels"]), dtype=dtype, name=name)
        for name, m in modalities.items()
    ]
    inputs.append(keras.Input(batch_shape=(batch, extractor.encoder.layout.total), dtype="bool", name="present"))
    output = _Windows(extractor, head, name="windows")(inputs)
    model = keras.Model(inputs, {"features" if head is None else head.task.name: output}, name="exported")
    # A list keeps its order on every backend. A dict is sorted by some and permuted by others.
    return model, [[keras.InputSpec(shape=x.shape, dtype=x.dtype, name=x.name) for x in inputs]]


def in_float32(extractor: FeatureExtractor):
    """The extractor itself, or a copy in float32 where it computes in another precision."""
    encoder = extractor.encoder
    if encoder.compute_dtype == "float32":
        return extractor
    copy = Encoder.from_config({**encoder.get_config(), "dtype": "float32"})
    copy.set_weights(encoder.get_weights())
    return FeatureExtractor(copy, extractor.pooling, extractor.keep_time, extractor.skip)
