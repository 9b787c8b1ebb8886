"""Data: definition (TOML) to WFDB record to windows to TFRecord shards to tf.data."""
