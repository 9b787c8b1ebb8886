"""Linear maps from features of some modalities to those of all, for predictions with missing modalities.

Without a modality the features' mean moves so far that a probe of all modalities predicts one class only. A ridge
regression per subset, fitted without labels, predicts the features of all modalities instead.
"""

import io
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from physiokeras.errors import DataError
from physiokeras.evaluation.probe_files import reading
from physiokeras.files import write_atomic

FILE = "subset_maps.npz"
FORMAT = "physiokeras subset maps 1"

STRENGTH = 10.0
"""Penalty of the ridge regressions of standardised features; on simulated sleep 100 and 1000 were worse."""

KEPT_SHARE = 0.999
"""Share of the fitted values' variance that a map's factors keep; most maps take a tenth of the space then."""

MOST = 6
"""Modalities up to which every subset has a map (62); above, single modalities and all but one."""

_ARRAYS = ("into", "out", "bias")


@dataclass(frozen=True)
class SubsetMap:
    """An affine map of features, its matrix as two factors.

    Args:
        into: `(width, rank)`.
        out: `(rank, width)`.
        bias: `(width,)`.
    """

    into: np.ndarray
    out: np.ndarray
    bias: np.ndarray

    def __post_init__(self):
        (width, rank), shapes = np.shape(self.into), [np.shape(self.out), np.shape(self.bias)]
        if shapes != [(rank, width), (width,)]:
            raise ValueError(f"A map's arrays contradict each other. Received: {np.shape(self.into)} and {shapes}.")

    @classmethod
    def fit(cls, some: np.ndarray, full: np.ndarray, strength: float = STRENGTH) -> Self:
        """Ridge regression in closed form, then the factors of least rank that keep `KEPT_SHARE`.

        Args:
            some: `(windows, width)`, features of a subset of the modalities.
            full: `(windows, width)`, features of all modalities of the same windows.
            strength: Penalty of the squared weights, all features standardised.

        Returns: `SubsetMap`.

        Source of the factors: reduced-rank regression, Izenman 1975, doi 10.1016/0047-259X(75)90042-1.
        """
        (rows, mean, scale), (targets, centre, spread) = _standardised(some), _standardised(full)
        gram = rows.T @ rows
        weights = np.linalg.solve(gram + strength * np.eye(len(gram)), rows.T @ targets)
        variances, directions = np.linalg.eigh(weights.T @ gram @ weights)  # of the fitted values, rising
        directions = directions[:, np.cumsum(variances) > (1 - KEPT_SHARE) * variances.sum()]
        into, out = weights @ directions / scale[:, None], directions.T * spread
        bias = centre - mean @ into @ out
        return cls(*(array.astype(np.float32) for array in (into, out, bias)))

    def __call__(self, values):
        """Features of all modalities `(windows, width)`, predicted from those of the subset `(windows, width)`."""
        return values @ self.into @ self.out + self.bias


