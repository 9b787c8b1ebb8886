"""Masked autoencoding, while modalities are dropped."""

import keras
import numpy as np
from keras import ops

from physiokeras.layers import ModalityDecoder, ModalityDropout, TokenMask
from physiokeras.losses import hidden_patch_error, normalize_patches
from physiokeras.models.encoder import Encoder
from physiokeras.models.own_loss import OwnLoss
from physiokeras.models.replicas import ReplicatedModel, replicas
from physiokeras.seeds import derive

_DROPS = ("input", "output", "context")


@keras.saving.register_keras_serializable("physiokeras")
class MaskedAutoencoder(OwnLoss, ReplicatedModel):
    """Pretrain an encoder by reconstructing hidden patches, one modality dropped.

    `fit` takes a stream of `(inputs, labels)` or `(inputs,)`; labels are not looked at. Compile it with an optimizer
    alone: the loss is its own. `sample_weight` says how much each window counts in it; 0 leaves a window out.

    Args:
        encoder: The encoder to pretrain; one with a single modality makes the unimodal autoencoder.
        mask: The token mask; by default 70 % of the tokens hidden.
        dropout: The modality dropout; none leaves every modality in. `ModalityDropout()` drops one for each batch.
        drop_from: What the dropped modality is left out of. "input": the encoder does not see it, it is still
            reconstructed (the paper's); "output": it is seen, its reconstruction does not count; "context": as
            "output", and the decoders do not see its tokens either.
        loss_on_dropped: Whether a modality dropped from the input counts in the loss.
        normalize_targets: Whether each target patch of each channel is normalised by its own mean and variance.
        variances: Variance of each modality in training, name -> float; errors are relative to it. Default 1.
        decoder_width: Width of the decoders.
        decoder_depth: Transformer blocks of each decoder.
        decoder_heads: Attention heads of each decoder.
        seed: Seed from which those of the decoders, and of a default `mask`, derive.

    Call arguments:
        inputs: As in `Encoder`; and optionally "kept", boolean `(batch, modalities)`, false for modalities to drop,
            instead of a draw.
        training: Whether masks are drawn anew; otherwise they are the same at each call.

    Returns: dict of
        "signals": dict of reconstructions, name -> `(batch, samples, channels)` in scaled units.
        "hidden": boolean `(batch, tokens)`, true for tokens that the encoder did not see.
        "counted": boolean `(batch, modalities)`, true for modalities that count in the loss.
        "kept": boolean `(batch, modalities)`, true for modalities neither absent nor dropped.

    Source: arXiv 2410.16424.
    """

    def __init__(
        self,
        encoder,
        mask=None,
        dropout=None,
        drop_from="input",
        loss_on_dropped=True,
        normalize_targets=False,
        variances=None,
        decoder_width=128,
        decoder_depth=2,
        decoder_heads=4,
        seed=0,
        **kwargs,
    ):
        super().__init__(**{"autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        if drop_from not in _DROPS:
            raise ValueError(f"`drop_from` must be one of {_DROPS}. Received: drop_from={drop_from!r}.")
        unknown = set(variances or {}) - set(encoder.modalities)
        if unknown:
            raise ValueError(f"`variances` must be of {list(encoder.modalities)}. Received also: {sorted(unknown)}.")
        if not all(0 < variance < float("inf") for variance in (variances or {}).values()):
            raise ValueError(f"`variances` must be positive and finite. Received: {variances}.")
        self.encoder = encoder
        self.mask = mask or TokenMask(encoder.time, seed=derive(seed, "mask"), name="mask")
        self.dropout, self.drop_from, self.loss_on_dropped = dropout, drop_from, loss_on_dropped
        self.normalize_targets = normalize_targets
        self.variances = {name: float((variances or {}).get(name, 1.0)) for name in encoder.modalities}
        self.decoder_width, self.decoder_depth, self.decoder_heads = decoder_width, decoder_depth, decoder_heads
        self.seed = seed
        self.decoders = [
            ModalityDecoder(
                encoder.time,
                m["samples"] // encoder.time,
                m["channels"],
                decoder_width,
                decoder_depth,
                decoder_heads,
                seed=derive(seed, "decoder", name),
                name=f"decoder_{name}",
                dtype=self.dtype_policy,
            )
            for name, m in encoder.modalities.items()
        ]
        self.trackers = [keras.metrics.Mean(name=f"loss_{name}") for name in encoder.modalities]
        self.build()

    def build(self, *_):  # noqa: D102
        if self.built:
            return
        for decoder in self.decoders:
            decoder.build((None, self.mask.capacity(len(self.encoder.modalities)), self.encoder.width))
        self.built = True

    def call(self, inputs, training=False):  # noqa: D102
        signals, present = self.encoder.read(inputs)
        present = self.encoder.present_modalities(present)
        if "kept" in inputs:
            kept = ops.logical_and(present, inputs["kept"])
        else:
            kept = present if self.dropout is None else self.dropout(present, training=training)
        seen = kept if self.drop_from == "input" else present
        visible, valid, hidden = self.mask(present, seen, training=training)
        tokens = ops.take_along_axis(self.encoder.tokenize(signals), visible[:, :, None], axis=1)
        tokens = self.encoder.transform(tokens, valid, modality=visible // self.encoder.time, training=training)
        if self.drop_from == "context":
            source = ops.take_along_axis(kept, visible // self.encoder.time, axis=1)
            valid = ops.logical_and(valid, source)
            # A row with no context left attends to all slots alike, so these must hold nothing.
            tokens = ops.where(valid[:, :, None], tokens, 0.0)
        decoded = {
            name: decoder(tokens, when=visible % self.encoder.time, valid=valid)
            for name, decoder in zip(self.encoder.modalities, self.decoders, strict=True)
        }
        counted = present if self.drop_from == "input" and self.loss_on_dropped else kept
        return {"signals": decoded, "hidden": hidden, "counted": counted, "kept": kept}

    def reconstruct(self, inputs, drop=()):
        """Reconstruct windows with chosen modalities dropped, the rest masked as in evaluation.

        Args:
            inputs: As in `Encoder`, of arrays.
            drop: Names of the modalities to leave out.

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

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean over the counted modalities of the error of their hidden patches, relative to their variance."""
        signals, present = self.encoder.read(x)
        hidden = ops.reshape(y_pred["hidden"], (-1, len(self.trackers), self.encoder.time))
        losses, counts, first = [], [], 0
        for i, (name, m) in enumerate(self.encoder.modalities.items()):
            target, variance = signals[name], self.variances[name]
            if self.normalize_targets:
                target, variance = normalize_patches(target, self.encoder.time), 1.0
            counted = ops.logical_and(hidden[:, i], y_pred["counted"][:, i : i + 1])
            channels = present[:, first : first + m["channels"]]
            error, count = hidden_patch_error(target, y_pred["signals"][name], counted, channels, sample_weight)
            losses.append(error / variance)
            counts.append(count)
            first += m["channels"]
            self.trackers[i].update_state(losses[-1], sample_weight=count)
        some = [ops.cast(count > 0, "float32") for count in counts]
        # Gradients of replicas are added.
        return sum(losses[1:], losses[0]) / ops.maximum(sum(some[1:], some[0]), 1.0) / replicas(self)

    @property
    def metrics(self):
        """The loss, and that of each modality."""
        found = super().metrics
        return [*found, *(t for t in self.trackers if t not in found)]

    def get_config(self):  # noqa: D102
        names = ("drop_from", "loss_on_dropped", "normalize_targets", "variances")
        names += ("decoder_width", "decoder_depth", "decoder_heads", "seed")
        return {
            **super().get_config(),
            "encoder": self.encoder.get_config(),
            "mask": self.mask.get_config(),
            "dropout": self.dropout and self.dropout.get_config(),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config):  # noqa: D102
        parts = {"encoder": Encoder, "mask": TokenMask, "dropout": ModalityDropout}
        return cls(**{k: parts[k].from_config(v) if k in parts and v else v for k, v in config.items()})
