"""The sections on tuning of features, reconstruction between modalities, and representation."""

import numpy as np

from physiokeras.analysis import analysed_runs, how_to_read
from physiokeras.analysis.analysis_page import Section, file_name, number
from physiokeras.analysis.reconstruction import explained_intervals, numbers_in_band, source_target
from physiokeras.analysis.representation import embedding, variance_shares
from physiokeras.analysis.tuning import encoder_tuning
from physiokeras.evaluation import extraction
from physiokeras.evaluation.extraction import predict
from physiokeras.experiments.reports import note_of
from physiokeras.figures import learned
from physiokeras.markdown import markdown_table
from physiokeras.models import FeatureExtractor


def tuning(models, manifest, settings, records=None):
    """Section on the tuning of features of each run; None with one modality."""
    modalities = tuple(models[0].encoder.modalities)
    if len(modalities) < 2:
        return None
    inputs, _, _ = extraction.arrays(manifest, modalities, settings.few_windows, records=records)
    runs, rows, lines = {}, [], [["last layer", *(s.name for s in models)]]
    found = {}
    for analysed in models:
        print(f"tuning of {analysed.name}", flush=True)
        found[analysed.name] = encoder_tuning(analysed.encoder, inputs, seed=settings.seed)
        runs[analysed.name] = _tuning_summary(found[analysed.name])
        rows += _tuning_rows(analysed.name, found[analysed.name])
    for text, key in (
        ("distributedness, median over features", "distributedness"),
        ("share that other modalities cause in own tokens", "others"),
    ):
        values = [run[key][-1][1] if key == "distributedness" else run[key][-1] for run in runs.values()]
        lines.append([text, *(number(value) for value in values)])
    checks = [_agreement(each) for each in found.values()]
    lines.append(["ablation: correlation of shares", *(number(check) for check in checks)])
    text = [
        "Share of each feature's variance that a modality causes: that modality is exchanged with other windows while "
        "the others are held fixed. Features are the mean of all tokens, as probes read them. This mean mixes "
        'modalities even before the first attention (layer "tok."). The right panel therefore reads each modality\'s '
        "own tokens, where other modalities have an effect through attention only. The ablation sets a modality to "
        "zero instead.",
        how_to_read.TUNING,
        markdown_table(lines),
    ]
    note = note_of(manifest)
    return Section(
        "Tuning of features", text, {"tuning": rows}, {"tuning": learned.tuning(runs, modalities, note=note)}
    )


def _tuning_summary(found):
    """Numbers of the figure, from shares `(modalities, layers, places, units)`."""
    size = len(found.modalities)
    shares = np.nanmean(found.shares[:, :, -1], axis=-1).T
    spread = np.nanquantile(found.distributedness[:, -1], [0.25, 0.5, 0.75], axis=-1).T
    own = np.stack([found.shares[m, :, m] for m in range(size)])
    return {"shares": shares, "distributedness": spread, "others": 1 - np.nanmean(own, axis=(0, 2))}


def _agreement(found):
    """Correlation, over units and modalities, of the last layer's shares with the ablation's shares."""
    a, b = (x[:, -1, -1].ravel() for x in (found.shares, found.ablation_shares))
    known = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[known], b[known])[0, 1])


def _tuning_rows(name, found):
    rows = []
    for layer, unit in np.ndindex(found.variance.shape[1], found.variance.shape[3]):
        at = layer, -1, unit
        shares = {f"share_{m}": float(x[at]) for m, x in zip(found.modalities, found.shares, strict=True)}
        ablated = {f"ablation_{m}": float(x[at]) for m, x in zip(found.modalities, found.ablation_shares, strict=True)}
        even = float(found.distributedness[at])
        rows.append({"run": name, "layer": layer, "unit": unit, **shares, "distributedness": even, **ablated})
    return rows


