"""Search over settings by KerasTuner, and grids of two settings."""
