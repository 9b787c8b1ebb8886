"""Reconstruction of a hidden modality (target) from other modalities (sources): share of variance explained."""

import itertools
from collections.abc import Iterable
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
class ReconstructionSums:
    """Errors of one target's reconstruction, and moments of the target, summed over each group of windows.

    Args:
        error: `(groups,)`, sums of squared errors.
        shuffled: `(groups,)`, the same with sources from another window.
        moments: `(groups, channels, 3)`, sums of the target's powers 0, 1 and 2.
    """

    error: np.ndarray
    shuffled: np.ndarray
    moments: np.ndarray


def source_sets(modalities: Iterable[str]) -> list[tuple[str, ...]]:
    """Sets of source modalities: all proper subsets; with more than four modalities, those of one and of all but one.

    Args:
        modalities: Names.

    Returns: list of tuples of names.
    """
    modalities = tuple(modalities)
    few = len(modalities) <= MOST_FOR_SUBSETS
    sizes = range(1, len(modalities)) if few else (1, len(modalities) - 1)
    return [chosen for size in sizes for chosen in itertools.combinations(modalities, size)]


def source_target(
    model: MaskedAutoencoder,
    inputs: dict[str, np.ndarray],
    groups: np.ndarray | None = None,
    *,
    size: int | None = None,
    sources: list[tuple[str, ...]] | None = None,
    numbers: dict[str, np.ndarray] | None = None,
    seed: int = 0,
) -> dict[tuple[tuple[str, ...], str], ReconstructionSums]:
    """Reconstruct each modality from each set of the others; all tokens of the target are hidden.

    A model with targets "spectrum" reconstructs spectra, any other model samples.

    Windows count if they have the target and at least one source. As a control, the reconstruction of one window is
    compared with the target of another window. This control removes window-specific information and keeps what all
    windows share.

    Args:
        model: `MaskedAutoencoder` of two or more modalities.
        inputs: Arrays as in `Encoder`, of two or more windows, with "present".
        groups: `(windows,)` integers from 0, such as one number per person and stage; default: one group.
        size: Number of groups; default: the greatest group number plus 1.
        sources: Sets of names to reconstruct from; default: `source_sets`.
        numbers: Target -> boolean `(numbers,)`, which numbers of its spectra count, see `numbers_in_band`; default:
            all.
        seed: Seed of the order of windows, which assigns each window its control.

    Returns: dict of (source set, target) -> `ReconstructionSums`.
    """
    encoder, rows = model.encoder, len(inputs["present"])
    groups = np.zeros(rows, int) if groups is None else np.asarray(groups)
    size = groups.max() + 1 if size is None else size
    sources, numbers = source_sets(encoder.modalities) if sources is None else sources, numbers or {}
    order = np.random.default_rng(seed).permutation(rows)
    present = present_modalities(encoder, inputs)
    found: dict[tuple[tuple[str, ...], str], ReconstructionSums] = {}
    columns = ChannelLayout.of(encoder.modalities).columns
    for start in range(0, rows, BATCH):
        # The last batch is padded, so that one compiled program serves all batches.
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
                here = here & numbers[target] if target in numbers else here
                sums = _sums(true[target], np.asarray(made[target]), here, able, groups[chosen], size, count)
                old = found.get((source, target))
                found[source, target] = sums if old is None else _add(old, sums)
    return found


def explained(sums: ReconstructionSums, *, shuffled: bool = False) -> float:
    """Share of the target's variance explained: 0 for its mean, 1 for a perfect reconstruction; NaN without windows.

    Args:
        sums: `ReconstructionSums`.
        shuffled: Whether to use sources from other windows (the control).

    Returns: float, over all groups.
    """
    return float(_explained(sums.shuffled if shuffled else sums.error, sums.moments, axis=0))


def explained_intervals(
    sums: ReconstructionSums, group_of_people: np.ndarray, *, draws: int = 1000, seed: int = 0
) -> tuple[tuple[float, ...], ...]:
    """`explained` with its 95 % interval over people, and the same for the control.

    Args:
        sums: `ReconstructionSums`.
        group_of_people: `(people, k)`, numbers of the groups of each person.
        draws: Bootstrap draws of people.
        seed: Seed of the draws.

    Returns: two tuples (value, low, high).
    """
    moments = sums.moments[group_of_people].sum(axis=1)
    found = []
    for errors in (sums.error, sums.shuffled):
        arrays = errors[group_of_people].sum(axis=1), moments
        found.append(tuple(float(x) for x in sum_intervals(_explained, arrays, draws=draws, seed=seed)))
    return tuple(found)


