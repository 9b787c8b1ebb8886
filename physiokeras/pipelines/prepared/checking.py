"""Compares shards with the manifest: TFRecord by itself does not notice a shard that is cut between two records."""

import os
from collections.abc import Sequence
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import sha256
from physiokeras.pipelines.prepared import cache
from physiokeras.pipelines.prepared.manifest import Manifest
from physiokeras.pipelines.prepared.remote import local
from physiokeras.pipelines.prepared.shards import read_shard

_AGAIN = "Run the conversion again: it makes anew what is missing or differs."


def check_sizes(manifest, records):
    """Check that each record's shard is there with its size; opens none.

    Raises:
        DataError: Names the shard.
    """
    folder = manifest.folder / "records"
    known = None if isinstance(folder, Path) else folder.sizes()
    for record in records:
        path = manifest.shard(record.name)
        if known is None:
            size = path.stat().st_size if path.is_file() else None
        else:
            size = known.get(f"{record.name}.tfrecord")
        if size is None:
            raise DataError(f"the shard is missing. {_AGAIN}", file=path)
        if size != record.bytes:
            raise DataError(f"the shard has {size} bytes, the manifest says {record.bytes}. {_AGAIN}", file=path)


def verify(
    folder: str | os.PathLike | Manifest,
    split: str | Sequence[str] | None = None,
    *,
    records: Sequence[str] | None = None,
) -> int:
    """Read the shards of a prepared folder whole and compare size, every CRC, number of windows and SHA-256.

    Args:
        folder: The prepared folder.
        split: A split's name or a list of them; default: everything.
        records: Names of records, instead of `split`.

    Returns: number of windows checked.

    Raises:
        DataError: Names the first bad shard and, where one byte is at fault, its record's place.
    """
    manifest = Manifest.read(folder)
    chosen = manifest.select(split, records)
    check_sizes(manifest, chosen)
    for record in chosen:
        path = manifest.shard(record.name)
        with local(path) as file:
            windows = sum(1 for _ in read_shard(file))
            digest = sha256(file)
        if windows != record.windows or digest != record.sha256:
            raise DataError(
                f"the shard holds {windows} windows with SHA-256 {digest[:12]}…, the manifest says "
                f"{record.windows} and {record.sha256[:12]}…. {_AGAIN}",
                file=path,
            )
        if cache.drop_damaged(record.sha256):
            raise DataError("its copy in the cache was damaged, and is removed: repeat the command.", file=path)
    return sum(record.windows for record in chosen)
