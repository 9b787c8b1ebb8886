"""Commands: one module each, run with `python -m physiokeras.recipes.NAME`."""
