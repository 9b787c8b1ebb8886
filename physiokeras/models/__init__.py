"""Keras models: encoder, masked autoencoder, contrastive model, feature extractor, linear probe; saving and loading."""

from physiokeras.models.autoencoder import MaskedAutoencoder
from physiokeras.models.contrastive import ContrastiveModel
from physiokeras.models.encoder import Encoder
from physiokeras.models.probe import FeatureExtractor, LinearProbe
from physiokeras.models.saving import digest, encoder_of, load, save

__all__ = [
    "ContrastiveModel",
    "Encoder",
    "FeatureExtractor",
    "LinearProbe",
    "MaskedAutoencoder",
    "digest",
    "encoder_of",
    "load",
    "save",
]
