"""Keras models: encoder, masked autoencoder, probe."""
