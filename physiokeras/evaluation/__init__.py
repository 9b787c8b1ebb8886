"""Frozen features, linear probes on them, scores, and intervals over people."""
