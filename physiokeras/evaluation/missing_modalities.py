"""Subset maps of an encoder, fitted on training windows."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from physiokeras.channel_layout import ChannelLayout
from physiokeras.evaluation.evaluate import score_task
from physiokeras.evaluation.extraction import FULL_BATCH, batches, features_by, predict
from physiokeras.evaluation.subset_maps import FILE, SubsetMaps, mapped_subsets
from physiokeras.models import FeatureExtractor, digest
from physiokeras.models.subsets import PatchFeatures, PatchReader

LEARNED_FROM = ("pretrain", "train")
"""Splits whose windows maps are fitted on."""

WINDOWS = 500, 2
"""Windows that maps are fitted on: the first number, or the second times the features' width if that is more.

Each is read once for every subset. On simulated sleep, four times as many windows gained 0.01 balanced accuracy, on the
mean over subsets.
"""


@dataclass(frozen=True)
class SubsetReader:
    """Features of any subset of the modalities of a window, its spectra computed once.

    Args:
        reader: `PatchReader`.
        features: `PatchFeatures` of the same encoder.
    """

    reader: PatchReader
    features: PatchFeatures

    @classmethod
    def of(cls, extractor: FeatureExtractor) -> Self:
        """The reader of the features of a `FeatureExtractor`."""
        encoder = extractor.encoder
        return cls(PatchReader(encoder), PatchFeatures(encoder, extractor.pooling, skip=extractor.skip))

    def patches(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What `PatchReader` makes of at most `FULL_BATCH` windows, as arrays."""
        return predict(self.reader, inputs, FULL_BATCH)

    def __call__(self, patches, kept):
        """Features `(windows, width)` of the modalities in `kept`, boolean `(windows, modalities)`."""
        return predict(self.features, {**patches, "present": patches["present"] & kept}, FULL_BATCH)


def save_maps(folder, extractor, manifest):
    """Fit subset maps on the windows of the splits pretrain and train, and write them into a run's folder.

    Args:
        folder: The run's folder, which gets `subset_maps.npz` where there is a map to fit.
        extractor: `FeatureExtractor`.
        manifest: `Manifest`.
    """
    splits = [split for split in LEARNED_FROM if split in manifest.splits]
    records = [record.name for record in manifest.select(splits)] if splits else []
    maps = fit_maps(extractor, manifest, records) if records else None
    (folder / FILE).unlink(missing_ok=True)
    if maps:
        maps.save(folder / FILE)


def fit_maps(extractor, manifest, records):
    """Subset maps, fitted without labels on windows that have all modalities, spread evenly over records.

    Of several data sets each has maps to the features of its own modalities, on which its probes are fitted. A subset
    of the modalities of two data sets has the map of the first.

    Args:
        extractor: `FeatureExtractor`.
        manifest: `Manifest`.
        records: Names of the records of training people.

    Returns: `SubsetMaps`; None where no window has all modalities, or the encoder reads one only.
    """
    read, names, by_set, maps = SubsetReader.of(extractor), tuple(extractor.encoder.modalities), {}, {}
    for record in manifest.select(records=records):
        own = tuple(name for name in names if name in manifest.modalities_of(record))
        if own:
            by_set.setdefault(own, []).append(record.name)
    limit = max(WINDOWS[0], WINDOWS[1] * extractor.width)
    for own, chosen in by_set.items():
        subsets = [left for left in mapped_subsets(own) if left not in maps and left not in by_set]
        windows = batches(manifest, names, limit, records=chosen, size=FULL_BATCH) if subsets else ()
        found = _features(read, names, [own, *subsets], windows)
        if found is not None:
            full, *some = found
            maps |= SubsetMaps.fit(own, full, dict(zip(subsets, some, strict=True))).maps
    if not maps and len(by_set) == 1:
        return None
    return SubsetMaps(names, maps, digest(extractor.encoder), tuple(by_set))


