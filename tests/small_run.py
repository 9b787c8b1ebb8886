"""A run's folder as training leaves it, of the smallest model: encoder, two probes, subset maps."""

import numpy as np
from tiny import MODALITIES, TIME, encoder, varied, windows

from physiokeras.evaluation import Probe, Task
from physiokeras.evaluation.probe_files import save_probe
from physiokeras.evaluation.subset_maps import FILE, SubsetMap, SubsetMaps, mapped_subsets
from physiokeras.models import FeatureExtractor, digest, save
from physiokeras.pipelines import Definition

STAGE = Task("stage", "stage", "classes", ("wake", "light", "deep"))
AGE = Task("age_years", "age", "years")
UNMAPPED = ("ecg",)
"""The subset of the modalities that has no map."""

SUBSETS = [("eeg",), ("ecg",), ("emg",), ("eeg", "ecg"), ("eeg", "emg"), ("ecg", "emg")]
"""All but none and all."""


def saved_run(folder, **arguments):
    """Write the run; modalities `ecg` and `emg` have equal shapes.

    Args:
        folder: Its folder.
        **arguments: As of `Encoder`.

    Returns: the folder.
    """
    draw, model = np.random.default_rng(3), varied(encoder(**arguments))
    model.adapt(windows(32, seed=1))
    parts = {
        name: {"rate": m["samples"] / TIME, "channels": [{"name": f"{name} {n}"} for n in range(m["channels"])]}
        for name, m in MODALITIES.items()
    }
    definition = Definition.from_dict({"name": "small", "window": TIME, "modalities": parts})
    save(model, folder / "model", pooling="concatenate", definition=definition.to_dict())
    (folder / "probes").mkdir()
    width = FeatureExtractor(model, "concatenate").width
    for task in (STAGE, AGE):
        outputs = len(task.classes) or 1
        arrays = [draw.normal(size=shape) for shape in (width, width, (width, outputs), outputs)]
        arrays[1] = np.exp(0.3 * arrays[1])
        arrays[2] *= width**-0.5  # probabilities near 0 and 1 would hide differences
        if task is STAGE:
            arrays[3][1] = -np.inf  # a class that the training windows lack
        probe = Probe(task, *(array.astype("float32") for array in arrays), strength=1.0, encoder=digest(model))
        save_probe(probe, folder / "probes" / f"{task.name}.npz")
    maps = {left: _map(draw, width, rank) for rank, left in enumerate(mapped_subsets(tuple(MODALITIES)), 1)}
    del maps[UNMAPPED]
    SubsetMaps(tuple(MODALITIES), maps, digest(model)).save(folder / FILE)
    return folder


def _map(draw, width, rank):
    shapes = (width, rank), (rank, width), (width,)
    return SubsetMap(*(draw.normal(size=shape, scale=width**-0.5).astype("float32") for shape in shapes))


def all_subsets():
    """int16 windows with all modalities, of each subset, and with none."""
    left = [tuple(MODALITIES), *SUBSETS, ()]
    absent = [(row, name) for row, names in enumerate(left) for name in MODALITIES if name not in names]
    inputs = windows(len(left), absent=absent, seed=7)
    return {
        name: values if values.dtype == bool else np.round(values * 32767 / 20).astype("int16")
        for name, values in inputs.items()
    }
