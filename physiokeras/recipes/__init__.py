"""Commands: one module each, run with `physiokeras NAME`."""
