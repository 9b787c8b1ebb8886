"""Builds and compiles encoders, models and optimizers from settings."""

import contextlib
import random

from physiokeras.errors import DataError
from physiokeras.experiments.training_settings import CONTRASTIVE
from physiokeras.seeds import derive


@contextlib.contextmanager
def initial_weights(seed):
    """Make the initial weights of layers that are made inside follow from a seed.

    An initialiser of Keras without a seed draws one from Python's global generator. Its state is restored afterwards.

    Args:
        seed: The run's seed. Encoders of one seed and size have equal weights, whatever they are trained by.
    """
    state = random.getstate()
    random.seed(derive(seed, "initial weights"))
    try:
        yield
    finally:
        random.setstate(state)


def build_model(settings, manifest):
    """Build the model that an objective without labels trains, for a prepared data set.

    Returns: `MaskedAutoencoder` or `ContrastiveModel`; both have an `encoder`. Where it has spectra, `training.adapt`
        must follow.

    Raises:
        ValueError: Another objective.
    """
    from physiokeras.models import ContrastiveModel

    if settings.objective == "autoencoder":
        return build_autoencoder(settings, manifest)
    if settings.objective in CONTRASTIVE:
        return ContrastiveModel(build_encoder(settings, manifest), settings.objective, name="contrastive")
    raise ValueError(f"`objective` must be autoencoder, {' or '.join(CONTRASTIVE)}. Received: {settings.objective!r}.")


def build_autoencoder(settings, manifest):
    """Build the masked autoencoder of the settings, for a prepared data set.

    Raises:
        DataError: Not as many `drop_weights` as modalities.
    """
    from physiokeras.models import MaskedAutoencoder

    with initial_weights(settings.seed):
        encoder = _encoder(settings, manifest)
        if settings.drop_weights and len(settings.drop_weights) != len(encoder.modalities):
            raise DataError(
                f"drop_weights must be one number for each of {', '.join(encoder.modalities)}. "
                f"Received: {settings.drop_weights}."
            )
        return MaskedAutoencoder(
            encoder,
            mask=_mask(settings, encoder),
            modality_dropout=_modality_dropout(settings) if settings.drop_rate else None,
            drop_from=settings.drop_from,
            loss_on_dropped=settings.loss_on_dropped,
            normalize_targets=settings.normalize_targets,
            variances={name: manifest.variances[name] for name in encoder.modalities},
            decoder_width=settings.decoder_width,
            decoder_depth=settings.decoder_depth,
            decoder_heads=settings.decoder_heads,
            seed=derive(settings.seed, "autoencoder"),
            targets=settings.targets,
            name="autoencoder",
        )


def _mask(settings, encoder):
    from physiokeras.layers import TokenMask

    return TokenMask(
        time=encoder.time,
        ratio=settings.mask_ratio,
        scheme=settings.mask_scheme,
        alpha=settings.mask_alpha,
        span=settings.mask_span,
        budget=settings.mask_budget,
        seed=derive(settings.seed, "mask"),
        name="mask",
    )


def _modality_dropout(settings):
    from physiokeras.layers import ModalityDropout

    return ModalityDropout(
        rate=settings.drop_rate,
        count=settings.drop_count,
        per=settings.drop_per,
        seed=derive(settings.seed, "modality dropout"),
        weights=settings.drop_weights or None,
        name="modality_dropout",
    )


def build_network(settings, manifest, task, encoder=None):
    """Build an encoder with a linear layer for the classes of a task, both to be trained on labels.

    Args:
        settings: With `pooling`, `seed` and, without `encoder`, those of the network.
        manifest: `Manifest`.
        task: `Task` with classes.
        encoder: A trained encoder to start from; None: a new one.

    Returns: `LinearProbe`.
    """
    from physiokeras.models import LinearProbe

    with initial_weights(settings.seed):
        encoder = encoder or _encoder(settings, manifest)
        return LinearProbe(encoder, {task.label: len(task.classes)}, settings.pooling, frozen=False, name="network")


def build_encoder(settings, manifest):
    """Build the encoder of the settings, for a prepared data set; its initial weights follow from the seed."""
    with initial_weights(settings.seed):
        return _encoder(settings, manifest)


def _encoder(settings, manifest):
    from physiokeras.models import Encoder

    late = settings.fusion < 0 or settings.objective in CONTRASTIVE
    # The order of a stream's `present` is the manifest's, however the user orders the names.
    return Encoder.for_data(
        manifest,
        settings.modalities,
        width=settings.width,
        depth=settings.depth,
        heads=settings.heads,
        mlp_ratio=settings.mlp_ratio,
        dropout=settings.dropout,
        seed=derive(settings.seed, "encoder"),
        fusion=settings.depth if late else settings.fusion,
        view=settings.view,
        spans=settings.spans,
        dtype=settings.precision,
        name="encoder",
    )


def untrained(encoder, seed):
    """A new encoder like `encoder`, with the initial weights of a run of this seed."""
    with initial_weights(seed):
        return encoder.untrained()


LONG = 5000
"""Steps from which compiling by XLA, which takes about a minute on a CPU, pays on TensorFlow."""


def compile_model(model, settings):
    """Compile for training; on TensorFlow with XLA where that pays: on a CPU a step takes a quarter less."""
    import keras

    # "dirichlet" needs gamma draws, which XLA lacks on TensorFlow.
    by_xla = keras.config.backend() == "tensorflow" and settings.steps >= LONG and settings.mask_scheme != "dirichlet"
    model.compile(build_optimizer(settings), jit_compile=True if by_xla else "auto")


def build_optimizer(settings):
    """AdamW with warm-up and cosine decay; no weight decay of biases, normalizations and embeddings."""
    from physiokeras.optimizers import AdamW, WarmupCosine

    warmup = max(1, round(settings.warmup * settings.steps))
    schedule = WarmupCosine(settings.learning_rate, warmup, max(1, settings.steps - warmup))
    optimizer = AdamW(
        schedule,
        settings.weight_decay,
        beta_1=0.9,
        beta_2=0.95,
        global_clipnorm=settings.clip_norm,
        gradient_accumulation_steps=settings.accumulate if settings.accumulate > 1 else None,
    )
    # "modality" is a weight of the embedding.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "modality", "mask_token", "log_scale"])
    return optimizer
