"""Settings that the training commands share: data, network, objective, optimizer, probe."""

from dataclasses import dataclass
from typing import Literal

from physiokeras.experiments.settings import CommonSettings, setting
from physiokeras.seeds import derive

CONTRASTIVE = ("pairwise", "leave_one_out")
"""Objectives that compare windows; their encoders keep the modalities apart."""


@dataclass(frozen=True)
class CohortSettings(CommonSettings):
    """The data of a command that simulates a cohort where none are given; see `physiokeras.experiments.cohort`."""

    data: str | None = setting(None, "folder that `prepare` made; none: a simulated cohort", "data")
    people: int = setting(48, "people with labels to simulate, where no data is given", "data")
    unlabelled: int = setting(24, "people without labels to simulate", "data")
    hours: float = setting(1 / 3, "length of each simulated record; a short one holds a night in little", "data")
    coupled: bool = setting(True, "let one simulated physiology drive all modalities; off: a negative control", "data")
    workers: int = setting(2, "processes that simulate and convert", "data")


@dataclass(frozen=True)
class OptimizerSettings(CommonSettings):
    """How weights are trained, by `build_optimizer`, and how a training that was interrupted goes on."""

    resume: str | None = setting(
        None, "folder of a run to go on with; its settings hold unless flags say otherwise", "run"
    )
    accept: tuple[str, ...] = setting(
        (), "what may differ from the run that is resumed, such as: code learning_rate", "run"
    )
    batch_size: int = setting(32, "windows of a step", "training")
    accumulate: int = setting(1, "steps whose gradients make one update of the weights; saves memory", "training")
    learning_rate: float = setting(3e-4, "peak of the cosine schedule", "training")
    warmup: float = setting(0.05, "share of the steps in which the learning rate rises", "training")
    weight_decay: float = setting(0.05, "decoupled weight decay", "training")
    clip_norm: float = setting(1.0, "largest global norm of the gradient", "training")
    checkpoint_every: int = setting(500, "steps between two checkpoints; one is written at the end too", "training")

    def __post_init__(self):
        super().__post_init__()
        if self.accumulate < 1:
            raise ValueError(f"accumulate must be at least 1. Received: {self.accumulate}.")


