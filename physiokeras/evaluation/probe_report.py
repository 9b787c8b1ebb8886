"""Linear probes on every task that the data's labels allow, and the page that reports them."""

import numpy as np

from physiokeras.evaluation import band_power, how_to_read
from physiokeras.evaluation.evaluate import probe_task
from physiokeras.evaluation.extraction import SPLITS, features_of
from physiokeras.evaluation.probe_files import save_probe
from physiokeras.evaluation.scores import error_of_median, with_chance
from physiokeras.evaluation.tasks import tasks_of
from physiokeras.experiments import training_set
from physiokeras.experiments.reports import publish
from physiokeras.experiments.training_settings import probe_options
from physiokeras.markdown import markdown_table
from physiokeras.models import digest, save


def probe_encoder(extractor, manifest, settings):
    """Features of an encoder, and a probe for each task.

    Args:
        extractor: `FeatureExtractor` of the encoder; one object that serves several calls is compiled once.
        manifest: `Manifest`.
        settings: `ProbeSettings` with a `seed`.

    Returns: As `probe_all`.
    """
    return probe_all(features_of(extractor, manifest, _splits(manifest)), manifest, settings, digest(extractor.encoder))


def probe_band_powers(modalities, manifest, settings):
    """As `probe_encoder`, on log band powers without an encoder; see `physiokeras.evaluation.band_power`.

    Args:
        modalities: Names of those that are read.
        manifest: `Manifest`.
        settings: As for `probe_encoder`.

    Returns: As `probe_all`.
    """
    records = {split: [record.name for record in manifest.select(split)] for split in _splits(manifest)}
    found = {split: band_power.features_of_records(manifest, names, modalities) for split, names in records.items()}
    return probe_all(found, manifest, settings)


def _splits(manifest):
    """Splits whose features are needed: none where no probe can be fitted."""
    return [split for split in SPLITS if split in manifest.splits] if manifest.labels and not _missing(manifest) else []


def probe_all(features, manifest, settings, encoder_digest=""):
    """A probe for each task that the labels allow.

    Args:
        features: dict of split -> `Features`, as the encoder gave them.
        manifest: `Manifest`.
        settings: `ProbeSettings` with a `seed`.
        encoder_digest: Digest of the encoder, kept in the probes.

    Returns: dict of task name -> `ProbeResult`, and for the tasks left out dict of task name -> reason, a sentence.
    """
    results, left_out = {}, {}
    missing = " and ".join(_missing(manifest))
    options = {**probe_options(settings), "encoder": encoder_digest}
    features = {split: found.with_context(settings.context, settings.context_mode) for split, found in features.items()}
    for name, task in tasks_of(manifest.labels, age_threshold=settings.age_threshold).items():
        if missing:
            left_out[name] = f"the data have no people in the split {missing}."
            continue
        try:
            results[name] = probe_task(task, features["train"], features.get("validation"), features["test"], **options)
        except ValueError as error:
            left_out[name] = str(error)
    return results, left_out


def _missing(manifest):
    return [split for split in ("train", "test") if split not in manifest.splits]


def save_all(folder, model, manifest, results, pooling, earlier=None):
    """Write a run's model and probes.

    Args:
        folder: The run's folder; `model/` and `probes/` go there.
        model: The trained model.
        manifest: `Manifest`, whose definition goes with the model, so that it can read recordings by itself.
        results: dict of task name -> `ProbeResult`.
        pooling: Of the features that the probes read.
        earlier: Folder of the model from which this one began, if any.
    """
    facts = {"data_hash": manifest.data_hash, "pooling": pooling, "seen": training_set.seen(manifest, earlier=earlier)}
    save(model, folder / "model", definition=manifest.definition, **facts)
    (folder / "probes").mkdir(exist_ok=True)
    for name, result in results.items():
        save_probe(result.probe, folder / "probes" / f"{name}.npz")


