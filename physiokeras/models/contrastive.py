"""Contrastive pretraining of a late-fusion encoder."""

from typing import Any, Self

import keras
from keras import ops

from physiokeras.constants import Tensor
from physiokeras.layers import TokenPooling
from physiokeras.losses import leave_one_out_contrast, pairwise_contrast
from physiokeras.models.encoder import Encoder
from physiokeras.models.own_loss import OwnLoss
from physiokeras.models.replicas import replicas
from physiokeras.models.spectral import SpectralModel

_LOSSES = {"pairwise": pairwise_contrast, "leave_one_out": leave_one_out_contrast}


@keras.saving.register_keras_serializable("physiokeras")
class ContrastiveModel(OwnLoss, SpectralModel):
    """Pretrain a late-fusion encoder: embeddings of one window's modalities attract, those of different windows repel.

    `fit` takes a stream of `(inputs, labels)` or `(inputs,)`; labels are ignored. Compile the model with an optimizer
    only: it computes its own loss, which contrasts the windows of a batch and so depends on the batch size.

    Args:
        encoder: The encoder to pretrain, with two modalities or more and `fusion` equal to `depth`.
        objective: "pairwise": contrast every two modalities; "leave_one_out": contrast each modality with the mean of
            the others.

    Call arguments:
        inputs: As in `Encoder`.

    Returns: dict of
        "embeddings": float32 `(batch, modalities, width)`, means over a modality's tokens, zeros where absent.
        "present": boolean `(batch, modalities)`.

    Source: SleepFM, Thapa et al. 2024, arXiv 2405.17766, with convolutional encoders.
    """

    def __init__(self, encoder: Encoder, objective: str = "pairwise", **kwargs):
        super().__init__(**{"autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        if objective not in _LOSSES:
            raise ValueError(f"`objective` must be one of {tuple(_LOSSES)}. Received: objective={objective!r}.")
        if encoder.fusion != encoder.depth:
            raise ValueError(
                "`encoder` must not mix modalities, because a mixed embedding solves the task by copying: build it as "
                f"Encoder(..., depth=n, fusion=n). Received: depth={encoder.depth}, fusion={encoder.fusion}."
            )
        if len(encoder.modalities) < 2:
            raise ValueError(f"`encoder` must have two modalities or more. Received: {list(encoder.modalities)}.")
        self.encoder, self.objective = encoder, objective
        self.pool = TokenPooling(encoder.time, "concatenate", name="pool", dtype="float32")
        self.build()

    def build(self, *_):  # noqa: D102
        if self.built:
            return
        # The optimizer sets values below 0 to 0 after each step.
        self.log_scale = self.add_weight(
            shape=(), initializer="zeros", constraint="non_neg", dtype="float32", name="log_scale"
        )
        self.built = True

    def call(self, inputs, training=False):  # noqa: D102
        _, channels = self.encoder.read(inputs)
        present = self.encoder.present_modalities(channels)
        pooled = self.pool(self.encoder(inputs, training=training), present)
        return {"embeddings": ops.reshape(pooled, (-1, present.shape[1], self.encoder.width)), "present": present}

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """The contrastive loss of a batch.

        Raises:
            ValueError: `sample_weight` is given, but the loss of a window depends on the batch's other windows.
        """
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` and `class_weight` cannot be used, because the loss contrasts the windows of a batch. "
                "Leave windows out of the data instead, or mark their modalities absent in `present`."
            )
        # Keras sums the gradients of the replicas.
        return _LOSSES[self.objective](y_pred["embeddings"], y_pred["present"], self.log_scale) / replicas(self)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "encoder": self.encoder.get_config(), "objective": self.objective}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:  # noqa: D102
        return cls(**{**config, "encoder": Encoder.from_config(config["encoder"])})