@dataclass(frozen=True)
class TrainingSettings(OptimizerSettings):
    """Network, objective and training of an encoder."""

    modalities: tuple[str, ...] = setting((), "modalities to use; none given: the data set's default ones", "data")
    width: int = setting(256, "width of the encoder's tokens", "network")
    depth: int = setting(8, "number of transformer blocks of the encoder", "network")
    heads: int = setting(8, "attention heads of the encoder", "network")
    mlp_ratio: int = setting(4, "width of the blocks' perceptrons, in multiples of the width", "network")
    dropout: float = setting(0.0, "dropout inside the encoder's blocks", "network")
    view: Literal["samples", "spectrum", "both"] = setting(
        "samples", "what the encoder reads of a patch: its samples, its log band powers, or both", "network"
    )
    spans: tuple[int, ...] = setting(
        (1, 4, 16), "lengths in patches of the spans whose band powers are taken", "network"
    )
    decoder_width: int = setting(128, "width of the decoders", "network")
    decoder_depth: int = setting(2, "transformer blocks of each decoder", "network")
    decoder_heads: int = setting(4, "attention heads of the decoders", "network")

    objective: Literal["autoencoder", "pairwise", "leave_one_out", "supervised", "untrained"] = setting(
        "autoencoder", "what the encoder learns by: masked autoencoding; two contrastive losses; labels; or nothing",
        "objective",
    )  # fmt: skip
    fusion: int = setting(
        0, "first blocks in which modalities do not meet; -1: all, as contrastive objectives have it", "objective"
    )
    mask_ratio: float = setting(0.7, "share of the tokens hidden from the encoder", "objective")
    mask_scheme: Literal["uniform", "equal", "dirichlet", "block"] = setting(
        "uniform", "how visible tokens are drawn: among all, equally or by random shares of modalities, in blocks",
        "objective",
    )  # fmt: skip
    mask_alpha: float = setting(1.0, "concentration of the Dirichlet shares", "objective")
    mask_span: int = setting(5, "length of a block in tokens", "objective")
    mask_budget: Literal["fixed", "proportional"] = setting(
        "fixed", "visible tokens after a drop: as many as before, or in proportion to what is left", "objective"
    )
    drop_rate: float = setting(
        1.0, "probability that modalities are dropped; 0 is plain masked autoencoding", "objective"
    )
    drop_count: int = setting(1, "how many modalities a drop takes", "objective")
    drop_per: Literal["batch", "sample"] = setting("batch", "one draw for each batch, or for each window", "objective")
    drop_from: Literal["input", "output", "context"] = setting(
        "input", "what a dropped modality is left out of: the encoder's input, the loss, or loss and decoders' context",
        "objective",
    )  # fmt: skip
    loss_on_dropped: bool = setting(True, "count a modality dropped from the input in the loss", "objective")
    normalize_targets: bool = setting(False, "normalise each target patch by its own mean and variance", "objective")
    targets: Literal["samples", "spectrum", "both"] = setting(
        "samples", "what masked autoencoding predicts of a hidden patch", "objective"
    )

    steps: int = setting(100_000, "training steps", "training")
    devices: int = setting(1, "devices of this machine that share every batch; JAX and TensorFlow", "training")
    interval: int = setting(1000, "steps between two rows of metrics.csv, each with a validation loss", "training")
    validation_steps: int = setting(20, "batches of each validation", "training")
    tensorboard: bool = setting(False, "write logs for TensorBoard too; needs physiokeras[logging]", "training")
    precision: Literal["float32", "mixed_bfloat16"] = setting("float32", "Keras dtype policy", "training")

    def __post_init__(self):
        super().__post_init__()
        if not -1 <= self.fusion <= self.depth:
            raise ValueError(f"fusion must lie in [0, depth], or be -1. Received: {self.fusion}, depth {self.depth}.")
        if self.devices < 1 or self.batch_size % self.devices:
            raise ValueError(f"batch_size must divide by devices. Received: {self.batch_size}, {self.devices} devices.")
        if self.devices > 1 and self.accumulate > 1 and self.backend == "tensorflow":
            raise ValueError(
                "accumulate with several devices needs backend jax: TensorFlow's cannot wait for each other."
            )
        if self.objective in CONTRASTIVE and self.fusion not in (-1, 0, self.depth):
            raise ValueError(f"{self.objective} needs modalities that never meet: fusion -1. Received: {self.fusion}.")


@dataclass(frozen=True)
class ProbeSettings(CommonSettings):
    """How a frozen encoder is probed."""

    pooling: Literal["mean", "concatenate"] = setting(
        "mean", "features: mean over modalities, or side by side", "probe"
    )
    context: int = setting(0, "neighbouring windows on either side whose features the probe sees too", "probe")
    classifier: Literal["logistic", "gradient"] = setting(
        "logistic", "scikit-learn's logistic regression, or a linear layer by gradient descent", "probe"
    )
    class_weight: Literal["balanced"] | None = setting(
        "balanced", "balanced: classes weigh alike, however rare; none: windows do", "probe"
    )
    label_share: float = setting(1.0, "share of the training people whose labels the probe is fitted on", "probe")
    age_threshold: float = setting(55.0, "greatest age of the lower of the two age classes", "probe")

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.label_share <= 1:
            raise ValueError(f"`label_share` must lie in (0, 1]. Received: label_share={self.label_share}.")
        if self.context < 0:
            raise ValueError(f"`context` must be at least 0. Received: context={self.context}.")


def probe_options(settings):
    """The options of `Probe.fit` that `ProbeSettings` set; features must have `settings.context` already."""
    names = ("classifier", "class_weight", "label_share")
    return {**{name: getattr(settings, name) for name in names}, "seed": derive(settings.seed, "probe")}