def report(
    run, columns, manifest, reconstruction, left_out=None, *, targets="samples", steps=None, view=None, without=None
):
    """Print the table of scores, and keep it and the numbers in the run's folder.

    Args:
        run: `Run`.
        columns: dict of title -> dict of task name -> `ProbeResult`.
        manifest: `Manifest`.
        reconstruction: Result of `analysis.reconstruction.held_out_reconstruction`.
        left_out: dict of task name -> why it has no probe.
        targets: What was reconstructed, as in `MaskedAutoencoder`.
        steps: Number of steps of the training.
        view: What the encoder reads, as in `Encoder`.
        without: Result of `missing_modalities.scores_without_each`.
    """
    parts = []
    if any(columns.values()):
        explained = how_to_read.scores(columns, view)
        parts += [how_to_read.in_words(columns), how_to_read.caution(columns), table(columns), explained]
    parts += [f"No probe of {name}: {reason}" for name, reason in (left_out or {}).items()]
    if without:
        parts += [_missing_table(without), how_to_read.MISSING]
    if reconstruction:
        parts += [_reconstruction_table(reconstruction, targets)]
        parts += how_to_read.reconstruction(reconstruction, targets, steps)
        if "test" not in manifest.splits:
            parts += ["**Nobody is in the split test: these are people of the training, so the shares are too high.**"]
    publish(run.folder, [part for part in parts if part] or ["No probes: the data have no labels."], manifest)
    scores = {title: summary(results) for title, results in columns.items()}
    run.note(scores=scores, reconstruction=reconstruction, without=without or {})


def table(columns):
    """A Markdown table of probe scores, a column for each encoder.

    Args:
        columns: dict of title -> dict of task name -> `ProbeResult`.
    """
    rows = [["task (test people)", "score", *columns]]
    first = next(iter(columns.values()))
    for name, result in first.items():
        people = how_to_read.people_tested(result)
        for score, title in _shown(result):
            cells = [_cell(results.get(name), score) for results in columns.values()]
            rows.append([f"{name} ({people})", title, *cells])
    return markdown_table(rows)


def _missing_table(without):
    tasks = list(next(iter(without.values())))
    rows = [["missing modality", *(f"{task}: {kind}" for task in tasks for kind in ("mapped", "not mapped"))]]
    for name, found in without.items():
        rows.append([name, *(f"{found[task][kind]:.3f}" for task in tasks for kind in ("mapped", "kept"))])
    return markdown_table(rows)


def _reconstruction_table(found, targets):
    of = " of log band powers" if targets == "spectrum" else ""
    rows = [["dropped modality", f"variance{of} explained from the others", "from others of other windows"]]
    for name, numbers in found.items():
        rows.append([name, *(how_to_read.per_cent(numbers[kind]) for kind in ("explained", "shuffled"))])
    return markdown_table(rows)


def _shown(result):
    if not result.task.classes:
        unit = ", years" if result.task.kind == "years" else ""
        guessed = error_of_median(result.predictions["targets"], result.predictions["people"])
        return [("mae", f"mean absolute error{unit} ({guessed:.1f} if all had their median)")]
    shown = [("balanced_accuracy", "balanced accuracy"), ("auroc", "AUROC"), ("kappa", "Cohen's kappa")]
    return [(score, with_chance(title, score, len(result.task.classes))) for score, title in shown]


def _cell(result, score):
    if result is None:
        return "-"
    if not result.task.classes:
        return f"{result.people[score]:.1f}"
    value, interval = result.windows[score], result.intervals.get(score)
    if np.isnan(value):
        return "-"
    return f"{value:.3f}" + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")


def summary(results):
    """The scores of probes as plain numbers, for `run.json`."""
    return {
        name: {
            "windows": _numbers(result.windows),
            **({"people": _numbers(result.people)} if result.people else {}),
            "intervals": {score: [i.low, i.high] for score, i in result.intervals.items()},
        }
        for name, result in results.items()
    }


def _numbers(scores):
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in scores.items()}
