"""Evaluation and explanation of models, and their figures."""
