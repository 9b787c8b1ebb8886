"""Streams of windows from prepared shards, as `tf.data.Dataset` where TensorFlow is installed; batches by number."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.prepared import checking
from physiokeras.pipelines.prepared.devices import has_tensorflow
from physiokeras.pipelines.prepared.manifest import Data
from physiokeras.pipelines.prepared.selection import Selection
from physiokeras.pipelines.prepared.source import Source


def stream(
    folder: Data,
    split: str | Sequence[str] | None = None,
    *,
    batch_size: int,
    labels: Sequence[str] = (),
    modalities: Sequence[str] | None = None,
    records: Sequence[str] | None = None,
    seed: int | None = None,
    start_step: int = 0,
    host: tuple[int, int] = (0, 1),
    drop_remainder: bool | None = None,
    verify: bool = True,
) -> Any:
    """Batches of windows from a prepared folder.

    With a `seed` the stream is shuffled and endless. The order of each pass is a pure function of the seed and the
    number of the pass. The last partial batch of a pass is left out, so that each pass has `steps_per_pass` batches.
    Without a `seed` the stream is one pass, ordered as in the manifest and by time within a record, and includes the
    last partial batch.

    Args:
        folder: The prepared folder, or its URL, such as "s3://bucket/folder" (extra `[remote]`): each shard is copied
            to the local cache when it is read first. Or a list of several folders, whose windows are read as those of
            one (see `Manifest.joined`), or a `Manifest`.
        split: "pretrain", "train", "validation", "test", or a list of these.
        batch_size: Windows per batch.
        labels: Names of the definition's labels; "record" and "window" are allowed too.
        modalities: Names; they are streamed in the definition's order. Default: the definition's default modalities.
        records: Names of records, instead of `split`.
        seed: Integer, or None for one pass in order.
        start_step: Number of batches to skip, which are not read. The stream continues exactly as an uninterrupted one
            would at that step.
        host: (number of this host, number of hosts). Each host reads its own share. Shuffled streams have the same
            number of steps on every host; the shares of ordered streams differ by at most one window.
        drop_remainder: Whether to leave out the last partial batch; default: only with a seed.
        verify: Whether to compare the files and sizes of shards with the manifest first.

    Returns: `tf.data.Dataset`, or without TensorFlow a `keras.utils.PyDataset`, of `(inputs,)` or `(inputs, labels)`.
        Inputs: dict of modality to `(batch, samples, channels)` int16, in units of
        `physiokeras.constants.INT16_SCALE`, and `present` to `(batch, channels)` bool. Labels: dict of name to
        `(batch,)` int32, or float32 for ages.

    Raises:
        DataError: A shard is missing or truncated, a name is unknown, or nothing is selected.
        ValueError: `batch_size`, `start_step` or `host` is out of range.
    """
    chosen = Selection.of(folder, split, records, modalities, labels, host)
    batches = _source(chosen, batch_size, seed, start_step, drop_remainder, verify)
    return batches_of(chosen, batches)


def source(
    folder: Data,
    split: str | Sequence[str] | None = None,
    *,
    batch_size: int,
    labels: Sequence[str] = (),
    modalities: Sequence[str] | None = None,
    records: Sequence[str] | None = None,
    seed: int | None = None,
    start_step: int = 0,
    host: tuple[int, int] = (0, 1),
    drop_remainder: bool | None = None,
    verify: bool = True,
) -> Source:
    """The batches of `stream` by number, as NumPy arrays that are read without TensorFlow.

    A `Source` has a length and an index. Grain, PyTorch and plain loops read from it, in threads and in processes:

    ```python
    batches = source(folder, "train", batch_size=64, seed=0)
    grain.MapDataset.source(batches).to_iter_dataset()
    torch.utils.data.DataLoader(batches, batch_size=None, sampler=range(1000), num_workers=2)
    ```

    Args:
        folder: As for `stream`; a URL needs the extra `[remote]`.
        split: As for `stream`.
        batch_size: As for `stream`.
        labels: As for `stream`.
        modalities: As for `stream`.
        records: As for `stream`.
        seed: As for `stream`. A shuffled source is endless: its length is 2^62.
        start_step: As for `stream`: batch 0 of the source is that of this step.
        host: As for `stream`.
        drop_remainder: As for `stream`.
        verify: As for `stream`.

    Returns: `Source` of `(inputs,)` or `(inputs, labels)`, as `stream` describes them.

    Raises:
        DataError: As for `stream`, or the folder is a URL that only TensorFlow reads.
        ValueError: As for `stream`.
    """
    chosen = Selection.of(folder, split, records, modalities, labels, host)
    if chosen.in_place:
        raise DataError(
            "`source` reads remote folders by fsspec (extra `[remote]`); `stream` reads this one by TensorFlow.",
            file=folder,
        )
    return _source(chosen, batch_size, seed, start_step, drop_remainder, verify)


def steps_per_pass(
    folder: Data,
    split: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    *,
    records: Sequence[str] | None = None,
    host: tuple[int, int] = (0, 1),
) -> int:
    """Number of batches in one pass of a shuffled stream.

    Args:
        folder: As for `stream`.
        split: As for `stream`.
        batch_size: Windows per batch.
        records: As for `stream`.
        host: As for `stream`.

    Returns: number of batches; the same for every host.

    Raises:
        DataError: Nothing is selected, or there are fewer windows than one batch.
    """
    return Selection.of(folder, split, records, None, (), host).steps(batch_size)


def windows(
    folder: Data,
    split: str | Sequence[str] | None = None,
    *,
    labels: Sequence[str] = (),
    modalities: Sequence[str] | None = None,
    records: Sequence[str] | None = None,
    limit: int | None = None,
) -> dict[str, np.ndarray]:
    """Windows as NumPy arrays, in the order of the unshuffled stream.

    Args:
        folder: As for `stream`.
        split: As for `stream`.
        labels: As for `stream`.
        modalities: As for `stream`.
        records: As for `stream`.
        limit: Greatest number of windows; None for all.

    Returns: dict of modality to `(windows, samples, channels)` int16, `present` to `(windows, channels)` bool, and each
        label to `(windows,)`.

    Raises:
        DataError: As for `stream`, or a shard is damaged; the message gives its name and the byte.
    """
    chosen = Selection.of(folder, split, records, modalities, labels, (0, 1))
    count = min(chosen.windows, limit or chosen.windows)
    chosen_by = {"labels": labels, "modalities": modalities, "records": records}
    read: Any = stream if chosen.in_place else source
    batches = read(chosen.manifest, split, batch_size=256, **chosen_by)
    if chosen.in_place:
        batches = batches.as_numpy_iterator()
    result: dict[str, np.ndarray] = {}
    filled = 0
    with damage_named(chosen.manifest, split, records):
        for batch in batches:
            arrays = {**batch[0], **(batch[1] if labels else {})}
            for name, values in arrays.items():
                if name not in result:
                    result[name] = np.empty((count, *values.shape[1:]), values.dtype)
                result[name][filled : filled + len(values)] = values[: count - filled]
            filled += len(values)
            if filled >= count:
                break
    return result


@contextlib.contextmanager
def damage_named(
    folder: Data, split: str | Sequence[str] | None = None, records: Sequence[str] | None = None
) -> Iterator[None]:
    """Context manager that turns an error of TensorFlow's reader into a `DataError` with the damaged shard and byte.

    TensorFlow's own message, such as "corrupted record at 0", does not name the file. A damaged local copy of a remote
    shard is named as such, and removed.

    Args:
        folder: The prepared folder that the stream inside the context reads.
        split: As for `stream`.
        records: As for `stream`.
    """
    try:
        yield
    except DataError:
        checking.check_copies(folder, split, records=records)
        raise
    except Exception as error:
        errors = sys.modules["tensorflow"].errors if sys.modules.get("tensorflow") else None
        # Not out of memory, for example in training.
        if errors and isinstance(error, errors.OpError) and not isinstance(error, errors.ResourceExhaustedError):
            checking.verify(folder, split, records=records)
        raise


def batches_of(chosen, source, by_numpy=True):
    """The batches of a `Source` as `stream` gives them; without `by_numpy` TensorFlow does not pass them on."""
    if by_numpy and has_tensorflow():
        from physiokeras.pipelines.prepared.tf_dataset import dataset

        return dataset(chosen, source)
    from physiokeras.pipelines.prepared.batches import Batches

    return Batches(source, None if source.seed is not None else len(source))


def _source(chosen, batch_size, seed, start_step, drop_remainder, verify):
    if verify:
        checking.check_sizes(chosen.manifest, chosen.records)
    if start_step < 0:
        raise ValueError(f"`start_step` must be at least 0. Received: start_step={start_step}.")
    return Source(chosen, batch_size, seed, start_step, seed is not None if drop_remainder is None else drop_remainder)
