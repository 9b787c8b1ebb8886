"""Late fusion, by telling windows apart."""

import keras
from keras import ops

from physiokeras.layers import TokenPooling
from physiokeras.losses import leave_one_out_contrast, pairwise_contrast
from physiokeras.models.encoder import Encoder
from physiokeras.models.own_loss import OwnLoss
from physiokeras.models.replicas import ReplicatedModel, replicas

_LOSSES = {"pairwise": pairwise_contrast, "leave_one_out": leave_one_out_contrast}


@keras.saving.register_keras_serializable("physiokeras")
class ContrastiveModel(OwnLoss, ReplicatedModel):
    """Pretrain a late-fusion encoder: the modalities of a window get embeddings alike, and unlike other windows'.

    `fit` takes a stream of `(inputs, labels)` or `(inputs,)`; labels are not looked at. Compile it with an optimizer
    alone: the loss is its own. It compares the windows of a batch, so it depends on the batch's size.

    Args:
        encoder: The encoder to pretrain, of two modalities or more, that never meet: `fusion` equal to its `depth`.
        objective: "pairwise": every two modalities of a window find each other; "leave_one_out": each finds the mean of
            the others.

    Call arguments:
        inputs: As in `Encoder`.

    Returns: dict of
        "embeddings": float32 `(batch, modalities, width)`, means over a modality's tokens, zeros where it is absent.
        "present": boolean `(batch, modalities)`.

    Source: SleepFM, Thapa et al. 2024, arXiv 2405.17766, whose encoders are convolutional.
    """

    def __init__(self, encoder, objective="pairwise", **kwargs):
        super().__init__(**{"autocast": False, "dtype": encoder.dtype_policy, **kwargs})
        if objective not in _LOSSES:
            raise ValueError(f"`objective` must be one of {tuple(_LOSSES)}. Received: objective={objective!r}.")
        if encoder.fusion != encoder.depth:
            raise ValueError(
                "`encoder` must keep the modalities apart in all its blocks, Encoder(..., depth=n, fusion=n): one that "
                f"mixes them can tell windows apart by copying. Received: depth={encoder.depth}, "
                f"fusion={encoder.fusion}."
            )
        if len(encoder.modalities) < 2:
            raise ValueError(f"`encoder` must have two modalities or more. Received: {list(encoder.modalities)}.")
        self.encoder, self.objective = encoder, objective
        self.pool = TokenPooling(encoder.time, "concatenate", name="pool", dtype="float32")
        self.build()

    def build(self, *_):  # noqa: D102
        if self.built:
            return
        # What is below 0 after a step is set to 0 by the optimizer.
        self.log_scale = self.add_weight(
            shape=(), initializer="zeros", constraint="non_neg", dtype="float32", name="log_scale"
        )
        self.built = True

    def call(self, inputs, training=False):  # noqa: D102
        _, channels = self.encoder.read(inputs)
        present = self.encoder.present_modalities(channels)
        pooled = self.pool(self.encoder(inputs, training=training), present)
        return {"embeddings": ops.reshape(pooled, (-1, present.shape[1], self.encoder.width)), "present": present}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The contrastive loss of a batch.

        Raises:
            ValueError: `sample_weight` is given: a window's loss is that of the batch's other windows too.
        """
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` and `class_weight` cannot be used: the loss compares the windows of a batch with each "
                "other. Leave windows out of the data instead, or mark their modalities absent in `present`."
            )
        # Gradients of replicas are added.
        return _LOSSES[self.objective](y_pred["embeddings"], y_pred["present"], self.log_scale) / replicas(self)

    def get_config(self):  # noqa: D102
        return {**super().get_config(), "encoder": self.encoder.get_config(), "objective": self.objective}

    @classmethod
    def from_config(cls, config):  # noqa: D102
        return cls(**{**config, "encoder": Encoder.from_config(config["encoder"])})
