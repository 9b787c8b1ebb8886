"""The definition of a data set: one TOML file, its parts, and where each channel comes from."""
