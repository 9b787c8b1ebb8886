"""Samples of a record to windows of int16: derivation, resampling, filters, scale, quality."""
