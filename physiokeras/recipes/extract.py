"""Write a model's features and its probes' predictions for a folder of recordings.

    physiokeras extract --run runs/pretrain-1 --source RECORDINGS --out FEATURES

`features.npz` holds a row for each window: `features`, `record` (name), `seconds` (start in the recording), `missing`
(modalities that the window lacks). `predictions.csv` has the probes' predictions for the same rows, and
`hypnogram_RECORD.png` shows the sleep stages. Features of windows that lack modalities are mapped to those of all by
the run's `subset_maps.npz`; `predictions.csv` has a column `missing` then.
"""

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physiokeras.experiments import exit_status
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CommonSettings, read, setting
from physiokeras.pipelines.converting.names import without_missing_labels
from physiokeras.pipelines.converting.record_list import find_records
from physiokeras.pipelines.people.people import without_missing_people
from physiokeras.pipelines.prepared.remote import local_folder


@dataclass(frozen=True)
class Settings(CommonSettings):
    """Settings of an extraction: model, recordings and output."""

    run: str = setting(
        help="run folder of the model and its probes, the name of a preset, or hf://USER/NAME",
        group="data",
        role="place",
        holds="model",
    )
    source: str = setting(help="folder of recordings, or its URL", group="data", role="place", holds="recordings")
    dataset: str | None = setting(
        None, "definition of the recordings; none: the definition of the model's data", "data", "result"
    )
    out: str = setting(
        help="folder for features, predictions and figures; created if missing",
        group="run",
        role="place",
        holds="results",
    )
    workers: int = setting(2, "number of processes that convert", "data", "execution")
    figures: bool = setting(True, "draw a hypnogram for each recording", "data", "result")


def main(argv=None):
    """Run the command.

    Returns: exit status: 0, or 1 where any recording was set aside.
    """
    settings = read(Settings, argv, prog="physiokeras extract", description=__doc__.split("\n")[0])
    use(settings.backend)
    from physiokeras.experiments.compatibility import encoder_for
    from physiokeras.experiments.reports import note_of
    from physiokeras.experiments.saved_models import located, model_folder, run_of
    from physiokeras.models import encoder_of, load
    from physiokeras.models.saving import metadata
    from physiokeras.pipelines import Definition, convert

    run = located(settings.run)
    folder = model_folder(run)
    facts = metadata(folder)
    definition = Definition.read(settings.dataset) if settings.dataset else Definition.from_dict(facts["definition"])
    source = local_folder(settings.source)
    there = without_missing_people(definition, source)
    there = without_missing_labels(there, find_records(source, there))
    encoder = encoder_for(encoder_of(load(folder)), definition, facts["definition"])
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as prepared:
        manifest = convert(source, there, prepared, workers=settings.workers)
        rows = read_rows(encoder, manifest, facts["pooling"], run_of(run))
        write_features(rows, out / "features.npz")
        write_predictions(rows, encoder, definition, run_of(run), out, settings.figures, note_of(manifest))
    print(f"{len(rows['record'])} windows of {len(set(rows['record'].tolist()))} recordings are in {out}")
    return int(bool(manifest.set_aside))


def read_rows(encoder, manifest, pooling, run):
    """Features of every window, in the order of recordings and time; those that lack modalities are mapped.

    Args:
        encoder: `Encoder`.
        manifest: `Manifest`.
        pooling: As in `FeatureExtractor`.
        run: Folder with `subset_maps.npz`, if any.

    Returns: dict of `features` float32 `(windows, width)`, `record` `(windows,)` names, `seconds` `(windows,)` starts,
        `missing` `(windows,)` names of the modalities that are missing, and the labels.
    """
    from physiokeras.evaluation.extraction import features_of_windows
    from physiokeras.evaluation.missing_modalities import mapped, names_of
    from physiokeras.models import FeatureExtractor

    found = features_of_windows(FeatureExtractor(encoder, pooling), manifest)
    missing = np.array(names_of(encoder.modalities, ~found.present))
    values, said = mapped(found, encoder, run)
    print(said, end="", flush=True)
    columns = dict(found.labels)
    names = np.array([record.name for record in manifest.records])
    starts = np.array([record.start for record in manifest.records])
    record = columns.pop("record")
    seconds = starts[record] + columns.pop("window") * float(manifest.definition["window"])
    return {"features": values, "record": names[record], "seconds": seconds, "missing": missing, **columns}


def write_features(rows, path):
    """Write features with record and time as arrays."""
    from physiokeras.files import write_atomic

    content = io.BytesIO()
    np.savez(content, **{name: rows[name] for name in ("features", "record", "seconds", "missing")})
    write_atomic(path, content.getvalue())


def write_predictions(rows, encoder, definition, run, out, figures=True, note=None):
    """Write the predictions of the run's probes, and draw a hypnogram of each recording."""
    from physiokeras.evaluation.features import neighbours
    from physiokeras.evaluation.probe_files import load_probe
    from physiokeras.figures.predictions import hypnogram
    from physiokeras.figures.style import save
    from physiokeras.files import write_csv
    from physiokeras.models import digest

    columns, name = {}, digest(encoder)
    for path in sorted((run / "probes").glob("*.npz")):
        probe = load_probe(path, encoder=name)
        features = rows["features"]
        if probe.context:
            features = neighbours(features, rows["record"], rows["seconds"], probe.context, probe.context_mode)
        predicted = probe.predict(features)
        columns[path.stem] = (
            [probe.task.classes[i] for i in predicted] if probe.task.classes else np.round(predicted, 1)
        )
        if path.stem == "stage" and figures:
            unscored = np.full(len(predicted), -1)
            for record in sorted(set(rows["record"].tolist())):
                here = rows["record"] == record
                figure = hypnogram(
                    rows.get("stage", unscored)[here],
                    predicted[here],
                    classes=probe.task.classes,
                    window=definition.window,
                    note=note,
                )
                save(figure, out / f"hypnogram_{record}.png")
    if columns and any(rows["missing"]):
        columns["missing"] = rows["missing"].tolist()
    if columns:
        values = zip(rows["record"].tolist(), rows["seconds"].tolist(), *columns.values(), strict=True)
        write_csv(out / "predictions.csv", [("record", "seconds", *columns), *values])


if __name__ == "__main__":
    exit_status.run(main)
