# %% [markdown]
# # First pretraining
#
# A small cohort is simulated and converted to shards. A masked autoencoder is pretrained on it while one modality at
# a time is dropped from the input, and a linear probe measures what it knows about sleep stages. Everything is
# simulated: the numbers say nothing about people.

# %%
import os

os.environ["KERAS_BACKEND"] = "jax"  # or "tensorflow", "torch"
import tempfile

import keras

from physiokeras.evaluation import features_of, probe_task, tasks_of
from physiokeras.layers import ModalityDropout
from physiokeras.models import Encoder, FeatureExtractor, MaskedAutoencoder
from physiokeras.pipelines import convert, simulate, stream, windows

folder = tempfile.mkdtemp()
recordings = simulate(f"{folder}/recordings", 16, 4, hours=0.2, seed=0, progress=False)
data = convert(recordings, "simulated", f"{folder}/prepared", progress=None)
{split: sum(record.windows for record in data.select(split)) for split in data.splits}

# %% [markdown]
# ## The network
#
# `for_data` takes the shapes from the data. The encoder reads the log band powers of each patch (`view="spectrum"`),
# without those of longer spans around it (`spans=(1,)`); `adapt` computes their mean and spread on the windows of
# pretraining alone.

# %%
encoder = Encoder.for_data(data, width=32, depth=2, heads=4, view="spectrum", spans=(1,))
model = MaskedAutoencoder(
    encoder,
    modality_dropout=ModalityDropout(rate=1.0),
    targets="spectrum",
    decoder_width=32,
    decoder_depth=1,
)
model.adapt(windows(data, ["pretrain", "train"]))
model.compile(keras.optimizers.AdamW(3e-3))
batches = stream(data, ["pretrain", "train"], batch_size=16, seed=0)
history = model.fit(batches, steps_per_epoch=20, epochs=5, verbose=2)

# %% [markdown]
# ## The probe
#
# The encoder is frozen. A logistic regression reads its features and is scored on people whom neither has seen. The
# same with untrained weights shows what pretraining adds: after so few steps on so few people, little.

# %%
stage = tasks_of(data.labels)["stage"]
for name, network in {"pretrained": encoder, "untrained": encoder.untrained()}.items():
    features = features_of(FeatureExtractor(network), data)
    result = probe_task(stage, features["train"], features.get("validation"), features["test"], draws=200)
    interval = result.intervals.get("balanced_accuracy")
    print(f"{name}: balanced accuracy {result.windows['balanced_accuracy']:.2f}, interval over people {interval}")
