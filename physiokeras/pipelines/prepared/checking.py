"""Compares shards with the manifest: TFRecord by itself does not notice a shard that is cut between two records."""

from collections.abc import Sequence
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import sha256
from physiokeras.pipelines.prepared import cache
from physiokeras.pipelines.prepared.manifest import Data, Manifest
from physiokeras.pipelines.prepared.remote import Remote, local
from physiokeras.pipelines.prepared.shards import read_shard

_AGAIN = "Run the conversion again: it makes anew what is missing or differs."


def check_sizes(manifest, records):
    """Check that each record's shard is there with its size; opens none.

    Raises:
        DataError: Names the shard.
    """
    for part, own in manifest.by_folder(records):
        _check_sizes(part, own)


def _check_sizes(manifest, records):
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
    folder: Data,
    split: str | Sequence[str] | None = None,
    *,
    records: Sequence[str] | None = None,
) -> int:
    """Read the shards of a prepared folder whole and compare size, every CRC, number of windows and SHA-256.

    Args:
        folder: The prepared folder, a list of several, or a `Manifest`.
        split: A split's name or a list of them; default: everything.
        records: Names of records, instead of `split`.

    Returns: number of windows checked.

    Raises:
        DataError: Names the first bad shard and, where one byte is at fault, its record's place.
    """
    manifest = Manifest.of(folder)
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
    check_copies(manifest, split, records=records)
    return sum(record.windows for record in chosen)


def check_copies(folder, split=None, *, records=None):
    """Compare the local copies of remote shards with the manifest, and remove those that differ.

    Args:
        folder: As for `verify`.
        split: As for `verify`.
        records: As for `verify`.

    Raises:
        DataError: A copy was damaged; the message names its shard.
    """
    manifest = Manifest.of(folder)
    for part, own in manifest.by_folder(manifest.select(split, records)):
        damaged = [one for one in own if isinstance(part.folder, Remote) and cache.drop_damaged(one.sha256)]
        if damaged:
            message = "its copy in the cache was damaged, and is removed: repeat the command."
            raise DataError(message, file=part.shard(damaged[0].name))
