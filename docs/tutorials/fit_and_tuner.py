# %% [markdown]
# # Training on arrays, and KerasTuner
#
# No files are needed: every model takes dicts of NumPy arrays. Here the signals are noise with a shared loudness, so
# that a modality's power is predictable from the other's, and its samples are not.

# %%
import os

os.environ["KERAS_BACKEND"] = "jax"
import tempfile

import keras
import keras_tuner
import numpy as np

from physiokeras.layers import ModalityDropout
from physiokeras.models import Encoder, MaskedAutoencoder

draw = np.random.default_rng(0)
loudness = np.exp(draw.normal(size=(256, 30)))


def noise(rate, channels):
    """Windows of 30 s whose loudness changes each second."""
    values = draw.normal(size=(256, 30, rate, channels)) * loudness[:, :, None, None]
    return values.reshape(256, 30 * rate, channels).astype("float32")


pulse, motion = noise(64, 1), noise(32, 3)
inputs = {"pulse": pulse, "motion": motion}

# %% [markdown]
# A KerasTuner search over the rate of modality dropout. Its objective here is the validation loss on windows whose
# motion is dropped; in earnest choose by the score of a probe on validation people.


# %%
class Pretraining(keras_tuner.HyperModel):
    """A masked autoencoder whose dropout rate is searched."""

    def build(self, hp):
        """The compiled model."""
        rate = hp.Choice("drop_rate", [0.0, 0.5, 1.0])
        encoder = Encoder.for_data(inputs, time=30, width=16, depth=1, heads=2, view="spectrum", spans=(1,))
        drop = ModalityDropout(rate)
        model = MaskedAutoencoder(encoder, modality_dropout=drop, targets="spectrum", decoder_width=16, decoder_depth=1)
        model.adapt(inputs)
        model.compile(keras.optimizers.AdamW(1e-2))
        return model

    def fit(self, hp, model, *_, **options):
        """Train; return the variance of pulse that is not explained where it is dropped."""
        model.fit({name: values[:192] for name, values in inputs.items()}, batch_size=32, epochs=30, verbose=0)
        held_out = {name: values[192:] for name, values in inputs.items()}
        out = model.reconstruct(held_out, drop=["pulse"])
        error = np.square(out["spectra"]["pulse"] - out["true_spectra"]["pulse"]).mean()
        return float(error / np.var(out["true_spectra"]["pulse"]))


tuner = keras_tuner.GridSearch(Pretraining(), directory=tempfile.mkdtemp())
tuner.search(verbose=0)
for trial in tuner.oracle.get_best_trials(3):
    print(trial.hyperparameters.values, f"unexplained variance of a dropped pulse: {trial.score:.2f}")
