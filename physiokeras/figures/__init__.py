"""Figures, one module for each kind; each takes arrays and returns a `matplotlib.figure.Figure`."""
