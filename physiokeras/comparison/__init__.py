"""Strategies, seeds and folds, compared in one table."""
