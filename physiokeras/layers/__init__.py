"""Keras layers: tokenizer, embeddings, transformer, masking, modality dropout, decoder."""
