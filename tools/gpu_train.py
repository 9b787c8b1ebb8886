"""A short training on the windows of a file, for `bench_gpu.py`: held-out losses before and after."""

import numpy as np
from gpu_steps import build, report, seconds

from physiokeras.constants import INT16_SCALE


def run(job):
    """Train on the first four fifths of all sets; print the loss on the last fifth of each set, and the time."""
    sets, size = read(job["data"]), job["batches"][0]
    parts = {name: (cut(inputs, 0, 0.8), cut(inputs, 0.8, 1)) for name, inputs in sets.items()}
    train = {key: np.concatenate([part[0][key] for part in parts.values()]) for key in next(iter(sets.values()))}
    model = build(job, variances=variances(train, job["modalities"]))
    before = losses(model, parts, size)
    model.fit(drawn(train, size), steps_per_epoch=1, shuffle=False, verbose=0)
    steps = job["steps"]
    took = seconds(lambda: model.fit(drawn(train, size), steps_per_epoch=steps, shuffle=False, verbose=0))
    after, count = losses(model, parts, size), len(train["present"])
    report(job, batch=size, steps=steps, train=count, seconds=took, before=before, after=after)


def read(path):
    """The sets of a file of `gpu_windows.py`: dict of name to inputs."""
    with np.load(path) as arrays:
        sets = {}
        for key in arrays.files:
            name, _, part = key.partition(".")
            sets.setdefault(name, {})[part] = arrays[key]
    return sets


def cut(inputs, start, stop):
    """A contiguous part of the windows, given in shares of their number."""
    count = len(inputs["present"])
    return {key: values[round(start * count) : round(stop * count)] for key, values in inputs.items()}


def variances(inputs, modalities):
    """Variance of the present channels of each modality, in scaled units."""
    found, first = {}, 0
    for name, m in modalities.items():
        there = inputs["present"][:, first : first + m["channels"]]
        found[name] = float(np.var(inputs[name].transpose(0, 2, 1)[there] * INT16_SCALE))
        first += m["channels"]
    return found


def drawn(inputs, size):
    """Generator of batches of windows drawn at random."""
    draw = np.random.default_rng(0)
    while True:
        rows = draw.choice(len(inputs["present"]), size, replace=False)
        yield ({key: values[rows] for key, values in inputs.items()},)


def losses(model, parts, size):
    """Loss on the held-out windows of each set; predicting the mean gives 1."""
    found = {}
    for name, (_, held) in parts.items():
        whole = len(held["present"]) // size * size or len(held["present"])
        held = {key: values[:whole] for key, values in held.items()}
        found[name] = float(model.evaluate(held, batch_size=size, verbose=0, return_dict=True)["loss"])
    return found