def reconstruction(models, manifest, settings, records=None):
    """Section on reconstruction of each modality from the others; None if no model reconstructs."""
    models = [analysed for analysed in models if analysed.reconstructs]
    if not models:
        return None
    modalities = tuple(models[0].encoder.modalities)
    task = analysed_runs.label_of(manifest)
    labels, classes = ([task.label], task.classes) if task else ([], ())
    options = {"labels": labels, "records": records}
    inputs, people, found = extraction.arrays(manifest, modalities, settings.few_windows, **options)
    names, person = np.unique(people, return_inverse=True)
    kinds = len(classes) + 1  # the last for unscored windows
    kind = found[task.label] % kinds if task else np.zeros(len(people), int)
    groups = np.arange(len(names) * kinds).reshape(len(names), kinds)
    chosen = {"all": groups, **{name: groups[:, [i]] for i, name in enumerate(classes)}}
    rows, runs = [], {}
    for analysed in models:
        print(f"reconstruction by {analysed.name}", flush=True)
        own = {"numbers": numbers_in_band(analysed.model, manifest.definition), "seed": settings.seed}
        sums = source_target(analysed.model, inputs, groups[person, kind], size=groups.size, **own)
        for (source, target), each in sums.items():
            for which, numbers in chosen.items():
                own, shuffled = explained_intervals(each, numbers, draws=settings.draws, seed=settings.seed)
                place = {"run": analysed.name, "source": " + ".join(source), "target": target, "class": which}
                rows.append({**place, **_named("explained", own), **_named("shuffled", shuffled)})
                if which == "all":
                    runs.setdefault(analysed.name, {})[source, target] = own[0], shuffled[0]
    note = note_of(manifest)
    figure = learned.reconstruction(runs, modalities, note=note)
    text = [
        "Share of the variance of a modality, hidden completely, that its reconstruction from other modalities "
        "explains; of spectra, those bands count that lie within the modality's band-pass. A model trained with one "
        "modality dropped at a time has never seen fewer sources than all others.",
        how_to_read.RECONSTRUCTION,
        _class_table(rows, models[0].name, modalities, list(chosen)),
    ]
    return Section(
        "Reconstruction between modalities", text, {"reconstruction": rows}, {"reconstruction_matrix": figure}
    )


def _named(name, triple):
    return dict(zip((name, f"{name}_low", f"{name}_high"), triple, strict=True))


def _class_table(rows, run, modalities, classes):
    lines = [["from all others, explained (%)", *classes]]
    for target in modalities:
        source = " + ".join(name for name in modalities if name != target)
        mine = [r for r in rows if (r["run"], r["source"], r["target"]) == (run, source, target)]
        cells = {r["class"]: (r["explained"], r["explained_low"], r["explained_high"]) for r in mine}
        lines.append([target, *(number(*cells[name], digits=1, factor=100) for name in classes)])
    return markdown_table(lines)


def representation(models, manifest, settings, records=None):
    """Section on the features' variance between people and between classes, with a map of windows."""
    modalities, task = tuple(models[0].encoder.modalities), analysed_runs.label_of(manifest)
    labels = [*([task.label] if task else []), *(["age"] if "age" in manifest.labels else [])]
    rows, figures, cells = [], {}, {}
    for analysed in models:
        print(f"features of {analysed.name}", flush=True)
        values, people, known = _features(analysed.encoder, manifest, modalities, labels, settings, records)
        if task:
            scored = known[task.label] >= 0
            found = variance_shares(values[scored], people[scored], known[task.label][scored], seed=settings.seed)
            for name, share in zip(("person", task.name), found, strict=True):
                cells[analysed.name, name] = share
                rows.append({"run": analysed.name, "label": name, **vars(share)})
        note = f"{analysed.name}{', simulated' if note_of(manifest) else ''}"
        drawn = {"task": task, "targets": known[task.label] if task else None, "ages": known.get("age"), "note": note}
        name = f"embedding_{file_name(analysed.name)}"
        figures[name] = learned.embedding(*embedding(values), people, **drawn)
    if not task:
        return Section("Representation", ["The data have no classes, so there is only a map of windows."], {}, figures)
    lines = [["share of the features' variance", *(analysed.name for analysed in models)]]
    for name in ("person", task.name):
        for kind, text in (
            ("alone", name),
            ("beyond", f"{name}, beyond the other"),
            ("null", f"{name}, labels permuted"),
        ):
            values = [getattr(cells[s.name, name], kind) for s in models]
            lines.append([text, *(number(value, digits=1, factor=100) + " %" for value in values)])
    text = [
        f"Between persons and between classes of {task.name} (eta squared of standardised features, mean over "
        "features).",
        how_to_read.REPRESENTATION,
        markdown_table(lines),
    ]
    return Section("Representation", text, {"representation": rows}, figures)


def _features(encoder, manifest, modalities, labels, settings, records):
    extractor = FeatureExtractor(encoder, settings.pooling)
    values, people, known = [], [], []
    options = {"labels": labels, "records": records}
    for inputs, whose, label in extraction.batches(manifest, modalities, settings.windows, **options):
        values.append(predict(extractor, inputs))
        people.append(whose)
        known.append(label)
    known = {name: np.concatenate([label[name] for label in known]) for name in labels}
    return np.concatenate(values), np.concatenate(people), known
