"""How much of a hidden modality the others tell: from which sources, to which target."""

import itertools
from dataclasses import dataclass

import keras
import numpy as np

from physiokeras.channel_layout import ChannelLayout
from physiokeras.evaluation import extraction
from physiokeras.evaluation.extraction import present_modalities
from physiokeras.evaluation.sum_intervals import sum_intervals
from physiokeras.models import MaskedAutoencoder

BATCH = 64
MOST_FOR_SUBSETS = 4


@dataclass(frozen=True)
class Sums:
    """Errors and moments of one target's reconstruction, by group of windows.

    Attributes:
        error: `(groups,)`, sums of squared errors.
        shuffled: `(groups,)`, the same where the source is another window.
        moments: `(groups, channels, 3)`, sums of the target's powers 0, 1, 2.
    """

    error: np.ndarray
    shuffled: np.ndarray
    moments: np.ndarray


def source_sets(modalities):
    """Sets of modalities to reconstruct from: all proper subsets; beyond four modalities, one and all but one.

    Args:
        modalities: Names.

    Returns: list of tuples of names.
    """
    modalities = tuple(modalities)
    sizes = range(1, len(modalities))
    if len(modalities) > MOST_FOR_SUBSETS:
        sizes = (1, len(modalities) - 1)
    return [chosen for size in sizes for chosen in itertools.combinations(modalities, size)]


