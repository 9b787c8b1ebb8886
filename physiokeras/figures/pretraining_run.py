"""Figures of a pretraining run: loss curve, reconstructions, confusion matrices, a hypnogram."""

import keras
import numpy as np

from physiokeras.evaluation.extraction import features_of
from physiokeras.experiments.reports import note_of
from physiokeras.figures import loss, predictions, style
from physiokeras.figures import reconstruction as reconstructed
from physiokeras.models import MaskedAutoencoder
from physiokeras.pipelines import windows


def draw_all(folder, model, extractor, manifest, results):
    """Draw a run's figures into its folder, under `figures/`.

    Args:
        folder: The run's folder, with its `metrics.csv`.
        model: The trained model; reconstructions are drawn of a `MaskedAutoencoder` that predicts samples.
        extractor: `FeatureExtractor` of its encoder, with the pooling of the probes.
        manifest: `Manifest`.
        results: dict of task name -> `ProbeResult`.
    """
    note = note_of(manifest)
    drawn = {"loss": loss.loss_curve(folder / "metrics.csv", note=note)}
    modalities = list(model.encoder.modalities)
    drops = [(), *((name,) for name in modalities if len(modalities) > 1)]
    draws_samples = isinstance(model, MaskedAutoencoder) and model.targets != "spectrum"
    for drop in drops if draws_samples else ():
        name = f"reconstruction_without_{drop[0]}" if drop else "reconstruction"
        drawn[name] = reconstruction(model, manifest, drop, note)
    for name, result in results.items():
        if result.task.classes:
            counts = result.windows["confusion"]
            drawn[f"confusion_{name}"] = predictions.confusion_matrix(counts, result.task.classes, note=note)
    if "stage" in results:
        drawn["hypnogram"] = hypnogram(extractor, manifest, results["stage"].probe, note)
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in drawn.items():
        style.save(figure, folder / "figures" / f"{name}.png")


def reconstruction(model, manifest, drop=(), note=None):
    """Figure of one test window and its reconstruction, in physical units.

    Args:
        model: `MaskedAutoencoder`.
        manifest: `Manifest`.
        drop: Names of modalities to leave out of the input.
        note: Word for the title.

    Returns: `Figure`.
    """
    encoder = model.encoder
    record = _test_records(manifest)[0]
    chosen = windows(manifest.folder, records=[record.name], modalities=list(encoder.modalities))
    # The window with most channels present, and of these the middle one.
    count = chosen["present"].sum(axis=1)
    best = np.flatnonzero(count == count.max())
    inputs = {name: values[best[len(best) // 2]][None] for name, values in chosen.items()}
    made = model.reconstruct(inputs, drop=drop)
    true, _ = encoder.read(inputs)
    hidden = np.asarray(keras.ops.convert_to_numpy(made["hidden"])).reshape(len(encoder.modalities), encoder.time)
    units, names, scales = _channels(manifest, record, encoder)

    def physical(signals):
        arrays = {name: np.asarray(keras.ops.convert_to_numpy(signals[name]))[0] for name in encoder.modalities}
        return {name: array * scales[name][1] + scales[name][0] for name, array in arrays.items()}

    return reconstructed.reconstruction(
        physical(true),
        physical(made["signals"]),
        dict(zip(encoder.modalities, hidden, strict=True)),
        seconds=manifest.definition["window"],
        units=units,
        channels=names,
        dropped=drop,
        note=note,
    )


def hypnogram(extractor, manifest, probe, note=None):
    """Figure of one test record's stages, scored and as the probe has them.

    Args:
        extractor: `FeatureExtractor` with the pooling of the probe.
        manifest: `Manifest`.
        probe: `Probe` of the stages.
        note: Word for the title.

    Returns: `Figure`.
    """
    features = features_of(extractor, manifest, splits=["test"])["test"].with_context(probe.context, probe.context_mode)
    rows = np.flatnonzero(features.labels["record"] == _test_records(manifest)[0].index)
    return predictions.hypnogram(
        features.labels["stage"][rows],
        probe.predict(features.values[rows]),
        classes=probe.task.classes,
        window=manifest.definition["window"],
        note=note,
    )


def _test_records(manifest):
    return manifest.select("test" if "test" in manifest.splits else None)


def _channels(manifest, record, encoder):
    """Units, channel names, and offsets and factors `(channels,)` of each modality in one record."""
    units, names, scales = {}, {}, {}
    for name in encoder.modalities:
        rows = [channel for channel in record.channels if channel["modality"] == name]
        units[name] = next((row["unit"] for row in rows if row.get("unit")), "scaled")
        names[name] = [row["channel"] for row in rows]
        offsets = [row.get("offset") if row.get("offset") is not None else 0.0 for row in rows]
        factors = [row.get("factor") if row.get("factor") is not None else 1.0 for row in rows]
        scales[name] = np.array(offsets), np.array(factors)
    return units, names, scales
