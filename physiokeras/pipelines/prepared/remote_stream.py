"""Windows of a remote folder, read by TensorFlow's file systems from beginning to end, in the order of every stream."""

import numpy as np
import tensorflow as tf

from physiokeras.pipelines.definitions.parts import NUMBER_KINDS
from physiokeras.pipelines.prepared.window_order import BUFFER, OPEN_SHARDS
from physiokeras.seeds import derive

READ_AHEAD = 1 << 20
"""Bytes of a shard that one request reads."""


def remote_batches(chosen, source):
    """`tf.data.Dataset` with the batches that a `Source` would read if the folder were local."""
    batch_size, seed, start_step = source.batch_size, source.seed, source.start_step
    if seed is None:
        windows = _in_order(chosen).skip(start_step * batch_size)
    else:
        per_pass = chosen.steps(batch_size)
        first, skipped = divmod(start_step, per_pass)
        windows = _shuffled(chosen, seed, first, per_pass * batch_size, skipped * batch_size)
    batches = windows.batch(batch_size, drop_remainder=source.drop_remainder)
    return batches.map(_parser(chosen), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _shuffled(chosen, seed, first_pass, per_pass, skipped):
    """Endless serialized windows, from window `skipped` of pass `first_pass` on."""
    shards = _shards(chosen)
    size = len(chosen.records)
    key = tf.constant([derive(seed, "stream", name) for name in ("high", "low")], tf.int32)

    def one_pass(number):
        # Shuffling also uses TensorFlow's global seed; this sets it inside this function only.
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
    """All serialized windows of a shard."""
    return tf.data.TFRecordDataset(tf.ensure_shape(file, []), buffer_size=READ_AHEAD)


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
