"""Keras layers: tokenizer, spectra, embeddings, transformer block, masking, modality dropout, decoder, pooling."""

from physiokeras.layers.attention import attend
from physiokeras.layers.block import TransformerBlock
from physiokeras.layers.decoder import ModalityDecoder
from physiokeras.layers.embeddings import TokenEmbedding, sin_cos
from physiokeras.layers.modality_dropout import ModalityDropout
from physiokeras.layers.patch_spectrum import PatchSpectrum
from physiokeras.layers.pooling import TokenPooling
from physiokeras.layers.token_mask import TokenMask
from physiokeras.layers.tokenizer import PatchTokenizer

__all__ = [
    "ModalityDecoder",
    "ModalityDropout",
    "PatchSpectrum",
    "PatchTokenizer",
    "TokenEmbedding",
    "TokenMask",
    "TokenPooling",
    "TransformerBlock",
    "attend",
    "sin_cos",
]
