"""Simulated polysomnograms: one invented physiology drives all modalities."""
