# %% [markdown]
# # My own recordings, from arrays
#
# Recordings that a script holds as arrays need no files. `from_arrays` makes a recording of them, a definition says
# what becomes of its channels, and `convert` checks and writes it like a recording from files. The signals here are
# invented.

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
table = "tasks.csv"  # not read here: labels come with the recordings
classes = ["rest", "walk"]

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
    return from_arrays(
        {"PPG": pulse, "X": motion[0], "Y": motion[1], "Z": motion[2]},
        {"PPG": 64, "X": 32, "Y": 32, "Z": 32},
        {"PPG": "", "X": "g", "Y": "g", "Z": "g"},
        name=f"{person}_{'walk' if walks else 'rest'}",
        person=person,
        labels={"task": "walk" if walks else "rest"},
    )


people = [f"p{number}" for number in range(6)] + ["t1", "t2"]
records = [recording(person, walks, 2 * i + walks) for i, person in enumerate(people) for walks in (False, True)]

# %% [markdown]
# ## Look first, then convert

# %%
print(inspect_record(records[0], folder / "wrist.toml").verdict)
data = convert(records, folder / "wrist.toml", folder / "prepared", progress=None)
{split: sum(record.windows for record in data.select(split)) for split in data.splits}

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
