"""Models that train under `tf.distribute`, where each replica takes a part of every batch."""

import keras

from physiokeras.keras_internals import BuiltFromShapes, replicas


class ReplicatedModel(BuiltFromShapes):
    """A `keras.Model` that also trains on this package's streams under a `tf.distribute` strategy."""

    def predict_on_batch(self, x):  # noqa: D102
        made = super().predict_on_batch(x)
        if replicas(self) == 1:
            return made
        # Each replica predicts the whole batch.
        rows = len(keras.tree.flatten(x)[0])
        return keras.tree.map_structure(lambda values: values[:rows], made)
