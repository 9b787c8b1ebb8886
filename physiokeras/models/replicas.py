"""Training under `tf.distribute`, whose replicas each take a part of every batch."""

import keras


class ReplicatedModel(keras.Model):
    """A `keras.Model` that trains on our streams under a `tf.distribute` strategy; elsewhere a `keras.Model`."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras would take the first batch of the data away, and average it over replicas, which no boolean allows.
        # To build what is not built, shapes are enough.
        if iterator is not None and self._distribute_strategy is not None:
            iterator, data_batch = None, iterator.data_adapter.get_tf_dataset().element_spec
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def predict_on_batch(self, x):  # noqa: D102
        made = super().predict_on_batch(x)
        if replicas(self) == 1:
            return made
        # Each replica has predicted the whole batch.
        rows = len(keras.tree.flatten(x)[0])
        return keras.tree.map_structure(lambda values: values[:rows], made)


def replicas(model):
    """Number of replicas that train a model."""
    strategy = getattr(model, "_distribute_strategy", None)
    return 1 if strategy is None else strategy.num_replicas_in_sync
