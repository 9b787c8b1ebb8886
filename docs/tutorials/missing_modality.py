# %% [markdown]
# # A missing modality
#
# A recording often lacks a modality: an electrode fell off, or the device has no such sensor. `present` says which
# channels a window has. Absent channels have no influence, whatever the arrays hold there.

# %%
import os

os.environ["KERAS_BACKEND"] = "jax"
import tempfile

import numpy as np

from physiokeras.evaluation import features_of, probe_task, tasks_of
from physiokeras.models import Encoder, FeatureExtractor
from physiokeras.pipelines import convert, simulate, windows

folder = tempfile.mkdtemp()
recordings = simulate(f"{folder}/recordings", 16, 0, hours=0.2, seed=0, progress=False)
data = convert(recordings, "simulated", f"{folder}/prepared", progress=None)
encoder = Encoder.for_data(data, width=32, depth=2, heads=4, view="spectrum", spans=(1,))
encoder.adapt(windows(data, "train"))

# %% [markdown]
# ## Absent means without influence

# %%
batch = windows(data, "test", limit=8)
batch["present"] = batch["present"].copy()
batch["present"][:, encoder.layout.columns["emg"]] = False
first = np.array(encoder(batch))
batch["emg"] = np.random.default_rng(0).integers(-9000, 9000, batch["emg"].shape).astype("int16")
print("largest difference:", np.abs(np.array(encoder(batch)) - first).max())

# %% [markdown]
# ## A smaller encoder with the same weights
#
# `restricted` gives an encoder of some of the modalities. A probe that is fitted on its features knows that the
# others are missing. Where a probe was fitted on all modalities already, `extract` and the other commands map the
# features instead: see [Concepts](../concepts.md).

# %%
stage = tasks_of(data.labels)["stage"]
for names in (list(encoder.modalities), ["eeg"], ["ecg"]):
    features = features_of(FeatureExtractor(encoder.restricted(names)), data)
    result = probe_task(stage, features["train"], features.get("validation"), features["test"], draws=0)
    print(f"{' + '.join(names)}: balanced accuracy {result.windows['balanced_accuracy']:.2f} (untrained weights)")
