"""A source's batches as `tf.data.Dataset`."""

import weakref

from physiokeras.pipelines.prepared.calls_at_exit import CallsAtExit
from physiokeras.pipelines.prepared.devices import load_tensorflow

tf = load_tensorflow()

_calls = CallsAtExit()


def dataset(chosen, source):
    """`tf.data.Dataset` of a source's batches; of a folder that TensorFlow reads in place, its own.

    Args:
        chosen: `Selection`.
        source: `Source` of it.
    """
    if chosen.in_place:
        from physiokeras.pipelines.prepared.remote_stream import remote_batches

        batches = remote_batches(chosen, source)
    else:
        batches = _batches(source)
    # With autotuning, closing a stream before its end waits for the next run of the tuner. The interval between runs
    # doubles up to a minute, and a call of `fit` would end that much later.
    options = tf.data.Options()
    options.autotune.enabled = False
    steps = tf.data.INFINITE_CARDINALITY if source.seed is not None else len(source)
    return batches.prefetch(4).with_options(options).apply(tf.data.experimental.assert_cardinality(steps))


def _batches(source):
    """A thread of `tf.data` calls the source; TensorFlow takes the arrays as they are, without a copy."""
    structure, size = source.no_windows(), source.batch_size if source.drop_remainder else None
    arrays, used = tf.nest.flatten(structure), weakref.ref(source)

    def read(step):  # TensorFlow keeps this function for ever, which therefore does not keep the source
        def result():
            found = used()
            return arrays if found is None else tf.nest.flatten(found[step])

        return _calls.result(result, otherwise=arrays)

    def batch(step, source=source):  # the dataset keeps this one, and with it the source
        tensors = tf.numpy_function(read, [step], [array.dtype for array in arrays])
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.set_shape((size, *array.shape[1:]))
        return tf.nest.pack_sequence_as(structure, tensors)

    return tf.data.Dataset.range(len(source)).map(batch)
