"""Streams of windows from prepared shards, as `tf.data.Dataset`."""

import contextlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from physiokeras.pipelines.definitions.parts import NUMBER_KINDS
from physiokeras.pipelines.prepared import checking
from physiokeras.pipelines.prepared.devices import leave_gpus_to_backend
from physiokeras.pipelines.prepared.manifest import Manifest
from physiokeras.pipelines.prepared.selection import Selection
from physiokeras.pipelines.prepared.shards import check_lengths
from physiokeras.seeds import derive

leave_gpus_to_backend(tf)

OPEN_SHARDS = 32
"""Number of shards that are read in turn, one window from each."""

READ_AHEAD = 1 << 20
"""Bytes that are read from a shard at a time; for a remote shard this is the size of a request."""

BUFFER = 2048
"""Size of the shuffle buffer in windows."""


def stream(
    folder: str | os.PathLike | Manifest,
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
) -> tf.data.Dataset:
    """Batches of windows from a prepared folder.

    With a `seed` the stream is shuffled and endless. The order of each pass is a pure function of the seed and the
    number of the pass. The last partial batch of a pass is left out, so that each pass has `steps_per_pass` batches.
    Without a `seed` the stream is one pass, ordered as in the manifest and by time within a record, and includes the
    last partial batch.

    Args:
        folder: The prepared folder, or its URL, such as "s3://bucket/folder" (extra `[remote]`): each shard is copied
            to the local cache when it is read first.
        split: "pretrain", "train", "validation", "test", or a list of these.
        batch_size: Windows per batch.
        labels: Names of the definition's labels; "record" and "window" are allowed too.
        modalities: Names; they are streamed in the definition's order. Default: the definition's default modalities.
        records: Names of records, instead of `split`.
        seed: Integer, or None for one pass in order.
        start_step: Number of batches to skip. The stream continues exactly as an uninterrupted one would at that step.
            Skipped windows of the current pass are read, at about 20,000 windows/s.
        host: (number of this host, number of hosts). Each host reads its own share. Shuffled streams have the same
            number of steps on every host; the shares of ordered streams differ by at most one window.
        drop_remainder: Whether to leave out the last partial batch; default: only with a seed.
        verify: Whether to compare the files and sizes of shards with the manifest first.

    Returns: `tf.data.Dataset` of `(inputs,)` or `(inputs, labels)`. Inputs: dict of modality to `(batch, samples,
        channels)` int16, in units of `physiokeras.constants.INT16_SCALE`, and `present` to `(batch, channels)` bool.
        Labels: dict of name to `(batch,)` int32, or float32 for ages.

    Raises:
        DataError: A shard is missing or truncated, a name is unknown, or nothing is selected.
        ValueError: `batch_size`, `start_step` or `host` is out of range.
    """
    chosen = Selection.of(folder, split, records, modalities, labels, host)
    if verify:
        checking.check_sizes(chosen.manifest, chosen.records)
    if start_step < 0:
        raise ValueError(f"`start_step` must be at least 0. Received: start_step={start_step}.")
    drop = seed is not None if drop_remainder is None else drop_remainder
    if seed is None:
        windows, left = _in_order(chosen).skip(start_step * batch_size), chosen.windows - start_step * batch_size
        steps = max(0, left // batch_size if drop else -(-left // batch_size))
    else:
        per_pass = chosen.steps(batch_size)
        first, skipped = divmod(start_step, per_pass)
        windows = _shuffled(chosen, seed, first, per_pass * batch_size, skipped * batch_size)
        steps = tf.data.INFINITE_CARDINALITY
    batches = windows.batch(batch_size, drop_remainder=drop)
    batches = batches.map(_parser(chosen), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # With autotuning, closing a stream before its end waits for the next run of the tuner. The interval between runs
    # doubles up to a minute, and a call of `fit` would end that much later.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(4).with_options(options).apply(tf.data.experimental.assert_cardinality(steps))


def steps_per_pass(
    folder: str | os.PathLike | Manifest,
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
    folder: str | os.PathLike | Manifest,
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
    batches = stream(folder, split, batch_size=256, labels=labels, modalities=modalities, records=records)
    result: dict[str, np.ndarray] = {}
    filled = 0
    with damage_named(folder, split, records):
        for batch in batches.as_numpy_iterator():
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
    folder: str | os.PathLike | Manifest, split: str | Sequence[str] | None = None, records: Sequence[str] | None = None
) -> Iterator[None]:
    """Context manager that turns an error of TensorFlow's reader into a `DataError` with the damaged shard and byte.

    TensorFlow's own message, such as "corrupted record at 0", does not name the file.

    Args:
        folder: The prepared folder that the stream inside the context reads.
        split: As for `stream`.
        records: As for `stream`.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise  # out of memory, for example in training
    except tf.errors.OpError:
        checking.verify(folder, split, records=records)
        raise


def _shuffled(chosen, seed, first_pass, per_pass, skipped):
    """Endless serialized windows, from window `skipped` of pass `first_pass` on."""
    shards = _shards(chosen)
    size = len(chosen.records)
    key = tf.constant([derive(seed, "stream", name) for name in ("high", "low")], tf.int32)

    opened = _opener(chosen)

    def one_shard(file, first, count):
        windows = _windows(file, opened).skip(first).take(count)
        return windows.apply(tf.data.experimental.assert_cardinality(count))

    def one_pass(number):
        # Shuffling also uses TensorFlow's global seed; this sets it inside this function only.
        tf.random.set_seed(1)
        keys = tf.random.split(tf.random.fold_in(key, number), 2)
        order = tf.argsort(tf.random.stateless_uniform([size], keys[0], dtype=tf.float64), stable=True)
        draw = tf.random.stateless_uniform([], keys[1], None, None, tf.int64)
        files = tf.data.Dataset.from_tensor_slices(tuple(tf.gather(values, order) for values in shards))
        serialized = files.interleave(one_shard, cycle_length=min(size, OPEN_SHARDS), block_length=1)
        serialized = serialized.shuffle(BUFFER, seed=draw, reshuffle_each_iteration=False)
        begin = tf.where(tf.equal(number, first_pass), tf.constant(skipped, tf.int64), 0)
        return serialized.skip(begin).take(per_pass - begin)

    return tf.data.Dataset.counter(first_pass).flat_map(one_pass)


def _in_order(chosen):
    """Serialized windows of one pass, record by record, sorted by time."""
    opened = _opener(chosen)

    def one_record(file, first, count, stored):
        def in_time(serialized):
            window = tf.io.parse_example(serialized, {"window": tf.io.FixedLenFeature([], tf.int64)})["window"]
            whole = tf.equal(tf.size(window, tf.int64), stored)
            tf.debugging.Assert(whole, ["shard", file, "has", tf.size(window), "windows; the manifest says", stored])
            return tf.gather(serialized, tf.argsort(window)[first : first + count])

        return _windows(file, opened).batch(stored).map(in_time).unbatch()

    stored = tf.constant([record.windows for record in chosen.records], tf.int64)
    return tf.data.Dataset.from_tensor_slices((*_shards(chosen), stored)).flat_map(one_record)


def _shards(chosen):
    """Path, first window and number of windows of each shard, as tensors."""
    paths = [str(chosen.manifest.shard(record.name)) for record in chosen.records]
    extents = np.array(chosen.extents, np.int64).reshape(-1, 2)
    return tf.constant(paths, tf.string), tf.constant(extents[:, 0]), tf.constant(extents[:, 1])


def _opener(chosen):
    """Function of a shard's path to where it is read; a remote shard is copied when it is opened first."""
    records = {str(chosen.manifest.shard(record.name)): record for record in chosen.records}

    def opened(path):
        place = str(chosen.manifest.opened_shard(records[path.decode()]))
        # In place on a remote file system this would take a request for each window; `verify` reads the whole shard.
        if "://" not in place:
            check_lengths(place)
        return place.encode()

    return opened


def _windows(file, opened):
    """All serialized windows of a shard, whose lengths are checked before TensorFlow trusts them."""
    path = tf.data.Dataset.from_tensors(file).map(lambda path: tf.numpy_function(opened, [path], tf.string))
    return path.flat_map(lambda path: tf.data.TFRecordDataset(tf.ensure_shape(path, []), buffer_size=READ_AHEAD))


def _parser(chosen):
    """Function that parses serialized windows `(batch,)` into a batch for `fit`."""
    manifest, names = chosen.manifest, [record.name for record in chosen.manifest.records]
    features = {f"signals/{name}": tf.io.FixedLenFeature([], tf.string) for name in chosen.modalities}
    features["present"] = tf.io.FixedLenFeature([], tf.string)
    for label in chosen.labels:
        key, kind = _feature(label, manifest.labels)
        features[key] = tf.io.FixedLenFeature([], kind)
    numbers = None
    if "record" in chosen.labels:
        table = tf.lookup.KeyValueTensorInitializer(tf.constant(names), tf.range(len(names)))
        numbers = tf.lookup.StaticHashTable(table, -1)

    def parse(serialized):
        batch = -1 if serialized.shape[0] is None else serialized.shape[0]
        parsed = tf.io.parse_example(serialized, features)
        inputs = {}
        for name in chosen.modalities:
            shape = (batch, manifest.modalities[name]["samples"], len(manifest.modalities[name]["channels"]))
            inputs[name] = tf.reshape(tf.io.decode_raw(parsed[f"signals/{name}"], tf.int16), shape)
        present = tf.gather(tf.io.decode_raw(parsed["present"], tf.uint8), chosen.columns, axis=1)
        inputs["present"] = tf.cast(present, tf.bool)
        if not chosen.labels:
            return (inputs,)
        labels = {label: parsed[_feature(label, manifest.labels)[0]] for label in chosen.labels}
        if numbers:
            labels["record"] = numbers.lookup(labels["record"])
        return inputs, {name: _narrow(values) for name, values in labels.items()}

    return parse


def _feature(label, labels):
    """Key and type of a label in a `tf.train.Example`."""
    if label == "record":
        return label, tf.string
    if label == "window":
        return label, tf.int64
    return f"labels/{label}", tf.float32 if labels[label]["kind"] in NUMBER_KINDS else tf.int64


def _narrow(values):
    return tf.cast(values, tf.int32) if values.dtype == tf.int64 else values
