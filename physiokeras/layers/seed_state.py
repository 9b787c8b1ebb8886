"""State of random draws in Keras's files."""

import warnings

import keras
import numpy as np


class SameSeed(keras.random.SeedGenerator):
    """A seed from which all draws are the same, those of evaluation.

    It is a variable, and so an argument of a compiled program, which models of other seeds share. Files and checkpoints
    do not hold it: it follows from the layer's configuration.
    """

    def next(self, ordered=True):  # noqa: D102
        return keras.ops.convert_to_tensor(self.state)


class SeedState:
    """Mixin of a layer that draws: `.keras` and `.weights.h5` files hold the state of its seed generator too.

    Keras leaves it out, and a training that goes on from such a file would draw the same once more. The layer has its
    generator as `generator`, or as `seed_generator`, like Keras's own layers.

    Attributes:
        same_seeds: `SameSeed`s of its evaluation, none by default.
    """

    same_seeds: tuple = ()

    def save_own_variables(self, store):  # noqa: D102
        super().save_own_variables(store)
        store["seed"] = keras.ops.convert_to_numpy(self._seed_variable())

    def load_own_variables(self, store):  # noqa: D102
        stored = {name: store[name] for name in store.keys()}  # noqa: SIM118
        seed = stored.pop("seed", None)
        super().load_own_variables(stored)
        if seed is None:
            warnings.warn(f"The file holds no state of draws: {self.name} draws as at the beginning.", stacklevel=2)
            return
        variable = self._seed_variable()
        # Backends store seeds in integers of different kinds, whose bits are meant.
        variable.assign(np.asarray(seed).astype(keras.ops.convert_to_numpy(variable).dtype))

    def _seed_variable(self):
        return (self.generator if hasattr(self, "generator") else self.seed_generator).state


@keras.saving.register_keras_serializable("physiokeras")
class Dropout(SeedState, keras.layers.Dropout):
    """`keras.layers.Dropout` whose seed state is stored."""