def _features(read, names, subsets, windows):
    """Features `(subsets, windows, width)` of those windows that have all modalities of the first subset; or None."""
    masks, found = [np.isin(names, left) for left in subsets], []
    for inputs, *_ in windows:
        patches = read.patches(inputs)
        whole = patches["present"][:, masks[0]].all(axis=1)
        found.append(np.stack([read(patches, mask)[whole] for mask in masks]))
    return np.concatenate(found, axis=1) if sum(part.shape[1] for part in found) else None


def scores_without_each(extractor, manifest, results, folder):
    """Balanced accuracy on the test people where one modality is missing, with the saved maps and without them.

    Args:
        extractor: `FeatureExtractor`.
        manifest: `Manifest`.
        results: dict of task name -> `ProbeResult` of the extractor's features of all modalities.
        folder: The run's folder, with `subset_maps.npz`.

    Returns: dict of modality -> dict of task name -> dict of "mapped" and "kept", the features as they are; empty where
        there is no map, or no probe of a task with classes. Windows that have nothing else do not count.
    """
    probes = {name: result.probe for name, result in results.items() if result.probe and result.task.classes}
    if not probes or not (folder / FILE).exists() or "test" not in manifest.splits:
        return {}
    maps, found = SubsetMaps.load(folder / FILE, encoder=digest(extractor.encoder)), {}
    for missing in extractor.encoder.modalities:
        some = _features_without(missing, extractor, manifest)
        some = some.of_rows(some.present.any(axis=1))
        values, known = maps.apply(some.values, some.present)
        if known.any():
            kinds = {"mapped": replace(some, values=values), "kept": some}
            found[missing] = {
                name: {kind: _balanced_accuracy(probe, features) for kind, features in kinds.items()}
                for name, probe in probes.items()
            }
    return found


def _features_without(missing, extractor, manifest):
    """`Features` of the test windows with a modality marked absent."""
    names = list(extractor.encoder.modalities)
    columns = ChannelLayout.of(extractor.encoder.modalities).columns[missing]

    def of_batch(inputs, _):
        present = np.array(inputs["present"])
        present[:, columns] = False
        return predict(extractor, {**inputs, "present": present}, FULL_BATCH)

    found = features_by(of_batch, manifest, names, "test")
    return replace(found, present=found.present & (np.array(names) != missing))


def _balanced_accuracy(probe, features):
    features = features.with_context(probe.context, probe.context_mode)
    found = score_task(probe.task, features, probe.predict_proba(features.values), draws=0)
    return found.windows["balanced_accuracy"]


def names_of(modalities, absent):
    """The absent modalities of each window in words, such as "ecg emg": list of strings, "" where all are there.

    Args:
        modalities: Names.
        absent: Boolean `(windows, modalities)`.
    """
    return [" ".join(name for name, is_absent in zip(modalities, row, strict=True) if is_absent) for row in absent]


def mapped(features, encoder, folder):
    """Map the features of windows that lack modalities by the maps in a run's folder.

    Args:
        features: `Features`, as the encoder gave them.
        encoder: The encoder.
        folder: The run's folder.

    Returns: features `(windows, width)`, and a note, a line for each kind of lack, "" if nothing is missing.

    Raises:
        DataError: Maps that are damaged, or of another encoder.
    """
    absent = ~features.present
    if not absent.any():
        return features.values, ""
    path, values, known, whole = folder / FILE, features.values, ~absent.any(axis=1), ()
    if path.exists():
        maps = SubsetMaps.load(path, encoder=digest(encoder))
        (values, known), whole = maps.apply(values, features.present), maps.whole
    lines = []
    for row in np.unique(absent[absent.any(axis=1)], axis=0):
        if tuple(name for name, lacks in zip(encoder.modalities, row, strict=True) if not lacks) in whole:
            continue
        rows = (absent == row).all(axis=1)
        (names,) = names_of(encoder.modalities, row[None])
        done = "their features are mapped to those of all modalities"
        none = f"no map is for that in {path}, and predictions may be of one class only"
        lines.append(f"{rows.sum()} windows lack {names}: {done if known[rows].all() else none}.\n")
    return values, "".join(lines)
