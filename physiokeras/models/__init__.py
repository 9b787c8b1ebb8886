"""Keras models: encoder, masked autoencoder, features, linear probe."""

from physiokeras.models.autoencoder import MaskedAutoencoder
from physiokeras.models.encoder import Encoder

__all__ = ["Encoder", "MaskedAutoencoder"]
