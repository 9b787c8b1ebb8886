"""Prepared folders: shards and their manifest, checked, and the streams that read them."""
