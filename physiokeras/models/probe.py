"""Feature extractor and linear probe on an encoder."""

import contextlib
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from physiokeras.layers import TokenPooling
from physiokeras.layers.loss_constants import Constants
from physiokeras.models.encoder import Encoder
from physiokeras.models.spectral import SpectralModel, pooled_spectra


@keras.saving.register_keras_serializable("physiokeras")
class FeatureExtractor(SpectralModel):
    """One feature vector per window: the mean of the encoder's tokens, beside the mean of the spectra that it reads.

    Args:
        encoder: The encoder.
        pooling: "mean" over the present modalities, or "concatenate".
        keep_time: One vector for each time, such as each second, instead.
        skip: Whether the standardised spectra that the encoder reads are features too, so that none of them is lost on
            the way; by default where it reads spectra.

    Call arguments:
        inputs: As in `Encoder`.

    Returns: float32 `(batch, width)`, `width` as in the property: that of the encoder, times the number of modalities
        with "concatenate", and with `skip` plus the numbers of all spectra, zeros for those of absent channels; with
        `keep_time` `(batch, time, width)`.

    Raises:
        ValueError: `skip` of an encoder without spectra.
    """

    def __init__(
        self,
        encoder: Encoder,
        pooling: str = "mean",
        keep_time: bool = False,
        skip: bool | None = None,
        **kwargs,
    ):
        super().__init__(**{"autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        self.encoder, self.pooling, self.keep_time = encoder, pooling, keep_time
        self.skip = bool(encoder.spectra) if skip is None else skip
        if self.skip and not encoder.spectra:
            raise ValueError(f"`skip` needs an encoder that reads spectra. Received: view={encoder.view!r}.")
        self.pool = TokenPooling(encoder.time, pooling, keep_time, name="pool", dtype="float32")
        self.built = True

    @property
    def width(self) -> int:
        """Width of a feature vector."""
        width = self.encoder.width * (len(self.encoder.modalities) if self.pooling == "concatenate" else 1)
        return width + sum(spectrum.width for spectrum in self.encoder.spectra if self.skip)

    def feature_names(self, channels: dict[str, Sequence[str]], seconds: float) -> list[str]:
        """What each feature is, such as "token mean 17" or "eeg: C3-M2 0.25 to 0.75 Hz of 4 s".

        Args:
            channels: Modality -> names of its channels.
            seconds: Length of a patch.

        Returns: `width` names.
        """
        kinds = [f"{name}: token" for name in self.encoder.modalities] if self.pooling == "concatenate" else ["token"]
        names = [f"{kind} mean {number}" for kind in kinds for number in range(self.encoder.width)]
        for name, spectrum in zip(self.encoder.modalities, self.encoder.spectra if self.skip else (), strict=False):
            names += [f"{name}: {number}" for number in spectrum.number_names(channels[name], seconds)]
        return names

    def call(self, inputs, training=False):  # noqa: D102
        _, present = self.encoder.read(inputs)
        present = self.encoder.present_modalities(present)
        found = self.encoder(inputs, return_spectra=True, training=training)
        pooled = self.pool(found["tokens"], present)
        if not self.skip:
            return pooled
        return ops.concatenate([pooled, *pooled_spectra(found["spectra"], present, self.keep_time)], axis=-1)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        names = ("pooling", "keep_time", "skip")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), "encoder": self.encoder.get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:  # noqa: D102
        return cls(**{**config, "encoder": Encoder.from_config(config["encoder"])})


@keras.saving.register_keras_serializable("physiokeras")
class LinearProbe(SpectralModel):
    """A linear layer for each label on standardised features of an encoder.

    With `frozen` only the linear layers train: a probe. Without `frozen` the encoder trains too: fine-tuning, or
    supervised training from scratch. The outputs have the names of the labels, so `fit` takes a stream with labels:

    ```python
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    probe = LinearProbe(encoder, {"stage": 5})
    probe.compile("adam", loss={"stage": loss})
    probe.fit(stream(folder, "train", batch_size=64, labels=["stage"]))
    ```

    Args:
        encoder: The encoder.
        classes: Number of classes of each label, name -> integer.
        pooling: As in `FeatureExtractor`.
        frozen: Whether training leaves the encoder's weights unchanged. Other models that share the encoder can still
            train it.

    Call arguments:
        inputs: As in `Encoder`.

    Attributes:
        class_weights: `Constants` `(classes,)` of each label, ones: for a loss that weighs classes.

    Returns: dict, label -> float32 logits `(batch, classes)`.

    Source: batch normalisation without parameters before the linear layer as in He et al. 2022, arXiv 2111.06377.
    """

    def __init__(self, encoder: Encoder, classes: dict[str, int], pooling: str = "mean", frozen: bool = True, **kwargs):
        super().__init__(**{"autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        self.extractor = FeatureExtractor(encoder, pooling, name="extractor")
        self.classes, self.frozen = dict(classes), frozen
        # With Keras's momentum of 0.99 the averages would hold a third of their first values after a hundred steps.
        self.standardize = keras.layers.BatchNormalization(
            momentum=0.9, center=False, scale=False, name="standardize", dtype="float32"
        )
        self.heads = [keras.layers.Dense(n, name=f"head_{label}", dtype="float32") for label, n in classes.items()]
        self.build()

    @property
    def encoder(self) -> Encoder:
        """The encoder below the linear layers."""
        return self.extractor.encoder

    def build(self, *_):  # noqa: D102
        if self.built:
            return
        for layer in (self.standardize, *self.heads):
            layer.build((None, self.extractor.width))
        # Made last: a configuration from elsewhere may claim more classes than there is memory for.
        self.class_weights = [Constants(np.ones(n), name=f"class_weights_{label}") for label, n in self.classes.items()]
        self.built = True

    def call(self, inputs, training=False):  # noqa: D102
        with self._no_gradient():
            features = self.extractor(inputs, training=training and not self.frozen)
        if self.frozen:
            features = ops.stop_gradient(features)
        features = self.standardize(features, training=training)
        return {label: head(features) for label, head in zip(self.classes, self.heads, strict=True)}

    def _no_gradient(self):
        """Context without gradients on PyTorch, which otherwise stores the frozen encoder's activations for them."""
        if not self.frozen or keras.config.backend() != "torch":
            return contextlib.nullcontext()
        import torch

        return torch.no_grad()

    # Keras trains these variables. Setting `extractor.trainable` would freeze the encoder in all models that share it.

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """Trainable variables, without the encoder's if it is frozen."""
        return self._but_frozen(super().trainable_variables)

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:  # noqa: D102
        return _others(self.variables, self.trainable_variables)

    @property
    def trainable_weights(self) -> list[keras.Variable]:  # noqa: D102
        return self._but_frozen(super().trainable_weights)

    @property
    def non_trainable_weights(self) -> list[keras.Variable]:  # noqa: D102
        return _others(self.weights, self.trainable_weights)

    def _but_frozen(self, variables):
        return _others(variables, self.extractor.weights) if self.frozen else variables

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        extractor = self.extractor
        return {
            **super().get_config(),
            "encoder": extractor.encoder.get_config(),
            "classes": self.classes,
            "pooling": extractor.pooling,
            "frozen": self.frozen,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:  # noqa: D102
        return cls(**{**config, "encoder": Encoder.from_config(config["encoder"])})


def _others(variables, left_out):
    left_out = {id(variable) for variable in left_out}
    return [variable for variable in variables if id(variable) not in left_out]
