"""Simulated polysomnograms: one simulated physiology drives all modalities."""
