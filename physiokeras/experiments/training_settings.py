"""Settings that several commands share: data, network, objective, optimizer, probe."""

from dataclasses import dataclass
from typing import Literal

from physiokeras.experiments.settings import CommonSettings, setting
from physiokeras.seeds import derive

CONTRASTIVE = ("pairwise", "leave_one_out")
"""Contrastive objectives; their encoders do not mix modalities."""


@dataclass(frozen=True)
class CohortSettings(CommonSettings):
    """Settings of the data: a prepared folder or a simulated cohort; see `physiokeras.experiments.cohort`."""

    data: str | None = setting(
        None,
        "folder that `prepare` wrote, or its URL; without it a cohort is simulated",
        "data",
        "place",
        holds="prepared",
    )
    people: int = setting(
        48, "people with labels to simulate if --data is not given", "data", "result", within="[0, inf)"
    )
    unlabelled: int = setting(
        24, "people without labels to simulate if --data is not given", "data", "result", within="[0, inf)"
    )
    hours: float = setting(
        1 / 3,
        "length of each simulated record in hours; a short record contains a compressed night",
        "data",
        "result",
        within="[0.08333, 24]",
    )
    coupled: bool = setting(
        True, "simulate all modalities from one physiology; off: independently, as a negative control", "data", "result"
    )
    workers: int = setting(2, "number of processes that simulate and convert", "data", "execution", within="[1, inf)")


