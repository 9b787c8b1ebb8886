"""Comparison of strategies over seeds and folds: cells, one table of scores, a page."""
