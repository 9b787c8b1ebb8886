"""The section on attention: rollout and single layers, compared with null conditions."""

import numpy as np

from physiokeras.analysis import how_to_read
from physiokeras.analysis.analysis_page import Section, number
from physiokeras.analysis.attention import (
    CONDITIONS,
    attention_differences,
    attention_sums,
    attention_table,
    curve_intervals,
)
from physiokeras.analysis.attention_measures import flow
from physiokeras.evaluation import extraction
from physiokeras.experiments.reports import note_of
from physiokeras.figures import attention_maps
from physiokeras.markdown import markdown_table

MEASURES = {
    "cross_modality": "attention to other\nmodalities / uniform",
    "alignment": "attention within ±{width:g} s\n/ uniform",
    "alignment_of_others": "the same, among other\nmodalities' tokens",
    "bands": "vertical bands",
}
WORDS = {
    "cross_modality": "attention to other modalities / uniform",
    "alignment": "attention within ±{width:g} s / uniform",
    "alignment_of_others": "the same, among other modalities' tokens",
    "bands": "vertical bands (0 none, 1 one token draws all)",
}


def attention(models, manifest, settings, records=None):
    """Section on the rollout and the attention of each layer, for each run and null condition."""
    encoder = models[0].encoder
    step = manifest.definition["window"] / encoder.time
    sums, tables, rows = {}, {}, []
    for analysed in models:
        print(f"attention of {analysed.name}", flush=True)
        windows = extraction.batches(manifest, analysed.encoder.modalities, settings.windows, records=records)
        # The other runs serve as nulls of the first.
        options = {"seed": settings.seed, "nulls": analysed is models[0]}
        sums[analysed.name] = attention_sums(analysed.encoder, ((x, p) for x, p, _ in windows), **options)
        tables[analysed.name] = attention_table(
            sums[analysed.name], width=settings.aligned_width, draws=settings.draws, seed=settings.seed
        )
        rows += [{"run": analysed.name, **row} for row in tables[analysed.name]]
    words = {name: text.format(width=settings.aligned_width * step) for name, text in WORDS.items()}
    text = [
        f"{int(sums[models[0].name].windows.sum())} windows of {len(sums[models[0].name].people)} people, nothing "
        "masked. Uniform attention gives 1. In brackets: 95 % intervals over people. The rollout combines "
        "the attention of all layers.",
        how_to_read.ATTENTION,
        _attention_table(tables, words),
        *_verdicts(tables[models[0].name]),
        *(_differences(sums, models[0].name, analysed.name, words, settings) for analysed in models[1:]),
    ]
    return Section(
        "Attention",
        text,
        {"attention": rows, "flow": _flow_rows(sums), "alignment_curve": _curve_rows(sums, step, settings)},
        _attention_figures(sums, tables, manifest, settings, step),
    )


def _attention_table(tables, words):
    """Measures of the rollout: a row for each measure, a column for each run and for each null of the first run."""
    first = next(iter(tables))
    columns = [(name, name, CONDITIONS[0]) for name in tables]
    columns += [(f"{first}, {condition}", first, condition) for condition in CONDITIONS[1:]]
    rows = [["rollout", *(title for title, _, _ in columns)]]
    for measure, text in words.items():
        found = [_cell(tables[name], condition, measure) for _, name, condition in columns]
        digits = 4 if measure == "bands" else 2  # of bands a thousandth can be seen in a picture
        rows.append([text, *(number(*cell, digits=digits) if cell else "" for cell in found)])
    return markdown_table(rows)


def _cell(table, condition, measure, layer="rollout"):
    for row in table:
        if (row["condition"], row["measure"], row["layer"]) == (condition, measure, layer):
            return row["value"], row["low"], row["high"]
    return None


