"""Settings that several commands share: data, network, objective, optimizer, probe."""

from dataclasses import dataclass
from typing import Literal

from physiokeras.experiments.settings import CommonSettings, setting
from physiokeras.seeds import derive

CONTRASTIVE = ("pairwise", "leave_one_out")
"""Contrastive objectives; their encoders do not mix modalities."""


@dataclass(frozen=True)
class CohortSettings(CommonSettings):
    """Data of a command that simulates a cohort where none are given; see `physiokeras.experiments.cohort`."""

    data: str | None = setting(None, "folder that `prepare` made; none: a simulated cohort", "data", "place")
    people: int = setting(48, "people with labels to simulate, where no data is given", "data", "result")
    unlabelled: int = setting(24, "people without labels to simulate", "data", "result")
    hours: float = setting(
        1 / 3, "length of each simulated record; a short one holds a night in little", "data", "result"
    )
    coupled: bool = setting(
        True, "let one simulated physiology drive all modalities; off: a negative control", "data", "result"
    )
    workers: int = setting(2, "processes that simulate and convert", "data", "execution")


@dataclass(frozen=True)
class OptimizerSettings(CommonSettings):
    """The optimizer, see `build_optimizer`, and how an interrupted training is resumed."""

    resume: str | None = setting(
        None, "folder of a run to go on with; its settings hold unless flags say otherwise",
        "run", "invocation",
    )  # fmt: skip
    accept: tuple[str, ...] = setting(
        (), "what may differ from the run that is resumed, such as: code learning_rate",
        "run", "invocation",
    )  # fmt: skip
    batch_size: int = setting(32, "windows of a step", "training", "training")
    accumulate: int = setting(
        1, "steps whose gradients make one update of the weights; saves memory", "training", "training"
    )
    learning_rate: float = setting(3e-4, "peak of the cosine schedule", "training", "training")
    warmup: float = setting(0.05, "share of the steps in which the learning rate rises", "training", "training")
    weight_decay: float = setting(0.05, "decoupled weight decay", "training", "training")
    clip_norm: float = setting(1.0, "largest global norm of the gradient", "training", "training")
    checkpoint_every: int = setting(
        500, "steps between two checkpoints; one is written at the end too", "training", "execution"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.accumulate < 1:
            raise ValueError(f"accumulate must be at least 1. Received: {self.accumulate}.")


@dataclass(frozen=True)
class TrainingSettings(OptimizerSettings):
    """Network, objective and training of an encoder."""

    modalities: tuple[str, ...] = setting(
        (), "modalities to use; none given: the data set's default ones", "data", "training"
    )
    width: int = setting(256, "width of the encoder's tokens", "network", "training")
    depth: int = setting(8, "number of transformer blocks of the encoder", "network", "training")
    heads: int = setting(8, "attention heads of the encoder", "network", "training")
    mlp_ratio: int = setting(4, "width of the blocks' perceptrons, in multiples of the width", "network", "training")
    dropout: float = setting(0.0, "dropout inside the encoder's blocks", "network", "training")
    view: Literal["samples", "spectrum", "both"] = setting(
        "samples", "what the encoder reads of a patch: its samples, its log band powers, or both", "network", "training"
    )
    spans: tuple[int, ...] = setting(
        (1, 4, 16), "lengths in patches of the spans whose band powers are taken", "network", "training"
    )
    decoder_width: int = setting(128, "width of the decoders", "network", "training")
    decoder_depth: int = setting(2, "transformer blocks of each decoder", "network", "training")
    decoder_heads: int = setting(4, "attention heads of the decoders", "network", "training")

    objective: Literal["autoencoder", "pairwise", "leave_one_out", "supervised", "untrained"] = setting(
        "autoencoder", "what the encoder learns by: masked autoencoding; two contrastive losses; labels; or nothing",
        "objective", "training",
    )  # fmt: skip
    fusion: int = setting(
        0, "first blocks in which modalities do not meet; -1: all, as contrastive objectives have it",
        "objective", "training",
    )  # fmt: skip
    mask_ratio: float = setting(0.7, "share of the tokens hidden from the encoder", "objective", "training")
    mask_scheme: Literal["uniform", "equal", "dirichlet", "block"] = setting(
        "uniform", "how visible tokens are drawn: among all, equally or by random shares of modalities, in blocks",
        "objective", "training",
    )  # fmt: skip
    mask_alpha: float = setting(1.0, "concentration of the Dirichlet shares", "objective", "training")
    mask_span: int = setting(5, "length of a block in tokens", "objective", "training")
    mask_budget: Literal["fixed", "proportional"] = setting(
        "fixed", "visible tokens after a drop: as many as before, or in proportion to what is left",
        "objective", "training",
    )  # fmt: skip
    drop_rate: float = setting(
        1.0, "probability that modalities are dropped; 0 is plain masked autoencoding",
        "objective", "training",
    )  # fmt: skip
    drop_count: int = setting(1, "how many modalities a drop takes", "objective", "training")
    drop_weights: tuple[float, ...] = setting(
        (), "relative probability of each modality to be dropped, in their order; 0: never; none given: "
        "equal",
        "objective", "training",
    )  # fmt: skip
    drop_per: Literal["batch", "sample"] = setting(
        "batch", "one draw for each batch, or for each window", "objective", "training"
    )
    drop_from: Literal["input", "output", "context"] = setting(
        "input", "what a dropped modality is left out of: the encoder's input, the loss, or loss and decoders' context",
        "objective", "training",
    )  # fmt: skip
    loss_on_dropped: bool = setting(
        True, "count a modality dropped from the input in the loss", "objective", "training"
    )
    normalize_targets: bool = setting(
        False, "normalise each target patch by its own mean and variance", "objective", "training"
    )

    targets: Literal["samples", "spectrum", "both"] = setting(
        "samples", "what masked autoencoding predicts of a hidden patch", "objective", "training"
    )

    steps: int = setting(100_000, "training steps", "training", "training")
    devices: int = setting(
        1, "devices of this machine that share every batch; JAX and TensorFlow", "training", "training"
    )
    interval: int = setting(
        1000, "steps between two rows of metrics.csv, each with a validation loss", "training", "training"
    )
    validation_steps: int = setting(20, "batches of each validation", "training", "training")
    tensorboard: bool = setting(
        False, "write logs for TensorBoard too; needs physiokeras[logging]", "training", "execution"
    )
    precision: Literal["float32", "mixed_bfloat16"] = setting("float32", "Keras dtype policy", "training", "training")

    def __post_init__(self):
        super().__post_init__()
        if not -1 <= self.fusion <= self.depth:
            raise ValueError(f"fusion must lie in [0, depth], or be -1. Received: {self.fusion}, depth {self.depth}.")
        weights = self.drop_weights
        if weights and not (all(0 <= weight < float("inf") for weight in weights) and any(weights)):
            raise ValueError(f"drop_weights must be finite, at least 0, and not all 0. Received: {weights}.")
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
        "mean", "features: mean over modalities, or side by side",
        "probe", "readout",
    )  # fmt: skip
    context: int = setting(0, "neighbouring windows on either side whose features the probe sees too", "probe", "probe")
    context_mode: Literal["concatenate", "mean"] = setting(
        "concatenate", "with context: features of neighbouring windows side by side, or their mean",
        "probe", "probe",
    )  # fmt: skip
    probe_folds: int = setting(
        0,
        "groups of the training and validation people by which the probe's strength is cross-validated; 0: by the "
        "validation people alone",
        "probe", "probe",
    )  # fmt: skip
    classifier: Literal["logistic", "gradient"] = setting(
        "logistic", "scikit-learn's logistic regression, or a linear layer by gradient descent",
        "probe", "probe",
    )  # fmt: skip
    class_weight: Literal["balanced"] | None = setting(
        "balanced", "balanced: classes weigh alike, however rare; none: windows do",
        "probe", "readout",
    )  # fmt: skip
    label_share: float = setting(
        1.0, "share of the training people whose labels the probe is fitted on", "probe", "readout"
    )
    age_threshold: float = setting(55.0, "greatest age of the lower of the two age classes", "probe", "readout")

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.label_share <= 1:
            raise ValueError(f"`label_share` must lie in (0, 1]. Received: label_share={self.label_share}.")
        if self.context < 0:
            raise ValueError(f"`context` must be at least 0. Received: context={self.context}.")
        if self.probe_folds < 0 or self.probe_folds == 1:
            raise ValueError(f"`probe_folds` must be 0 or at least 2. Received: probe_folds={self.probe_folds}.")


def probe_options(settings):
    """The options of `Probe.fit` that `ProbeSettings` set, except `context`, which the features must have already."""
    names = ("classifier", "class_weight", "label_share")
    options = {name: getattr(settings, name) for name in names}
    return {**options, "folds": settings.probe_folds, "seed": derive(settings.seed, "probe")}
