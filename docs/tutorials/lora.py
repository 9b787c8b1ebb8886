# %% [markdown]
# # Fine-tuning with LoRA
#
# LoRA trains small low-rank updates of the encoder's dense layers instead of all weights. Keras brings it:
# `enable_lora` on each dense layer. The saved model holds the merged weights.

# %%
import math
import os

os.environ["KERAS_BACKEND"] = "jax"
import tempfile

import keras
import numpy as np

from physiokeras.models import Encoder, LinearProbe, load, save
from physiokeras.pipelines import convert, simulate, stream, windows

folder = tempfile.mkdtemp()
recordings = simulate(f"{folder}/recordings", 12, 0, hours=0.2, seed=0, progress=False)
data = convert(recordings, "simulated", f"{folder}/prepared", progress=None)
encoder = Encoder.for_data(data, width=32, depth=2, heads=4, view="spectrum", spans=(1,))
encoder.adapt(windows(data, "train"))
whole = encoder.count_params()

# %% [markdown]
# ## Low-rank updates
#
# Each block of the encoder holds four dense layers: queries, keys and values; the mix of the heads; up; down.

# %%
for block in encoder.blocks:
    for layer in (block.query_key_value, block.mix, block.up, block.down):
        layer.enable_lora(rank=4)
model = LinearProbe(encoder, {"stage": 5}, frozen=False)
loss = {"stage": keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)}
model.compile(keras.optimizers.Adam(3e-3), loss)
trained = sum(math.prod(weight.shape) for block in encoder.blocks for weight in block.trainable_weights)
print(f"{whole} weights of the encoder, {trained} of its blocks train")
batches = stream(data, "train", batch_size=32, labels=["stage"], seed=0)
history = model.fit(batches, steps_per_epoch=10, epochs=5, verbose=2)

# %% [markdown]
# ## Saved without LoRA
#
# The updates are merged into the kernels, so that whoever loads the model needs to know nothing of LoRA.

# %%
save(model, f"{folder}/model")
again = load(f"{folder}/model")
test = windows(data, "test", limit=64)
difference = np.abs(np.array(again(test)["stage"]) - np.array(model(test)["stage"])).max()
print(f"largest difference of the loaded model's logits: {difference:.1e}")
