"""The sections of an analysis on what was learned: tuning, reconstruction, representation."""

import numpy as np

from physiokeras.analysis import analysed_runs
from physiokeras.analysis.analysis_page import Part, file_name, number
from physiokeras.analysis.reconstruction import explained_intervals, source_target
from physiokeras.analysis.representation import embedding, variance_shares
from physiokeras.analysis.tuning import encoder_tuning
from physiokeras.evaluation import extraction
from physiokeras.evaluation.extraction import predict
from physiokeras.experiments.reports import note_of
from physiokeras.figures import learned
from physiokeras.markdown import markdown_table
from physiokeras.models import FeatureExtractor


def tuning(subjects, manifest, settings, records=None):
    """Tuning of units of each run: a `Part`, or None with one modality."""
    modalities = tuple(subjects[0].encoder.modalities)
    if len(modalities) < 2:
        return None
    inputs, _, _ = extraction.arrays(manifest, modalities, settings.few_windows, records=records)
    runs, rows, lines = {}, [], [["last layer", *(s.name for s in subjects)]]
    found = {}
    for subject in subjects:
        print(f"tuning of {subject.name}", flush=True)
        found[subject.name] = encoder_tuning(subject.encoder, inputs, seed=settings.seed)
        runs[subject.name] = _tuning_summary(found[subject.name])
        rows += _tuning_rows(subject.name, found[subject.name])
    for text, key in (
        ("distributedness, median over units", "distributedness"),
        ("caused by others in own tokens", "others"),
    ):
        values = [run[key][-1][1] if key == "distributedness" else run[key][-1] for run in runs.values()]
        lines.append([text, *(number(value) for value in values)])
    checks = [_agreement(each) for each in found.values()]
    lines.append(["ablation: correlation of shares", *(number(check) for check in checks)])
    text = [
        "Share of each unit's variance that a modality causes: it is taken from other windows, the others are held. "
        "Units are read at the mean of all tokens, as probes read them; a mean mixes modalities before any attention "
        'does (layer "tok."), so the right panel looks at each modality\'s own tokens: what others cause there came by '
        "attention. The ablation sets a modality to zero instead.",
        markdown_table(lines),
    ]
    note = note_of(manifest)
    return Part("Tuning of units", text, {"tuning": rows}, {"tuning": learned.tuning(runs, modalities, note=note)})


def _tuning_summary(found):
    """What the figure shows, from `(modalities, layers, places, units)`."""
    size = len(found.modalities)
    shares = np.nanmean(found.shares[:, :, -1], axis=-1).T
    spread = np.nanquantile(found.distributedness[:, -1], [0.25, 0.5, 0.75], axis=-1).T
    own = np.stack([found.shares[m, :, m] for m in range(size)])
    return {"shares": shares, "distributedness": spread, "others": 1 - np.nanmean(own, axis=(0, 2))}


def _agreement(found):
    """Correlation over units and modalities of the last layer's shares with those by ablation."""
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


def reconstruction(subjects, manifest, settings, records=None):
    """Which modality tells what of which: a `Part`, or None where no model reconstructs."""
    subjects = [subject for subject in subjects if subject.reconstructs]
    if not subjects:
        return None
    modalities = tuple(subjects[0].encoder.modalities)
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
    for subject in subjects:
        print(f"reconstruction by {subject.name}", flush=True)
        sums = source_target(subject.model, inputs, groups[person, kind], size=groups.size, seed=settings.seed)
        for (source, target), each in sums.items():
            for which, numbers in chosen.items():
                told, shuffled = explained_intervals(each, numbers, draws=settings.draws, seed=settings.seed)
                place = {"run": subject.name, "source": " + ".join(source), "target": target, "class": which}
                rows.append({**place, **_named("explained", told), **_named("shuffled", shuffled)})
                if which == "all":
                    runs.setdefault(subject.name, {})[source, target] = told[0], shuffled[0]
    note = note_of(manifest)
    figure = learned.reconstruction(runs, modalities, note=note)
    text = [
        "Share of the variance of a modality, all of it hidden, that is explained from others: 0 is predicting its "
        "mean. With sources taken from other windows nothing is told, and below 0 is a guess that is wrong with "
        "confidence. Where training dropped one modality at a time, fewer sources than all others are beyond it.",
        _class_table(rows, subjects[0].name, modalities, list(chosen)),
    ]
    return Part("Reconstruction between modalities", text, {"reconstruction": rows}, {"reconstruction_matrix": figure})


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


def representation(subjects, manifest, settings, records=None):
    """How much of the features is person and how much is class, and a map of windows: a `Part`."""
    modalities, task = tuple(subjects[0].encoder.modalities), analysed_runs.label_of(manifest)
    labels = [*([task.label] if task else []), *(["age"] if "age" in manifest.labels else [])]
    rows, figures, cells = [], {}, {}
    for subject in subjects:
        print(f"features of {subject.name}", flush=True)
        values, people, known = _features(subject.encoder, manifest, modalities, labels, settings, records)
        if task:
            scored = known[task.label] >= 0
            found = variance_shares(values[scored], people[scored], known[task.label][scored], seed=settings.seed)
            for name, share in zip(("person", task.name), found, strict=True):
                cells[subject.name, name] = share
                rows.append({"run": subject.name, "label": name, **vars(share)})
        note = f"{subject.name}{', simulated' if note_of(manifest) else ''}"
        drawn = {"task": task, "targets": known[task.label] if task else None, "ages": known.get("age"), "note": note}
        name = f"embedding_{file_name(subject.name)}"
        figures[name] = learned.embedding(*embedding(values), people, **drawn)
    if not task:
        return Part("Representation", ["No classes are known: a map of windows only."], {}, figures)
    lines = [["share of the features' variance", *(subject.name for subject in subjects)]]
    for name in ("person", task.name):
        for kind, text in (
            ("alone", name),
            ("beyond", f"{name}, beyond the other"),
            ("null", f"{name}, labels permuted"),
        ):
            values = [getattr(cells[s.name, name], kind) for s in subjects]
            lines.append([text, *(number(value, digits=1, factor=100) + " %" for value in values)])
    text = [
        f"Between persons and between classes of {task.name} (eta squared of standardised features, mean over "
        "features).",
        markdown_table(lines),
    ]
    return Part("Representation", text, {"representation": rows}, figures)


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