def dropped_reconstruction(
    model: MaskedAutoencoder,
    inputs: dict[str, np.ndarray],
    seed: int = 0,
    numbers: dict[str, np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """Share of each modality's variance explained by its reconstruction from all others, in windows that have it.

    Args:
        model: `MaskedAutoencoder` of two or more modalities.
        inputs: Arrays as in `Encoder`, of two or more windows, with "present".
        seed: Seed of the order of windows, which assigns each window its control.
        numbers: As in `source_target`.

    Returns: dict of modality -> dict of "explained" and "shuffled"; NaN if no window has the modality.
    """
    names = tuple(model.encoder.modalities)
    all_others = [tuple(other for other in names if other != name) for name in names]
    found = source_target(model, inputs, sources=all_others, numbers=numbers, seed=seed)
    return {
        target: {"explained": explained(sums), "shuffled": explained(sums, shuffled=True)}
        for (_, target), sums in found.items()
    }


def numbers_in_band(model: MaskedAutoencoder, definition: dict) -> dict[str, np.ndarray]:
    """Which numbers of each modality's spectra lie within its band-pass: the others tell of what the filter leaves.

    Args:
        model: `MaskedAutoencoder`.
        definition: The definition of its data, as in a manifest.

    Returns: dict of modality -> boolean `(numbers,)`; without modalities that have no band-pass, or where the model
        predicts samples.
    """
    if model.targets != "spectrum":
        return {}
    bands = {name: definition["modalities"].get(name, {}).get("bandpass") for name in model.encoder.modalities}
    spectra = dict(zip(model.encoder.modalities, model.patch_spectra(), strict=True))
    return {name: spectra[name].in_band(band, definition["patch"]) for name, band in bands.items() if band}


def _true(model, inputs):
    """The model's targets: dict of name -> signals, or standardised spectra if it predicts spectra only."""
    signals, present = model.encoder.read(inputs)
    return model.measure(signals, present) if model.targets == "spectrum" else signals


def _sums(true, made, here, able, groups, size, count):
    """Sums over the first `count` windows of a batch; the control of each is the next window."""
    here = np.broadcast_to(here[:, None], true.shape)
    lent, lender = np.roll(made, -1, axis=0), np.roll(able, -1)[:, None, None]
    error, shuffled = np.zeros(size), np.zeros(size)
    moments = np.zeros((size, true.shape[2], 3))
    np.add.at(error, groups[:count], (here * (made - true) ** 2).sum((1, 2), dtype=np.float64)[:count])
    # If the other window has no source, the window's own reconstruction is used.
    borrowed = np.where(lender, lent, made)
    np.add.at(shuffled, groups[:count], (here * (borrowed - true) ** 2).sum((1, 2), dtype=np.float64)[:count])
    powers = np.stack([(here * true**power).sum(1, dtype=np.float64) for power in range(3)], axis=-1)
    np.add.at(moments, groups[:count], powers[:count])
    return ReconstructionSums(error, shuffled, moments)


def _add(a, b):
    return ReconstructionSums(a.error + b.error, a.shuffled + b.shuffled, a.moments + b.moments)


def _explained(error, moments, axis=None):
    """Share explained, from errors `(...)` and moments `(..., channels, 3)`, first summed over `axis` if given."""
    if axis is not None:
        error, moments = error.sum(axis=axis), moments.sum(axis=axis)
    total = (moments[..., 2] - moments[..., 1] ** 2 / np.maximum(moments[..., 0], 1)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, 1 - error / total, np.nan)


def held_out_reconstruction(model, manifest, seed=0, limit=256):
    """`dropped_reconstruction` on test windows, spread evenly; of spectra the numbers within the band-pass.

    Args:
        model: The trained model.
        manifest: `Manifest`.
        seed: Seed of the order of windows.
        limit: Greatest number of windows.

    Returns: as `dropped_reconstruction`; empty with one modality, fewer than two windows, or a model without decoders.
    """
    modalities = list(model.encoder.modalities)
    if len(modalities) < 2 or not isinstance(model, MaskedAutoencoder):
        return {}
    inputs, people, _ = extraction.arrays(manifest, modalities, limit)
    numbers = numbers_in_band(model, manifest.definition)
    return dropped_reconstruction(model, inputs, seed, numbers) if len(people) > 1 else {}