def source_target(model, inputs, groups=None, *, size=None, sources=None, seed=0):
    """Reconstruct each modality from each set of the others, all of its own tokens hidden.

    A model with targets "spectrum" reconstructs spectra, all others samples.

    Windows count that have the target and any modality of the source. Sources are shuffled over windows by comparing
    what one window's sources give with another window's target: what is told goes, what is the same in all windows
    stays.

    Args:
        model: `MaskedAutoencoder` of two or more modalities.
        inputs: Arrays as in `Encoder`, of two or more windows, with "present".
        groups: `(windows,)` integers from 0, such as a number for each person and stage; default: one group.
        size: Number of groups; default: as many as occur.
        sources: Sets of names to reconstruct from; default: `source_sets`.
        seed: Seed of the order in which windows lend sources to others.

    Returns: dict of (source set, target) -> `Sums`.
    """
    encoder, rows = model.encoder, len(inputs["present"])
    groups = np.zeros(rows, int) if groups is None else np.asarray(groups)
    size = groups.max() + 1 if size is None else size
    sources = source_sets(encoder.modalities) if sources is None else sources
    order = np.random.default_rng(seed).permutation(rows)
    present, found = present_modalities(encoder, inputs), {}
    columns = ChannelLayout.of(encoder.modalities).columns
    for start in range(0, rows, BATCH):
        # The last batch is filled up, so that one compiled program serves all.
        chosen = order[np.arange(start, start + BATCH) % rows]
        count = min(BATCH, rows - start)
        batch = {key: values[chosen] for key, values in inputs.items()}
        true = {name: keras.ops.convert_to_numpy(x) for name, x in _true(model, batch).items()}
        for source in sources:
            hidden = [name for name in encoder.modalities if name not in source]
            made = model.reconstruct(batch, drop=hidden)["spectra" if model.targets == "spectrum" else "signals"]
            able = present[chosen][:, [name in source for name in encoder.modalities]].any(axis=1)
            for target in hidden:
                here = batch["present"][:, columns[target]] & able[:, None]
                here = np.repeat(here, true[target].shape[2] // here.shape[1], axis=1)
                sums = _sums(true[target], np.asarray(made[target]), here, able, groups[chosen], size, count)
                old = found.get((source, target))
                found[source, target] = sums if old is None else _add(old, sums)
    return found


def explained(sums, *, shuffled=False):
    """Share of the target's variance explained: 0 by predicting its mean, 1 by reconstructing it; NaN without windows.

    Args:
        sums: `Sums`.
        shuffled: Whether sources are those of other windows.

    Returns: float over all groups.
    """
    return float(_explained(sums.shuffled if shuffled else sums.error, sums.moments, axis=0))


def explained_intervals(sums, group_of_people, *, draws=1000, seed=0):
    """`explained` with its interval over people, and the same for sources of other windows.

    Args:
        sums: `Sums`.
        group_of_people: `(people, k)`, the numbers of each person's groups that count.
        draws: Resamplings.
        seed: Seed of these.

    Returns: two tuples of value, low, high.
    """
    moments = sums.moments[group_of_people].sum(axis=1)
    found = []
    for errors in (sums.error, sums.shuffled):
        arrays = errors[group_of_people].sum(axis=1), moments
        found.append(tuple(float(x) for x in sum_intervals(_explained, arrays, draws=draws, seed=seed)))
    return tuple(found)


def dropped_reconstruction(model, inputs, seed=0):
    """Share of each modality's variance that its reconstruction from all others explains, in windows that have it.

    Args:
        model: `MaskedAutoencoder` of two or more modalities.
        inputs: Arrays as in `Encoder`, of two or more windows, with "present".
        seed: Seed of the order in which windows lend their modalities to others.

    Returns: dict of modality -> dict of "explained" and "shuffled", NaN where no window has the modality.
    """
    names = tuple(model.encoder.modalities)
    all_others = [tuple(other for other in names if other != name) for name in names]
    found = source_target(model, inputs, sources=all_others, seed=seed)
    return {
        target: {"explained": explained(sums), "shuffled": explained(sums, shuffled=True)}
        for (_, target), sums in found.items()
    }


def _true(model, inputs):
    """What the model predicts: dict of name -> signals, or standardised spectra where it predicts these alone."""
    signals, present = model.encoder.read(inputs)
    return model.measure(signals, present) if model.targets == "spectrum" else signals


def _sums(true, made, here, able, groups, size, count):
    """Sums of the first `count` windows of a batch; the one after each lends it its sources."""
    here = np.broadcast_to(here[:, None], true.shape)
    lent, lender = np.roll(made, -1, axis=0), np.roll(able, -1)[:, None, None]
    error, shuffled = np.zeros(size), np.zeros(size)
    moments = np.zeros((size, true.shape[2], 3))
    np.add.at(error, groups[:count], (here * (made - true) ** 2).sum((1, 2), dtype=np.float64)[:count])
    # Where the other window has no source either, nothing is told: the error of predicting as its own sources do.
    borrowed = np.where(lender, lent, made)
    np.add.at(shuffled, groups[:count], (here * (borrowed - true) ** 2).sum((1, 2), dtype=np.float64)[:count])
    powers = np.stack([(here * true**power).sum(1, dtype=np.float64) for power in range(3)], axis=-1)
    np.add.at(moments, groups[:count], powers[:count])
    return Sums(error, shuffled, moments)


def _add(a, b):
    return Sums(a.error + b.error, a.shuffled + b.shuffled, a.moments + b.moments)


def _explained(error, moments, axis=None):
    """Of sums `(..., )` and `(..., channels, 3)`, summed over `axis` first where given."""
    if axis is not None:
        error, moments = error.sum(axis=axis), moments.sum(axis=axis)
    total = (moments[..., 2] - moments[..., 1] ** 2 / np.maximum(moments[..., 0], 1)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, 1 - error / total, np.nan)


def told_of_dropped(model, manifest, seed=0, limit=256):
    """What modalities tell of one another, as `dropped_reconstruction` of test windows spread evenly.

    Args:
        model: The trained model.
        manifest: `Manifest`.
        seed: Seed of the shuffling.
        limit: Most windows.

    Returns: dict of modality -> numbers; empty with one modality, fewer than two windows, or a model without decoders.
    """
    modalities = list(model.encoder.modalities)
    if len(modalities) < 2 or not isinstance(model, MaskedAutoencoder):
        return {}
    inputs, people, _ = extraction.arrays(manifest, modalities, limit)
    return dropped_reconstruction(model, inputs, seed) if len(people) > 1 else {}
