"""The section on whether measures of explanation correlate with probe scores over the cells of a comparison."""

import json
from pathlib import Path

import numpy as np

from physiokeras.analysis import analysed_runs
from physiokeras.analysis.analysis_page import Section, file_name, number
from physiokeras.analysis.attention import CONDITIONS, attention_sums
from physiokeras.analysis.attention_measures import alignment_of_others, cross_modality
from physiokeras.analysis.explanation import rank_correlation
from physiokeras.analysis.tuning import encoder_tuning
from physiokeras.errors import DataError
from physiokeras.evaluation import extraction
from physiokeras.experiments.reports import note_of
from physiokeras.figures import learned
from physiokeras.markdown import markdown_table
from physiokeras.models import encoder_of, load

MEASURES = {
    "alignment": "alignment in time (rollout)",
    "cross_modality": "cross-modality (rollout)",
    "distributedness": "distributedness (last layer)",
}
SCORE = "balanced_accuracy"


def explanation(settings, manifest):
    """Section on the correlation between measures of the cells' encoders and their probe scores.

    Args:
        settings: Settings of `analyze`, with `compare`.
        manifest: `Manifest` of the comparison.

    Raises:
        DataError: Fewer than three cells have an encoder of several modalities.
    """
    folder = Path(settings.compare)
    try:
        folders = [folder / "cells" / name for name in json.loads((folder / "run.json").read_bytes())["cells"]]
    except (FileNotFoundError, KeyError) as error:
        raise DataError("must be the folder of a finished comparison.", file=folder) from error
    rows = [row for folder in folders if (row := _measured(folder, manifest, settings))]
    if len(rows) < 3:
        raise DataError(
            f"{len(rows)} finished cells have an encoder of several modalities; a correlation needs three. Add "
            "seeds or strategies to the comparison.",
            file=settings.compare,
        )
    lines = [["probe score", "measure", "all encoders", "within strategies"]]
    sentences, figures = [], {}
    for task in dict.fromkeys(name for row in rows for name in row["scores"]):
        own, said, figure = _task_correlations(rows, task, settings.seed, note_of(manifest))
        lines, sentences = lines + own, sentences + said
        figures[f"explanation_{file_name(task)}"] = figure
    strategies = len({row["strategy"] for row in rows})
    text = [
        f"{len(rows)} encoders of {strategies} strategies. Spearman's correlation of each measure with each "
        "probe's balanced accuracy; in brackets: 95 % intervals over encoders. Encoders of one strategy resemble each "
        "other, which makes the intervals of the first column too narrow; the second column subtracts each strategy's "
        "mean first.",
        "\n".join(sentences),
        markdown_table(lines),
    ]
    return Section("Do the measures predict probe scores?", text, {"explanation": _table(rows)}, figures)


def _task_correlations(rows, task, seed, note):
    """Table lines, sentences and the figure of the measures against one task's probe scores."""
    score = np.array([row["scores"].get(task, np.nan) for row in rows], float)
    strategies = np.array([row["strategy"] for row in rows])
    drawn = {text: [row[name] for row in rows] for name, text in MEASURES.items()}
    lines, sentences = [], []
    for text, values in drawn.items():
        over, within = (rank_correlation(values, score, groups, seed=seed) for groups in (None, strategies))
        lines.append([task, text, *(number(c.value, c.low, c.high) for c in (over, within))])
        sentences.append(f"- {over.sentence(text, task, within)}")
    title = f"{task}\n(balanced accuracy)"
    return lines, sentences, learned.explanations(drawn, score, strategies, score_name=title, note=note)


def _table(rows):
    """A row for each encoder, NaN where it has no such score."""
    flat = [{**{k: v for k, v in row.items() if k != "scores"}, **row["scores"]} for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    return [{name: row.get(name, np.nan) for name in columns} for row in flat]


def _measured(folder, manifest, settings):
    """Measures and scores of a cell; None if it has no encoder of several modalities."""
    if not (folder / "model").is_dir():
        return None
    facts = json.loads((folder / "cell.json").read_bytes())
    encoder = encoder_of(load(folder / "model"))
    if len(encoder.modalities) < 2:
        return None
    print(f"measures of {folder.name}", flush=True)
    records = analysed_runs.held_out(folder, manifest)
    windows = extraction.batches(manifest, encoder.modalities, settings.windows, records=records)
    sums = attention_sums(encoder, ((inputs, people) for inputs, people, _ in windows), nulls=False)
    mass, even = sums.total(CONDITIONS[0])
    inputs, _, _ = extraction.arrays(manifest, encoder.modalities, settings.few_windows, records=records)
    tuned = encoder_tuning(encoder, inputs, seed=settings.seed)
    return {
        "cell": folder.name,
        **{name: facts[name] for name in ("strategy", "seed", "fold")},
        "alignment": float(alignment_of_others(mass, even, settings.aligned_width)[-1]),
        "cross_modality": float(cross_modality(mass, even)[-1]),
        "distributedness": float(np.nanmean(tuned.distributedness[-1, -1])),
        "scores": {name: scores[SCORE] for name, scores in facts["scores"].items() if scores.get(SCORE) is not None},
    }
