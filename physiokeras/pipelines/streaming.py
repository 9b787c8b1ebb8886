"""Prepared shards to `tf.data`."""

import contextlib

import numpy as np
import tensorflow as tf

from physiokeras.pipelines import checking
from physiokeras.pipelines.devices import leave_gpus_to_backend
from physiokeras.pipelines.parts import NUMBER_KINDS
from physiokeras.pipelines.selection import Selection
from physiokeras.pipelines.shards import check_lengths
from physiokeras.seeds import derive

leave_gpus_to_backend(tf)

OPEN_SHARDS = 32
"""Shards that are read in turn, one window from each."""

READ_AHEAD = 1 << 20
"""Bytes of a shard that are read at a time: a request each, where shards are remote."""

BUFFER = 2048
"""Windows among which the next one is drawn."""


def stream(
    folder,
    split=None,
    *,
    batch_size,
    labels=(),
    modalities=None,
    records=None,
    seed=None,
    start_step=0,
    host=(0, 1),
    drop_remainder=None,
    verify=True,
):
    """Batches of windows from a prepared folder.

    With a `seed` the stream is shuffled and endless: pass after pass over the windows, each in another order that is a
    pure function of seed and pass; the last partial batch of a pass is left out, so that every pass has
    `steps_per_pass` batches. Without one it is one pass in the manifest's order, and in the order of time inside a
    record, the last partial batch included.

    Args:
        folder: What `convert` made; with the extra `[io]` also a URL, such as "s3://bucket/folder".
        split: "pretrain", "train", "validation", "test", or a list of these.
        batch_size: Windows per batch.
        labels: Names of the definition's labels; "record" and "window" may be among them.
        modalities: Names, a subset in the definition's order; default: those that the definition marks as default.
        records: Names of records, instead of `split`.
        seed: Integer, or None for one pass in order.
        start_step: Batches to leave out: the stream continues exactly as an uninterrupted one would at that step. It
            reads what it leaves out of its pass, at about 20,000 windows/s.
        host: (this one's number, how many): each host reads its own share. All do the same number of steps where the
            stream is shuffled; in order, shares differ by at most one window.
        drop_remainder: Leave out the last partial batch; default: only where there is a seed.
        verify: Compare the shards' presence and sizes with the manifest first.

    Returns: `tf.data.Dataset` of `(inputs,)` or `(inputs, labels)`. Inputs: dict of modality to `(batch, samples,
        channels)` int16, in units of `physiokeras.constants.INT16_SCALE`, and `present` to `(batch, channels)` bool.
        Labels: dict of name to `(batch,)` int32, or float32 for ages.

    Raises:
        DataError: A missing or cut shard; an unknown name; nothing selected.
        ValueError: Arguments that contradict each other.
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
    # Tuned by itself, a stream that is left before its end may wait for the tuner's next look, which comes after as
    # long again as it has run, up to a minute: a call of `fit` would end that much later.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(4).with_options(options).apply(tf.data.experimental.assert_cardinality(steps))


def steps_per_pass(folder, split=None, batch_size=None, *, records=None, host=(0, 1)):
    """Batches in one pass of a shuffled stream.

    Raises:
        DataError: Nothing selected, or fewer windows than one batch.
    """
    return Selection.of(folder, split, records, None, (), host).steps(batch_size)


def windows(folder, split=None, *, labels=(), modalities=None, records=None, limit=None):
    """A split's windows as NumPy arrays, in the order of the unshuffled stream.

    Args:
        folder: What `convert` made.
        split: As for `stream`.
        labels: As for `stream`.
        modalities: As for `stream`.
        records: As for `stream`.
        limit: Most windows; None for all of them.

    Returns: dict of modality to `(windows, samples, channels)` int16, `present` to `(windows, channels)` bool, and each
        label to `(windows,)`.

    Raises:
        DataError: As for `stream`, and a damaged shard, by name and byte.
    """
    chosen = Selection.of(folder, split, records, modalities, labels, (0, 1))
    count = min(chosen.windows, limit or chosen.windows)
    batches = stream(folder, split, batch_size=256, labels=labels, modalities=modalities, records=records)
    result, filled = {}, 0
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
def damage_named(folder, split=None, records=None):
    """Inside it, an error of TensorFlow's reader becomes a `DataError` that names the damaged shard and byte.

    A stream runs inside TensorFlow, whose own message says "corrupted record at 0" without the file.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise  # a training's memory, say
    except tf.errors.OpError:
        checking.verify(folder, split, records=records)
        raise