@dataclass(frozen=True)
class OptimizerSettings(CommonSettings):
    """Settings of the optimizer (see `build_optimizer`), and of resuming an interrupted run."""

    resume: str | None = setting(
        None, "folder of the run to resume; its settings apply unless flags override them",
        "run", "invocation",
    )  # fmt: skip
    accept: tuple[str, ...] = setting(
        (), "what may differ from the resumed run, such as: code learning_rate",
        "run", "invocation",
    )  # fmt: skip
    batch_size: int = setting(32, "number of windows in a training step", "training", "training", within="[1, inf)")
    accumulate: int = setting(
        1,
        "number of steps whose gradients are accumulated for one update; saves memory",
        "training",
        "training",
        within="[1, inf)",
    )
    learning_rate: float = setting(
        3e-4, "peak learning rate of the cosine schedule", "training", "training", within="(0, inf)"
    )
    warmup: float = setting(
        0.05, "share of the steps over which the learning rate rises linearly", "training", "training", within="[0, 1]"
    )
    weight_decay: float = setting(0.05, "decoupled weight decay", "training", "training", within="[0, inf)")
    clip_norm: float = setting(1.0, "largest global norm of the gradient", "training", "training", within="(0, inf)")
    checkpoint_every: int = setting(
        500,
        "number of steps between checkpoints; one more is written at the end",
        "training",
        "execution",
        within="[1, inf)",
    )
    devices: int = setting(
        1,
        "number of devices of this machine that share each batch; on JAX and TensorFlow",
        "training",
        "training",
        within="[1, inf)",
    )

    def __post_init__(self):
        super().__post_init__()
        self.check_devices()

    def check_devices(self) -> None:
        """Refuse devices that cannot share a batch; with `model_parallel` several of them hold one model's weights."""
        together = getattr(self, "model_parallel", 1)
        if self.devices % together:
            raise ValueError(f"devices must divide by model_parallel. Received: {self.devices}, {together}.")
        if self.batch_size % (self.devices // together):
            over = " over model_parallel" if together > 1 else ""
            raise ValueError(
                f"batch_size must divide by devices{over}. Received: {self.batch_size}, {self.devices} devices."
            )
        if self.devices > 1 and self.accumulate > 1 and self.backend == "tensorflow":
            raise ValueError(
                "accumulate with several devices needs backend jax: replicas of TensorFlow do not accumulate together."
            )


@dataclass(frozen=True)
class TrainingSettings(OptimizerSettings):
    """Settings of the network, the objective and the training of an encoder."""

    modalities: tuple[str, ...] = setting(
        (), "modalities to use; none: the default modalities of the data set", "data", "training"
    )
    width: int = setting(256, "width of the tokens of the encoder", "network", "training", within="[2, inf)")
    depth: int = setting(8, "number of transformer blocks of the encoder", "network", "training", within="[1, inf)")
    heads: int = setting(8, "number of attention heads of the encoder", "network", "training", within="[1, inf)")
    mlp_ratio: int = setting(
        4, "hidden width of the MLP in each block, as a multiple of the width", "network", "training", within="[1, inf)"
    )
    dropout: float = setting(0.0, "dropout rate in the blocks of the encoder", "network", "training", within="[0, 1)")
    view: Literal["samples", "spectrum", "both"] = setting(
        "samples", "input of the encoder for each patch: samples, log band powers, or both", "network", "training"
    )
    spans: tuple[int, ...] = setting(
        (1, 4, 16),
        "lengths in patches of the spans from which band powers are computed",
        "network",
        "training",
        within="[1, inf)",
    )
    decoder_width: int = setting(128, "width of the tokens of the decoders", "network", "training", within="[2, inf)")
    decoder_depth: int = setting(
        2, "number of transformer blocks of each decoder", "network", "training", within="[0, inf)"
    )
    decoder_heads: int = setting(
        4, "number of attention heads of the decoders", "network", "training", within="[1, inf)"
    )

    objective: Literal["autoencoder", "pairwise", "leave_one_out", "supervised", "untrained"] = setting(
        "autoencoder", "training objective: masked autoencoding, one of two contrastive losses, labels, or no training",
        "objective", "training",
    )  # fmt: skip
    fusion: int = setting(
        0, "number of first blocks without attention between modalities; -1: all, as contrastive objectives need",
        "objective", "training",
    )  # fmt: skip
    mask_ratio: float = setting(
        0.7, "share of the tokens that are hidden from the encoder", "objective", "training", within="[0, 1)"
    )
    mask_scheme: Literal["uniform", "equal", "dirichlet", "block"] = setting(
        "uniform", "how visible tokens are drawn: uniformly, in equal or in random shares per modality, or in blocks",
        "objective", "training",
    )  # fmt: skip
    mask_alpha: float = setting(
        1.0,
        "concentration of the Dirichlet distribution of shares; for mask_scheme dirichlet",
        "objective",
        "training",
        within="(0, inf)",
    )
    mask_span: int = setting(
        5, "length of a block in tokens; for mask_scheme block", "objective", "training", within="[1, inf)"
    )
    mask_budget: Literal["fixed", "proportional"] = setting(
        "fixed", "number of visible tokens after a drop: unchanged, or in proportion to the remaining modalities",
        "objective", "training",
    )  # fmt: skip
    drop_rate: float = setting(
        1.0, "probability that modalities are dropped; 0: masked autoencoding without dropout",
        "objective", "training", within="[0, 1]",
    )  # fmt: skip
    drop_count: int = setting(
        1, "number of modalities that are dropped at once", "objective", "training", within="[1, inf)"
    )
    drop_weights: tuple[float, ...] = setting(
        (), "relative probability with which each modality is dropped, in their order; 0: never; none: equal",
        "objective", "training",
    )  # fmt: skip
    drop_per: Literal["batch", "sample"] = setting(
        "batch", "whether dropped modalities are drawn for each batch or for each window", "objective", "training"
    )
    drop_from: Literal["input", "output", "context"] = setting(
        "input", "where dropped modalities are left out: the encoder's input, the loss, or loss and decoder context",
        "objective", "training",
    )  # fmt: skip
    loss_on_dropped: bool = setting(
        True, "include modalities that are dropped from the input in the loss", "objective", "training"
    )
    normalize_targets: bool = setting(
        False, "normalise each target patch to zero mean and unit variance", "objective", "training"
    )

    targets: Literal["samples", "spectrum", "both"] = setting(
        "samples", "prediction target for a hidden patch: samples, log band powers, or both", "objective", "training"
    )

    steps: int = setting(100_000, "number of training steps", "training", "training", within="[1, inf)")
    model_parallel: int = setting(
        1, "number of these devices that hold one model's weights together, for encoders that do not fit one; on JAX",
        "training", "training", within="[1, inf)",
    )  # fmt: skip
    interval: int = setting(
        1000,
        "number of steps between rows of metrics.csv, each with a validation loss",
        "training",
        "training",
        within="[1, inf)",
    )
    validation_steps: int = setting(
        20, "number of batches in each validation", "training", "training", within="[1, inf)"
    )
    early_stopping: int = setting(
        0, "number of intervals without a lower validation loss after which training ends, best weights kept; 0: none",
        "training", "training", within="[0, inf)",
    )  # fmt: skip
    log: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = setting(
        (), "loggers of the metrics beside metrics.csv; see docs/commands.md for what they need and where they write",
        "training", "execution",
    )  # fmt: skip
    tensorboard: bool = setting(False, "the same as --log tensorboard", "training", "execution")
    precision: Literal["float32", "mixed_bfloat16"] = setting("float32", "Keras dtype policy", "training", "training")

    def __post_init__(self):
        super().__post_init__()
        if not -1 <= self.fusion <= self.depth:
            raise ValueError(f"fusion must lie in [0, depth], or be -1. Received: {self.fusion}, depth {self.depth}.")
        weights = self.drop_weights
        if weights and not (all(0 <= weight < float("inf") for weight in weights) and any(weights)):
            raise ValueError(f"drop_weights must be finite, at least 0, and not all 0. Received: {weights}.")
        for part in ("", "decoder_"):
            width, heads = getattr(self, f"{part}width"), getattr(self, f"{part}heads")
            if width % heads or width % 2:
                raise ValueError(
                    f"{part}width must be even and a multiple of {part}heads. Received: {width}, {heads} heads."
                )
        if not self.spans and (self.view, self.targets) != ("samples", "samples"):
            raise ValueError("view or targets of spectra need at least one length in spans. Received: none.")
        if self.objective in CONTRASTIVE and self.fusion not in (-1, 0, self.depth):
            raise ValueError(
                f"{self.objective} needs fusion -1: no attention between modalities. Received: {self.fusion}."
            )

    def check_devices(self) -> None:
        """As in `OptimizerSettings`; and refuse a `model_parallel` that backend or widths do not allow."""
        together = self.model_parallel
        if together > 1 and self.backend != "jax":
            why = {"torch": "Keras distributes nothing on torch", "tensorflow": "Keras splits no weights on TensorFlow"}
            raise ValueError(f"model_parallel needs backend jax: {why[self.backend]}. Received: {together}.")
        super().check_devices()
        if self.width % together or self.decoder_width % together:
            raise ValueError(
                "width and decoder_width must divide by model_parallel. "
                f"Received: {self.width}, {self.decoder_width}, {together}."
            )


@dataclass(frozen=True)
class ProbeSettings(CommonSettings):
    """Settings of linear probes on a frozen encoder."""

    pooling: Literal["mean", "concatenate"] = setting(
        "mean", "features of a window: mean over modalities, or modalities concatenated",
        "probe", "readout",
    )  # fmt: skip
    context: int = setting(
        0,
        "number of neighbouring windows on each side whose features the probe reads too",
        "probe",
        "probe",
        within="[0, inf)",
    )
    context_mode: Literal["concatenate", "mean"] = setting(
        "concatenate", "how features of neighbouring windows are combined: concatenated, or averaged",
        "probe", "probe",
    )  # fmt: skip
    probe_folds: int = setting(
        0,
        "number of groups of training and validation people over which the probe's strength is cross-validated; "
        "0: chosen on the validation people",
        "probe", "probe",
    )  # fmt: skip
    classifier: Literal["logistic", "gradient"] = setting(
        "logistic", "fit of the probe: logistic regression of scikit-learn, or gradient descent on a linear layer",
        "probe", "probe",
    )  # fmt: skip
    class_weight: Literal["balanced"] | None = setting(
        "balanced", "balanced: all classes have the same weight; none: all windows have the same weight",
        "probe", "readout",
    )  # fmt: skip
    label_share: float = setting(
        1.0, "share of the training people on whose labels the probe is fitted", "probe", "readout", within="(0, 1]"
    )
    age_threshold: float = setting(55.0, "greatest age of the lower age class", "probe", "readout")

    def __post_init__(self):
        super().__post_init__()
        if self.probe_folds < 0 or self.probe_folds == 1:
            raise ValueError(f"`probe_folds` must be 0 or at least 2. Received: probe_folds={self.probe_folds}.")


@dataclass(frozen=True)
class SubsetSettings(CommonSettings):
    """Settings of windows that lack modalities."""

    subset_maps: bool = setting(
        True,
        "for windows that lack modalities: fit maps from features of some to features of all modalities",
        "probe",
        "probe",
    )


def probe_options(settings):
    """Options of `Probe.fit` from `ProbeSettings`, except `context`, which is applied to the features beforehand."""
    names = ("classifier", "class_weight", "label_share")
    options = {name: getattr(settings, name) for name in names}
    return {**options, "folds": settings.probe_folds, "seed": derive(settings.seed, "probe")}
