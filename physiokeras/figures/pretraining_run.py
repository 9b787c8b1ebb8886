"""Figures of a training run: loss curve, reconstructions, confusion matrices, a hypnogram."""

import keras
import numpy as np

from physiokeras.channel_layout import ChannelLayout
from physiokeras.evaluation.extraction import features_of
from physiokeras.experiments.reports import note_of
from physiokeras.figures import loss, predictions, style
from physiokeras.figures import reconstruction as reconstructed
from physiokeras.figures.spectrograms import Spectrogram, spectrograms
from physiokeras.models import MaskedAutoencoder
from physiokeras.pipelines import windows

BATCH = 64
"""Windows that are reconstructed at once, as in `physiokeras.analysis.reconstruction`, which then compiles nothing."""

LONGEST = 256
"""Most windows of a record in a spectrogram."""


def draw_all(folder, model, extractor, manifest, results):
    """Draw a run's figures into its folder, under `figures/`.

    Args:
        folder: The run's folder, with its `metrics.csv`.
        model: The trained model; reconstructions are drawn of a `MaskedAutoencoder`: of signals where it predicts
            samples, and spectrograms where it predicts spectra.
        extractor: `FeatureExtractor` of its encoder, with the pooling of the probes.
        manifest: `Manifest`.
        results: dict of task name -> `ProbeResult`.
    """
    note = note_of(manifest)
    unit = loss.SHARE if isinstance(model, MaskedAutoencoder) else "cross-entropy"
    drawn = {"loss": loss.loss_curve(folder / "metrics.csv", unit=unit, note=note)}
    if isinstance(model, MaskedAutoencoder):
        drawn |= _reconstructions(model, manifest, note)
    for name, result in results.items():
        if result.task.classes:
            counts = result.windows["confusion"]
            drawn[f"confusion_{name}"] = predictions.confusion_matrix(counts, result.task.classes, note=note)
    if "stage" in results and results["stage"].probe is not None:
        drawn["hypnogram"] = hypnogram(extractor, manifest, results["stage"].probe, note)
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in drawn.items():
        style.save(figure, folder / "figures" / f"{name}.png")


def _reconstructions(model, manifest, note):
    """Dict of file name -> figure: signals of one window, spectrograms of one recording."""
    drawn, names = {}, list(model.encoder.modalities)
    dropped = names if len(names) > 1 else []
    if model.targets != "spectrum":
        drawn["reconstruction"] = reconstruction(model, manifest, (), note)
        for name in dropped:
            drawn[f"reconstruction_without_{name}"] = reconstruction(model, manifest, (name,), note)
    if model.targets != "samples" and dropped:
        found = {name: dropped_spectrograms(model, manifest, name) for name in dropped}
        first = [channels[0] for channels in found.values()]
        heading = "Band powers of each modality while it is dropped"
        drawn["spectrograms"] = spectrograms(first, seconds=_patch(model, manifest), heading=heading, note=note)
        for name, channels in found.items():
            heading = f"Band powers of {name.upper()} while it is dropped"
            figure = spectrograms(channels, seconds=_patch(model, manifest), heading=heading, note=note)
            drawn[f"spectrograms_without_{name}"] = figure
    return drawn


def _patch(model, manifest):
    return manifest.definition["window"] / model.encoder.time


def dropped_spectrograms(model, manifest, name):
    """Band powers of a modality over a test record, true and as reconstructed from the others.

    Of several spans the longest is shown, whose powers vary least by chance. Of a long record, the first windows.

    Args:
        model: `MaskedAutoencoder` whose targets have spectra.
        manifest: `Manifest`.
        name: The modality to drop.

    Returns: list of `Spectrogram`, one for each channel.
    """
    encoder = model.encoder
    record = _test_record(manifest, name)
    chosen = windows(manifest, records=[record.name], modalities=list(encoder.modalities))
    rows = min(len(chosen["present"]), LONGEST)
    true, made = [], []
    for start in range(0, rows, BATCH):
        # The last batch is filled up, so that one compiled program serves all.
        places = np.minimum(np.arange(start, start + BATCH), rows - 1)
        found = model.reconstruct({key: values[places] for key, values in chosen.items()}, drop=(name,))
        true.append(found["true_spectra"][name])
        made.append(found["spectra"][name])
    true, made = (_channels_of_spectra(model, name, np.concatenate(parts)[:rows]) for parts in (true, made))
    present = np.repeat(
        ChannelLayout.of(encoder.modalities).split(chosen["present"][:rows])[name], encoder.time, axis=0
    )
    layer = model.patch_spectra()[list(encoder.modalities).index(name)]
    edges = np.array(layer.edges[-1]) * layer.patch / layer.widths[-1] / _patch(model, manifest)
    _, names, _ = _channels(manifest, record, encoder)
    labels = [name.upper() if len(names[name]) == 1 else f"{name.upper()} {channel}" for channel in names[name]]
    return [
        Spectrogram(label, edges, *(np.where(here[:, None], x, np.nan) for x in pair))
        for label, here, *pair in zip(labels, present.T, true, made, strict=True)
    ]


def _channels_of_spectra(model, name, spectra):
    """Of spectra `(windows, time, numbers)` the longest span's powers, `(channels, windows x time, bands)`."""
    layer = model.patch_spectra()[list(model.encoder.modalities).index(name)]
    bands = [len(edges) - 1 for edges in layer.edges]
    spectra = spectra.reshape(-1, layer.channels, layer.numbers)[..., sum(bands[:-1]) : sum(bands)]
    return np.moveaxis(spectra, 1, 0)


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
    record = _test_record(manifest, *drop[:1])
    chosen = windows(manifest, records=[record.name], modalities=list(encoder.modalities))
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
    records = _test_records(manifest)
    record = next((record for record in records if manifest.value_counts(record, "stage")), records[0])
    rows = np.flatnonzero(features.labels["record"] == record.index)
    return predictions.hypnogram(
        features.labels["stage"][rows],
        probe.predict(features.values[rows]),
        classes=probe.task.classes,
        window=manifest.definition["window"],
        note=note,
    )


def _test_records(manifest):
    return manifest.select("test" if "test" in manifest.splits else None)


def _test_record(manifest, modality=None):
    """The first test record, or the first that has a modality, as of several data sets not all may."""
    records = _test_records(manifest)
    return next((record for record in records if record.present.get(modality)), records[0])


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