def _shuffled(chosen, seed, first_pass, per_pass, skipped):
    """Serialized windows, pass after pass without end, from window `skipped` of pass `first_pass` on."""
    shards = _shards(chosen)
    size = len(chosen.records)
    key = tf.constant([derive(seed, "stream", name) for name in ("high", "low")], tf.int32)

    def one_pass(number):
        # Shuffling mixes TensorFlow's global seed in; this sets it for this function alone.
        tf.random.set_seed(1)
        keys = tf.random.split(tf.random.fold_in(key, number), 2)
        order = tf.argsort(tf.random.stateless_uniform([size], keys[0], dtype=tf.float64), stable=True)
        draw = tf.random.stateless_uniform([], keys[1], None, None, tf.int64)
        files = tf.data.Dataset.from_tensor_slices(tuple(tf.gather(values, order) for values in shards))
        serialized = files.interleave(_shard, cycle_length=min(size, OPEN_SHARDS), block_length=1)
        serialized = serialized.shuffle(BUFFER, seed=draw, reshuffle_each_iteration=False)
        begin = tf.where(tf.equal(number, first_pass), tf.constant(skipped, tf.int64), 0)
        return serialized.skip(begin).take(per_pass - begin)

    return tf.data.Dataset.counter(first_pass).flat_map(one_pass)


def _in_order(chosen):
    """Serialized windows of one pass, record by record, sorted by time."""

    def one_record(file, first, count, stored):
        def in_time(serialized):
            window = tf.io.parse_example(serialized, {"window": tf.io.FixedLenFeature([], tf.int64)})["window"]
            whole = tf.equal(tf.size(window, tf.int64), stored)
            tf.debugging.Assert(whole, ["shard", file, "has", tf.size(window), "windows; the manifest says", stored])
            return tf.gather(serialized, tf.argsort(window)[first : first + count])

        return _windows(file).batch(stored).map(in_time).unbatch()

    stored = tf.constant([record.windows for record in chosen.records], tf.int64)
    return tf.data.Dataset.from_tensor_slices((*_shards(chosen), stored)).flat_map(one_record)


def _shards(chosen):
    """Path, first window and number of windows of each shard, as tensors."""
    paths = [str(chosen.manifest.shard(record.name)) for record in chosen.records]
    extents = np.array(chosen.extents, np.int64).reshape(-1, 2)
    return tf.constant(paths, tf.string), tf.constant(extents[:, 0]), tf.constant(extents[:, 1])


def _shard(file, first, count):
    windows = _windows(file).skip(first).take(count)
    return windows.apply(tf.data.experimental.assert_cardinality(count))


def _windows(file):
    """All serialized windows of a shard, whose lengths are checked before TensorFlow trusts them."""

    def checked(path):
        # Remotely this would be a request for every window; `verify` reads the shard whole.
        if b"://" not in path:
            check_lengths(path.decode())
        return path

    path = tf.data.Dataset.from_tensors(file).map(lambda path: tf.numpy_function(checked, [path], tf.string))
    return path.flat_map(lambda path: tf.data.TFRecordDataset(tf.ensure_shape(path, []), buffer_size=READ_AHEAD))


def _parser(chosen):
    """A function from `(batch,)` serialized windows to a batch as `fit` takes it."""
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
    """Key and type under which a label stands in an example."""
    if label == "record":
        return label, tf.string
    if label == "window":
        return label, tf.int64
    return f"labels/{label}", tf.float32 if labels[label]["kind"] in NUMBER_KINDS else tf.int64


def _narrow(values):
    return tf.cast(values, tf.int32) if values.dtype == tf.int64 else values