def _differences(sums, first, other, words, settings):
    """A sentence on the measures in which two runs differ, by paired intervals over people."""
    options = {"width": settings.aligned_width, "draws": settings.draws, "seed": settings.seed}
    more, less, alike = [], [], []
    for measure, (value, low, high) in attention_differences(sums[first], sums[other], **options).items():
        if np.isfinite(value):
            (more if low > 0 else less if high < 0 else alike).append(words[measure])
    kinds = {"higher": more, "lower": less, "no detectable difference": alike}
    said = [f"{what}: {'; '.join(some)}" for what, some in kinds.items() if some]
    return f"{first} compared with {other}: {'. '.join(said)}."


def _verdicts(table):
    """Sentences on whether attention is aligned in time, and which nulls account for it."""
    cells = [_cell(table, condition, "alignment_of_others") for condition in CONDITIONS]
    if not np.isfinite(cells[0][0]):
        return []
    real, _, clock, signals = (number(*cell) for cell in cells)
    if not cells[0][1] > 1:
        return [f"No alignment in time of the attention between modalities is detected: {real}."]
    by_clock, by_signals = cells[2][1] > 1, cells[3][1] > 1
    follows = {(True, True): "both", (True, False): "the position only", (False, True): "the signals only"}
    follows = follows.get((by_clock, by_signals), "neither")
    return [
        f"Attention between modalities is aligned in time ({real}). When the modalities are shifted "
        f"against each other, alignment by position in the window is {clock} and by the signals {signals}: "
        f"attention follows {follows}."
    ]


def _flow_rows(sums):
    rows = []
    for name, each in sums.items():
        mass, even = each.total()
        shares, uniform = flow(mass), flow(even)[0]
        for layer, share in zip(each.layers, shares, strict=True):
            for i, j in np.ndindex(*share.shape):
                pair = {"to": each.modalities[i], "from": each.modalities[j]}
                rows.append({"run": name, "layer": layer, **pair, "share": share[i, j], "uniform": uniform[i, j]})
    return rows


def _curve_rows(sums, step, settings):
    rows = []
    for name, each in sums.items():
        for condition in each.mass:
            found = [
                curve_intervals(each, others=others, condition=condition, draws=settings.draws, seed=settings.seed)
                for others in (True, False)
            ]
            for keys, triple in zip(("others", "own"), found, strict=True):
                for d in range(triple[0].shape[-1]):
                    value, low, high = (float(x[-1, d]) for x in triple)
                    place = {"run": name, "condition": condition, "keys": keys, "seconds": d * step}
                    rows.append({**place, "value": value, "low": low, "high": high})
    return rows


def _attention_figures(sums, tables, manifest, settings, step):
    note = note_of(manifest)
    first = next(iter(sums))
    names, modalities = sums[first].layers, sums[first].modalities

    def curves(name, condition):
        options = {"condition": condition, "draws": settings.draws, "seed": settings.seed}
        found = {k: curve_intervals(sums[name], others=k == "others", **options) for k in ("others", "own")}
        return {k: tuple(x[-1] for x in triple) for k, triple in found.items()}

    lines = {name: curves(name, CONDITIONS[0]) for name in sums}
    lines |= {f"{first}, {condition}": curves(first, condition) for condition in CONDITIONS[1:]}
    by_layer = {
        name: {m: {layer: _cell(table, CONDITIONS[0], m, layer) for layer in names} for m in MEASURES}
        for name, table in tables.items()
        if sums[name].layers == names
    }
    titles = {name: text.format(width=settings.aligned_width * step) for name, text in MEASURES.items()}
    seconds = manifest.definition["window"]
    same = {name: each.picture for name, each in sums.items() if each.layers == names}
    drawn = {
        "rollout": attention_maps.matrices(
            {name: each.picture[-1] for name, each in sums.items()}, modalities, seconds=seconds, note=note
        ),
        "layers": attention_maps.layers(same, names, modalities, note=note),
        "alignment": attention_maps.alignment(lines, step=step, note=note),
        "measures": attention_maps.measures(by_layer, titles=titles, note=note),
    }
    if len(modalities) > 1:
        flows = {name: flow(each.total()[0])[-1] for name, each in sums.items()}
        drawn["flow"] = attention_maps.flow(flows, modalities, note=note)
    return drawn
