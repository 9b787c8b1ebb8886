# %% [markdown]
# # My own recordings, from arrays
#
# Recordings that a script holds as arrays need no files. `from_arrays` makes a recording of them, a definition says
# what becomes of its channels, and `convert` checks and writes it like a recording from files. The signals here are
# invented.
#
# A label of the kind `class` or `number` is one value a recording (`labels=`), `age` is the person's (`age=`), and
# `stages`, `spans` and `events` are intervals (`scores=`). Definitions for recordings in memory name no tables.

# %%
import os

os.environ["KERAS_BACKEND"] = "jax"
import tempfile
from pathlib import Path

import keras
import numpy as np

from physiokeras.layers import ModalityDropout
from physiokeras.models import Encoder, MaskedAutoencoder
from physiokeras.pipelines import convert, from_arrays, inspect_record, stream, windows

folder = Path(tempfile.mkdtemp())
(folder / "wrist.toml").write_text("""
name = "wrist"
window = 30
patch = 1

[modalities.pulse]
rate = 64
bandpass = [0.5, 8.0]
channels = ["PPG"]

[modalities.motion]
rate = 32
unit = "g"
scale = "physical"
factor = 1
channels = ["X", "Y", "Z"]

[labels.task]
kind = "class"
classes = ["rest", "walk"]

[labels.mood]
kind = "spans"
classes = ["calm", "tense"]

[labels.age]
kind = "age"

[split]
train = ["p*"]
test = ["t*"]
""")


def recording(person, walks, seed):
    """Five minutes of pulse and motion: who walks moves more and has a faster heart."""
    draw = np.random.default_rng(seed)
    seconds = np.arange(300 * 64) / 64
    pulse = np.sin(2 * np.pi * (1.8 if walks else 1.1) * seconds) + 0.3 * draw.normal(size=len(seconds))
    motion = draw.normal(scale=0.3 if walks else 0.02, size=(3, 300 * 32)) + np.array([[0.0], [0.0], [1.0]])
    signals = {"PPG": pulse, "X": motion[0], "Y": motion[1], "Z": motion[2]}
    if person == "p1":  # the finger clip came off for 40 s: samples are missing
        signals["PPG"][100 * 64 : 140 * 64] = np.nan
    if person == "p2":  # without this sensor: leave its channels out
        signals = {"PPG": pulse}
    return from_arrays(
        signals,
        {name: 64 if name == "PPG" else 32 for name in signals},
        {name: "" if name == "PPG" else "g" for name in signals},
        name=f"{person}_{'walk' if walks else 'rest'}",
        person=person,
        age=20 + 5 * int(person[1:]),
        scores=[(0, 150, "calm"), (150, 90, "tense")],  # onset and duration in seconds; the last minute has no label
        labels={"task": "walk" if walks else "rest"},
    )


people = [f"p{number}" for number in range(6)] + ["t1", "t2"]
records = [recording(person, walks, 2 * i + walks) for i, person in enumerate(people) for walks in (False, True)]

# %% [markdown]
# ## Look first, then convert
#
# A stretch of NaN up to a second is interpolated. Where a longer one lies, the channel is absent in the windows that it
# touches: two of the ten here. Whoever lacks a sensor lacks its modality in every window.

# %%
for record in (records[0], records[2], records[4]):
    print(inspect_record(record, folder / "wrist.toml"))

# %%
data = convert(records, folder / "wrist.toml", folder / "prepared", progress=None)
print(data)
known = windows(data, "train", labels=["mood", "age"])
print("windows that are calm, tense, without a label:", [int((known["mood"] == value).sum()) for value in (0, 1, -1)])
print("ages:", np.unique(known["age"]))
present = known["present"]  # a column for each channel: PPG, X, Y, Z
print(f"of {len(present)} windows {present[:, 0].sum()} have pulse, {present[:, 1:].any(axis=1).sum()} motion")

# %% [markdown]
# ## Train

# %%
encoder = Encoder.for_data(data, width=16, depth=1, heads=2, view="spectrum", spans=(1, 4))
model = MaskedAutoencoder(
    encoder, modality_dropout=ModalityDropout(), targets="spectrum", decoder_width=16, decoder_depth=1
)
model.adapt(windows(data, "train"))
model.compile(keras.optimizers.AdamW(3e-3))
history = model.fit(stream(data, "train", batch_size=16, seed=0), steps_per_epoch=10, epochs=5, verbose=2)

# %%
test = windows(data, "test", labels=["task"])
out = model.reconstruct(test, drop=["motion"])
true, guess = out["true_spectra"]["motion"].mean(axis=(1, 2)), out["spectra"]["motion"].mean(axis=(1, 2))
for name, number in (("rest", 0), ("walk", 1)):
    rows = test["task"] == number
    print(
        f"{name}: mean log power of motion {true[rows].mean():+.2f}, predicted from the pulse {guess[rows].mean():+.2f}"
    )
