"""Masked autoencoder with modality dropout."""

import types
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from physiokeras.constants import Tensor
from physiokeras.layers import ModalityDecoder, ModalityDropout, PatchSpectrum, TokenMask
from physiokeras.layers.loss_constants import Constants
from physiokeras.losses import hidden_patch_error, normalize_patches
from physiokeras.models.encoder import VIEWS, Encoder
from physiokeras.models.own_loss import OwnLoss
from physiokeras.models.replicas import replicas
from physiokeras.models.spectral import SpectralModel
from physiokeras.seeds import derive

_DROPS = ("input", "output", "context")


@keras.saving.register_keras_serializable("physiokeras")
class MaskedAutoencoder(OwnLoss, SpectralModel):
    """Pretrain an encoder by the reconstruction of hidden patches, with modality dropout.

    `fit` takes a stream of `(inputs, labels)` or `(inputs,)`; labels are ignored. Compile the model with an optimizer
    only: it computes its own loss. `sample_weight` is the weight of each window in it; 0 leaves a window out.

    ```python
    model = MaskedAutoencoder(encoder, modality_dropout=ModalityDropout())
    model.compile(AdamW(3e-4, weight_decay=0.05))
    model.fit(stream(folder, "pretrain", batch_size=64), steps_per_epoch=100, epochs=10)
    save(model.encoder, "encoder")
    ```

    The encoder sees no token of a dropped or absent modality. Where it reads spectra, the long spans of a visible patch
    overlap hidden patches of the same modality. Four ways to close this leak were measured; none improved the features.

    Args:
        encoder: The encoder to pretrain; with a single modality this is a unimodal autoencoder.
        mask: The token mask; by default 70 % of the tokens hidden.
        modality_dropout: A `ModalityDropout` layer; without one no modality is dropped. `ModalityDropout()` drops one
            for each batch.
        drop_from: Where the dropped modality is removed. "input": the encoder does not see it, the decoders still
            reconstruct it (the paper's); "output": the encoder sees it, its reconstruction does not count in the loss;
            "context": as "output", and the decoders do not attend to its tokens.
        loss_on_dropped: Whether a modality dropped from the input counts in the loss.
        normalize_targets: Whether each target patch of each channel is normalised by its own mean and variance.
        variances: Variance of each modality in the training data, name -> float, which divides its error. Default 1.
        decoder_width: Width of the decoders.
        decoder_depth: Transformer blocks of each decoder.
        decoder_heads: Attention heads of each decoder.
        seed: Seed from which those of the decoders, and of a default `mask`, derive.
        targets: What of a hidden patch is predicted: its "samples", its standardised "spectrum" over the encoder's
            `spans`, or "both", whose errors count alike. A spectrum's errors are relative to each number's variance in
            training, which `adapt` learns; `normalize_targets` and `variances` are of samples.

    Call arguments:
        inputs: As in `Encoder`; and optionally "kept", boolean `(batch, modalities)`, false for modalities to drop,
            instead of a draw.
        training: Whether to draw new masks; otherwise each call draws the same ones.

    Returns: dict of
        "signals": dict of reconstructions, name -> `(batch, samples, channels)` in scaled units; of targets that have
            samples.
        "spectra", "true_spectra": dicts of predicted and of true spectra, name -> `(batch, time, numbers)` as in
            `PatchSpectrum`; of targets that have spectra.
        "hidden": boolean `(batch, tokens)`, true for tokens that the encoder did not see.
        "counted": boolean `(batch, modalities)`, true for modalities that count in the loss.
        "kept": boolean `(batch, modalities)`, true for modalities that are present and not dropped.

    Source: arXiv 2410.16424.
    """

    def __init__(
        self,
        encoder: Encoder,
        mask: TokenMask | None = None,
        modality_dropout: ModalityDropout | None = None,
        drop_from: str = "input",
        loss_on_dropped: bool = True,
        normalize_targets: bool = False,
        variances: dict[str, float] | None = None,
        decoder_width: int = 128,
        decoder_depth: int = 2,
        decoder_heads: int = 4,
        seed: int = 0,
        targets: str = "samples",
        **kwargs,
    ):
        # Its name in scripts and models of earlier versions.
        modality_dropout = kwargs.pop("dropout", None) or modality_dropout
        super().__init__(**{"autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        _check(encoder, drop_from, targets, variances or {})
        self.encoder = encoder
        self.mask = mask or TokenMask(encoder.time, seed=derive(seed, "mask"), name="mask")
        if modality_dropout is not None:
            modality_dropout.in_order(encoder.modalities)
        self.modality_dropout, self.drop_from, self.loss_on_dropped = modality_dropout, drop_from, loss_on_dropped
        self.normalize_targets = normalize_targets
        variances = {name: float((variances or {}).get(name, 1.0)) for name in encoder.modalities}
        self.variances = types.MappingProxyType(variances)  # the loss reads `divisors`
        self.divisors = Constants(list(self.variances.values()), name="divisors")
        self.decoder_width, self.decoder_depth, self.decoder_heads = decoder_width, decoder_depth, decoder_heads
        self.seed, self.targets = seed, targets
        own = encoder.modalities if targets != "samples" and not encoder.spectra else ()
        self.spectra = [PatchSpectrum(encoder.time, encoder.spans, name=f"spectrum_{name}") for name in own]
        for spectrum, m in zip(self.spectra, encoder.modalities.values(), strict=False):
            spectrum.build((None, m["samples"], m["channels"]))
        self.decoders = [self._decoder(name) for name in encoder.modalities]
        self.trackers = [keras.metrics.Mean(name=f"loss_{name}") for name in encoder.modalities]
        self.build()

    def _decoder(self, name):
        return ModalityDecoder(
            self.encoder.time,
            1,
            sum(self._sizes(name)),
            self.decoder_width,
            self.decoder_depth,
            self.decoder_heads,
            seed=derive(self.seed, "decoder", name),
            name=f"decoder_{name}",
            dtype=self.dtype_policy,
        )

    def build(self, *_):  # noqa: D102
        if self.built:
            return
        for decoder in self.decoders:
            decoder.build((None, self.mask.capacity(len(self.encoder.modalities)), self.encoder.width))
        self.built = True

    def patch_spectra(self) -> list[PatchSpectrum]:
        """List of the `PatchSpectrum` layers of view and targets, one for each modality."""
        return self.spectra or self.encoder.patch_spectra()

    def _sizes(self, name):
        """How many samples and how many spectral numbers of a patch are predicted."""
        m = self.encoder.modalities[name]
        samples = 0 if self.targets == "spectrum" else m["samples"] // self.encoder.time * m["channels"]
        if self.targets == "samples":
            return samples, 0
        return samples, self.patch_spectra()[list(self.encoder.modalities).index(name)].width

    def call(self, inputs, training=False):  # noqa: D102
        signals, present = self.encoder.read(inputs)
        spectra = self.measure(signals, present)
        present = self.encoder.present_modalities(present)
        if "kept" in inputs:
            kept = ops.logical_and(present, inputs["kept"])
        else:
            kept = self.modality_dropout(present, training=training) if self.modality_dropout else present
        seen = kept if self.drop_from == "input" else present
        visible, valid, hidden = self.mask(present, seen, training=training)
        tokens = ops.take_along_axis(self.encoder.tokenize(signals, spectra), visible[:, :, None], axis=1)
        tokens = self.encoder.transform(tokens, valid, modality=visible // self.encoder.time, training=training)
        if self.drop_from == "context":
            source = ops.take_along_axis(kept, visible // self.encoder.time, axis=1)
            valid = ops.logical_and(valid, source)
            # A row without context attends to all slots equally, so they must be zero.
            tokens = ops.where(valid[:, :, None], tokens, 0.0)
        decoded = {
            name: decoder(tokens, when=visible % self.encoder.time, valid=valid)
            for name, decoder in zip(self.encoder.modalities, self.decoders, strict=True)
        }
        counted = present if self.drop_from == "input" and self.loss_on_dropped else kept
        out = {"hidden": hidden, "counted": counted, "kept": kept}
        if self.targets != "spectrum":
            out["signals"] = {
                name: ops.reshape(x[..., : self._sizes(name)[0]], (-1, *signals[name].shape[1:]))
                for name, x in decoded.items()
            }
        if self.targets != "samples":
            out["spectra"] = {name: x[..., self._sizes(name)[0] :] for name, x in decoded.items()}
            out["true_spectra"] = spectra
        return out

    def reconstruct(self, inputs: dict, drop: Sequence[str] = ()) -> dict:
        """Reconstruct windows without the modalities in `drop`; the others are masked as in evaluation.

        Args:
            inputs: As in `Encoder`, of arrays.
            drop: Names of the modalities to drop.

        Returns: As `call`, of arrays.

        Raises:
            ValueError: `drop` names a modality that the encoder lacks.
        """
        unknown = set(drop) - set(self.encoder.modalities)
        if unknown:
            raise ValueError(
                f"`drop` must name modalities of {list(self.encoder.modalities)}. Received: drop={drop!r}."
            )
        keep = np.array([name not in drop for name in self.encoder.modalities])
        rows = len(inputs[next(iter(self.encoder.modalities))])
        return self.predict_on_batch({**inputs, "kept": np.tile(keep, (rows, 1))})

    @property
    def dropout(self) -> ModalityDropout | None:
        """The earlier name of `modality_dropout`."""
        return self.modality_dropout

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Mean over the counted modalities of the error of hidden patches divided by the modality's variance."""
        signals, present = self.encoder.read(x)
        hidden = ops.reshape(y_pred["hidden"], (-1, len(self.trackers), self.encoder.time))
        losses, counts = [], []
        for i, (name, channels) in enumerate(self.encoder.layout.split(present).items()):
            counted = ops.logical_and(hidden[:, i], y_pred["counted"][:, i : i + 1])
            errors = self._errors(name, signals[name], y_pred, counted, channels, sample_weight)
            losses.append(sum(error for error, _ in errors) / len(errors))
            counts.append(errors[0][1])
            self.trackers[i].update_state(losses[-1], sample_weight=counts[-1])
        some = [ops.cast(count > 0, "float32") for count in counts]
        # Keras sums the gradients of the replicas.
        return sum(losses[1:], losses[0]) / ops.maximum(sum(some[1:], some[0]), 1.0) / replicas(self)

    def _errors(self, name, signal, predicted, counted, channels, weights):
        """Pairs of relative error and count of a modality: of samples, of the spectrum, or of both."""
        errors = []
        if "signals" in predicted:
            variance = self.divisors.values[list(self.variances).index(name)]
            if self.normalize_targets:
                signal, variance = normalize_patches(signal, self.encoder.time), 1.0
            error, count = hidden_patch_error(signal, predicted["signals"][name], counted, channels, weights)
            errors.append((error / variance, count))
        if "spectra" in predicted:
            true = predicted["true_spectra"][name]
            numbers = ops.repeat(channels, true.shape[-1] // channels.shape[-1], axis=1)
            errors.append(hidden_patch_error(true, predicted["spectra"][name], counted, numbers, weights))
        return errors

    @property
    def metrics(self) -> list[keras.Metric]:
        """The total loss, and the loss of each modality."""
        found = super().metrics
        return [*found, *(t for t in self.trackers if t not in found)]

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        names = ["drop_from", "loss_on_dropped", "normalize_targets"]
        names += ["decoder_width", "decoder_depth", "decoder_heads", "seed", "targets"]
        return {
            **super().get_config(),
            "encoder": self.encoder.get_config(),
            "mask": self.mask.get_config(),
            "modality_dropout": self.modality_dropout and self.modality_dropout.get_config(),
            **{name: getattr(self, name) for name in names},
            "variances": dict(self.variances),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:  # noqa: D102
        parts: dict[str, Any] = {"encoder": Encoder, "mask": TokenMask}
        parts |= dict.fromkeys(("modality_dropout", "dropout"), ModalityDropout)
        return cls(**{k: parts[k].from_config(v) if k in parts and v else v for k, v in config.items()})


def _check(encoder, drop_from, targets, variances):
    """Refuse wrong arguments of `MaskedAutoencoder`."""
    if drop_from not in _DROPS:
        raise ValueError(f"`drop_from` must be one of {_DROPS}. Received: drop_from={drop_from!r}.")
    if targets not in VIEWS:
        raise ValueError(f"`targets` must be one of {VIEWS}. Received: targets={targets!r}.")
    unknown = set(variances) - set(encoder.modalities)
    if unknown:
        raise ValueError(f"`variances` must be of {list(encoder.modalities)}. Received also: {sorted(unknown)}.")
    if not all(0 < variance < float("inf") for variance in variances.values()):
        raise ValueError(f"`variances` must be positive and finite. Received: {variances}.")
