"""Training under `tf.distribute`, whose replicas each take a part of every batch."""

import keras

from physiokeras.keras_internals import BuiltFromShapes, replicas


class ReplicatedModel(BuiltFromShapes):
    """A `keras.Model` that trains on our streams under a `tf.distribute` strategy; elsewhere a `keras.Model`."""

    def predict_on_batch(self, x):  # noqa: D102
        made = super().predict_on_batch(x)
        if replicas(self) == 1:
            return made
        # Each replica has predicted the whole batch.
        rows = len(keras.tree.flatten(x)[0])
        return keras.tree.map_structure(lambda values: values[:rows], made)
