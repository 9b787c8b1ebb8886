# %% [markdown]
# # What a model has learned
#
# Two questions to a pretrained encoder: how much of a dropped modality it predicts from the others, and which
# modalities its attention reads. The cohort is simulated and the training is short.

# %%
import os

os.environ["KERAS_BACKEND"] = "jax"
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np

from physiokeras.analysis import rollout
from physiokeras.layers import ModalityDropout
from physiokeras.models import Encoder, MaskedAutoencoder
from physiokeras.pipelines import convert, simulate, stream, windows

folder = tempfile.mkdtemp()
recordings = simulate(f"{folder}/recordings", 16, 4, hours=0.2, seed=0, progress=False)
data = convert(recordings, "simulated", f"{folder}/prepared", progress=None)
encoder = Encoder.for_data(data, width=32, depth=2, heads=4, view="spectrum", spans=(1,))
model = MaskedAutoencoder(
    encoder, modality_dropout=ModalityDropout(), targets="spectrum", decoder_width=32, decoder_depth=1
)
model.adapt(windows(data, ["pretrain", "train"]))
model.compile(keras.optimizers.AdamW(3e-3))
batches = stream(data, ["pretrain", "train"], batch_size=16, seed=0)
history = model.fit(batches, steps_per_epoch=25, epochs=12, verbose=2)

# %% [markdown]
# ## Dropped modalities, predicted
#
# Explained variance of the log band powers of test people: 1 is perfect, 0 is no better than the mean.

# %%
test = windows(data, "test")
for name in encoder.modalities:
    out = model.reconstruct(test, drop=[name])
    true, predicted = out["true_spectra"][name], out["spectra"][name]
    print(f"{name}: {1 - np.square(true - predicted).mean() / np.var(true, axis=(0, 1)).mean():+.2f}")

# %% [markdown]
# ## Attention rollout
#
# Attention of all blocks, multiplied, with half of each step for the residual connection: how much each token's
# output depends on each input token. Averaged over windows and over time it is a table of modalities.

# %%
attention = encoder({name: values[:32] for name, values in test.items()}, return_attention=True)["attention"]
layers = np.stack([np.array(block).mean(axis=1) for block in attention], axis=1)  # mean over heads
maps = rollout(layers)
names, time = list(encoder.modalities), encoder.time
table = maps.mean(axis=0).reshape(len(names), time, len(names), time).sum(axis=3).mean(axis=1)
plt.imshow(table, cmap="viridis", vmin=0)
plt.xticks(range(len(names)), names)
plt.yticks(range(len(names)), names)
plt.xlabel("is read")
plt.ylabel("reads")
plt.colorbar(label="share of attention")
plt.show()
