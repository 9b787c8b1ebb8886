"""Builds and compiles encoders, models and optimizers from settings."""

from physiokeras.experiments.training_settings import CONTRASTIVE
from physiokeras.seeds import derive


def build_model(settings, manifest):
    """The model that an objective without labels trains, for a prepared data set.

    Returns: `MaskedAutoencoder` or `ContrastiveModel`; either has an `encoder`. Where it has spectra, `training.adapt`
        must follow.

    Raises:
        ValueError: The objective is another.
    """
    from physiokeras.models import ContrastiveModel

    if settings.objective == "autoencoder":
        return build_autoencoder(settings, manifest)
    if settings.objective in CONTRASTIVE:
        return ContrastiveModel(build_encoder(settings, manifest), settings.objective, name="contrastive")
    raise ValueError(f"`objective` must be autoencoder, {' or '.join(CONTRASTIVE)}. Received: {settings.objective!r}.")


def build_autoencoder(settings, manifest):
    """The masked autoencoder of the settings, for a prepared data set; its initial weights follow from the seed."""
    from physiokeras.layers import ModalityDropout, TokenMask
    from physiokeras.models import MaskedAutoencoder

    encoder = build_encoder(settings, manifest)
    mask = TokenMask(
        encoder.time,
        settings.mask_ratio,
        settings.mask_scheme,
        settings.mask_alpha,
        settings.mask_span,
        settings.mask_budget,
        seed=derive(settings.seed, "mask"),
        name="mask",
    )
    drop = ModalityDropout(
        settings.drop_rate,
        settings.drop_count,
        settings.drop_per,
        seed=derive(settings.seed, "modality dropout"),
        name="modality_dropout",
    )
    return MaskedAutoencoder(
        encoder,
        mask,
        drop if settings.drop_rate else None,
        settings.drop_from,
        settings.loss_on_dropped,
        settings.normalize_targets,
        {name: manifest.variances[name] for name in encoder.modalities},
        settings.decoder_width,
        settings.decoder_depth,
        settings.decoder_heads,
        seed=derive(settings.seed, "autoencoder"),
        targets=settings.targets,
        name="autoencoder",
    )


def build_encoder(settings, manifest):
    """The encoder of the settings, for a prepared data set; its initial weights follow from the seed.

    Where it reads spectra, `training.adapt` must follow.
    """
    import keras

    from physiokeras.models import Encoder

    keras.config.set_dtype_policy(settings.precision)
    keras.utils.set_random_seed(derive(settings.seed, "initial weights"))
    late = settings.fusion < 0 or settings.objective in CONTRASTIVE
    return Encoder(
        {
            name: {
                "samples": manifest.modalities[name]["samples"],
                "channels": len(manifest.modalities[name]["channels"]),
            }
            for name in settings.modalities or manifest.defaults
        },
        manifest.tokens,
        settings.width,
        settings.depth,
        settings.heads,
        settings.mlp_ratio,
        settings.dropout,
        seed=derive(settings.seed, "encoder"),
        fusion=settings.depth if late else settings.fusion,
        view=settings.view,
        spans=settings.spans,
        name="encoder",
    )


def untrained(encoder, seed):
    """The encoder as a run of this seed begins with it."""
    import keras

    keras.utils.set_random_seed(derive(seed, "initial weights"))
    return encoder.untrained()


LONG = 5000
"""Steps from which compiling by XLA pays on TensorFlow: a minute or so on a CPU."""


def compile_model(model, settings):
    """Compile for training; on TensorFlow by XLA where that pays, also on CPUs: a step then takes a quarter less."""
    import keras

    # XLA has no gamma draws on TensorFlow, which the shares of "dirichlet" are drawn by.
    by_xla = keras.config.backend() == "tensorflow" and settings.steps >= LONG and settings.mask_scheme != "dirichlet"
    model.compile(build_optimizer(settings), jit_compile=True if by_xla else "auto")


def build_optimizer(settings):
    """AdamW with warm-up and cosine decay; biases, norms and embeddings are spared the weight decay."""
    import keras

    from physiokeras.optimizers import AdamW

    warmup = max(1, round(settings.warmup * settings.steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, settings.steps - warmup), warmup_target=settings.learning_rate, warmup_steps=warmup
    )
    optimizer = AdamW(
        schedule,
        settings.weight_decay,
        beta_1=0.9,
        beta_2=0.95,
        global_clipnorm=settings.clip_norm,
        gradient_accumulation_steps=settings.accumulate if settings.accumulate > 1 else None,
    )
    # "modality" is the embedding's.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "modality", "mask_token", "log_scale"])
    return optimizer