@dataclass(frozen=True)
class SubsetMaps:
    """A `SubsetMap` for the subsets of an encoder's modalities.

    Args:
        modalities: All of them, in the encoder's order.
        maps: Names of a subset, in that order, to `SubsetMap`.
        encoder: Digest of the encoder whose features they map.
        whole: Subsets that are never mapped, because probes were fitted on such windows as they are: the modalities of
            each of several data sets. Default: all modalities alone.

    Example:
    >>> maps = SubsetMaps.fit(modalities, full, {("eeg",): of_eeg, ("ecg",): of_ecg})
    >>> features, known = maps.apply(values, present)
    """

    modalities: tuple[str, ...]
    maps: dict[tuple[str, ...], SubsetMap]
    encoder: str = ""
    whole: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "whole", self.whole or (self.modalities,))

    @classmethod
    def fit(
        cls,
        modalities: Sequence[str],
        full: np.ndarray,
        some: dict[tuple[str, ...], np.ndarray],
        *,
        encoder: str = "",
        strength: float = STRENGTH,
    ) -> Self:
        """Fit all maps, on windows that have all modalities.

        Args:
            modalities: Names of all.
            full: `(windows, width)`, their features.
            some: Names of a subset to `(windows, width)`, features of the same windows of which only that subset is
                read.
            encoder: As in the class.
            strength: As in `SubsetMap.fit`.
        """
        return cls(tuple(modalities), {left: SubsetMap.fit(own, full, strength) for left, own in some.items()}, encoder)

    def apply(self, values: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map the features of windows that lack modalities; the others stay as they are.

        Args:
            values: `(windows, width)`, as the encoder gave them.
            present: Boolean `(windows, modalities)`.

        Returns: features `(windows, width)`, and boolean `(windows,)`: false for windows that are unchanged because
            their subset has no map, such as those without any modality.
        """
        values, known = np.array(values), np.ones(len(values), bool)
        for row in np.unique(present, axis=0):
            left = tuple(name for name, there in zip(self.modalities, row, strict=True) if there)
            rows = (present == row).all(axis=1)
            if left in self.maps:
                values[rows] = self.maps[left](values[rows])
            elif left not in self.whole:
                known[rows] = False
        return values, known

    def save(self, path: str | os.PathLike) -> None:
        """Write to `path` (ending in `.npz`), whole or not at all, without pickles."""
        subsets = list(self.maps)
        facts = {"format": FORMAT, "modalities": self.modalities, "subsets": subsets, "encoder": self.encoder}
        facts["whole"] = self.whole
        arrays = {
            f"{name}_{number}": getattr(self.maps[left], name)
            for number, left in enumerate(subsets)
            for name in _ARRAYS
        }
        content = io.BytesIO()
        np.savez(content, facts=np.array(json.dumps(facts)), **arrays)
        write_atomic(path, content.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike, *, encoder: str | None = None) -> Self:
        """Read what `save` wrote.

        Args:
            path: The file.
            encoder: Digest of the encoder whose features shall be mapped; None: any.

        Raises:
            DataError: Not a file of subset maps, damaged, or fitted on another encoder's features.
            FileNotFoundError: No such file.
        """
        with reading(path, "a file of subset maps") as (facts, file):
            found = _maps(facts, file)
        if encoder is not None and found.encoder != encoder:
            raise DataError(
                f"fitted on features of encoder {found.encoder or 'unknown'}, not {encoder}; fit them again.", file=path
            )
        return found


def mapped_subsets(modalities):
    """Subsets of modalities that get a map, small ones first: tuples of names.

    All proper subsets of up to `MOST` modalities. Their number doubles with each further modality, so above that
    only single modalities and all but one, which occur most.
    """
    count = len(modalities)
    sizes = range(1, count) if count <= MOST else (1, count - 1)
    return [left for size in sizes for left in itertools.combinations(modalities, size)]


def _standardised(values):
    values = np.asarray(values, np.float64)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    # Numbers of absent modalities are constant; dividing them by a rounding error would amplify it.
    varied = scale > 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.where(varied, scale, 1)
    return np.where(varied, (values - mean) / scale, 0), mean, scale


def _maps(facts, file):
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    modalities, maps = tuple(facts["modalities"]), {}
    for number, left in enumerate(facts["subsets"]):
        arrays = {name: file[f"{name}_{number}"] for name in _ARRAYS}
        if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("its arrays are not finite float32")
        if not set(left) < set(modalities):
            raise ValueError(f"{left} is no proper subset of {modalities}")
        maps[tuple(left)] = SubsetMap(**arrays)
    if len({found.bias.shape for found in maps.values()}) > 1:
        raise ValueError("its maps are of different widths")
    whole = tuple(tuple(names) for names in facts.get("whole", ()))
    if not set().union(*whole) <= set(modalities):
        raise ValueError(f"{whole} are no subsets of {modalities}")
    return SubsetMaps(modalities, maps, str(facts["encoder"]), whole)
