"""From frozen features to probes, scores and intervals."""
