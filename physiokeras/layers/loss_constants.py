"""Numbers that differ between models which share a compiled program."""

import keras
import numpy as np


@keras.saving.register_keras_serializable("physiokeras")
class Constants(keras.layers.Layer):
    """Numbers of a loss that follow from the training data, such as variances.

    A compiled program takes them as arguments, so that models that differ in them alone share it. They are no weights:
    files and checkpoints do not hold them, whoever builds the model gives them.

    Args:
        values: The numbers, an array or list.

    Attributes:
        values: Untrained variable, float32.
    """

    def __init__(self, values, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "autocast": False, "trainable": False})
        self.values = keras.Variable(
            np.asarray(values, "float32"), dtype="float32", trainable=False, autocast=False, name=self.name
        )
        self.built = True

    @property
    def weights(self):
        """Empty: a model's weights are what its files hold."""
        return []

    def save_own_variables(self, store):  # noqa: D102
        pass

    def load_own_variables(self, store):  # noqa: D102
        pass

    def get_config(self):  # noqa: D102
        return {**super().get_config(), "values": keras.ops.convert_to_numpy(self.values).tolist()}
