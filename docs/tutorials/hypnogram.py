# %% [markdown]
# # From a recording of MNE to a hypnogram
#
# A run of `pretrain` holds an encoder, its probes and the definition of its data. `physiokeras.load` reads it, and
# `predict` takes a recording: a path, arrays, a stream, or an `mne.io.Raw`. The night is simulated, and so is the
# training: numbers say nothing about people.

# %%
import os

os.environ["KERAS_BACKEND"] = "jax"
import tempfile

import matplotlib.pyplot as plt
import mne
import numpy as np
import wfdb

import physiokeras
from physiokeras.pipelines import simulate
from physiokeras.recipes import pretrain
from physiokeras.scoring import sleep_statistics, to_mne

folder = tempfile.mkdtemp()
small = "--people 12 --unlabelled 2 --hours 0.3 --steps 60 --interval 30 --width 32 --depth 2 --workers 1"
status = pretrain.main([*small.split(), "--backend", "jax", "--out", f"{folder}/run"])

# %% [markdown]
# ## A recording of another sleeper
#
# MNE keeps volts. The names of the channels are those of the definition, or an alias of them.

# %%
night = next(simulate(f"{folder}/night", 1, 0, hours=0.5, seed=99, progress=False).rglob("*.hea"))
record = wfdb.rdrecord(str(night.with_suffix("")))
wanted = [i for i, unit in enumerate(record.units) if unit in ("uV", "mV")]
to_volts = np.array([{"uV": 1e-6, "mV": 1e-3}[record.units[i]] for i in wanted])
info = mne.create_info([record.sig_name[i] for i in wanted], record.fs, "eeg")
raw = mne.io.RawArray((record.p_signal[:, wanted] * to_volts).T, info, verbose=False)

# %% [markdown]
# ## Predict

# %%
model = physiokeras.load(f"{folder}/run")
prediction = model.predict(raw, task="stage")
raw.set_annotations(to_mne(prediction))
statistics = sleep_statistics(prediction.values, prediction.classes)
print({name: round(value, 1) for name, value in statistics.items()})

# %%
figure, (top, bottom) = plt.subplots(2, sharex=True, figsize=(8, 3.5), constrained_layout=True)
minutes = prediction.starts / 60
top.stackplot(minutes, prediction.probabilities.T, labels=prediction.classes)
top.set_ylabel("probability")
top.legend(loc="center left", bbox_to_anchor=(1, 0.5))
bottom.step(minutes, prediction.values, where="post", color="black")
bottom.set(yticks=range(len(prediction.classes)), yticklabels=prediction.classes, xlabel="minutes")
plt.show()
