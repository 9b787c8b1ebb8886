"""Conversion of a data set: its records, one shard each, by many processes or on a cluster."""
