"""A grid of two settings: every combination with every seed, and a test of their interaction."""

from dataclasses import replace

import numpy as np

from physiokeras.experiments import reports
from physiokeras.figures import search_scores
from physiokeras.figures.style import save
from physiokeras.files import write_csv
from physiokeras.search.interaction import interaction
from physiokeras.search.tuner import SCORE, score, score_title
from physiokeras.seeds import derive


def search(run, dimensions, task, manifest, settings):
    """Score all cells; finished cells are not repeated.

    Args:
        run: `Run` of the search.
        dimensions: Two `Dimension`s with values.
        task: `Task`.
        manifest: `Manifest`.
        settings: The command's settings.
    """
    first, second = dimensions
    scores = np.empty((settings.seeds, len(first.values), len(second.values)))
    rows = []
    for seed, i, j in np.ndindex(scores.shape):
        values = {first.name: first.values[i], second.name: second.values[j]}
        name = ",".join([f"seed={seed}", *(f"{key}={value}" for key, value in values.items())])
        print(f"Cell {len(rows) + 1} of {scores.size}: {name}", flush=True)
        own = replace(settings, **values, seed=derive(settings.seed, "repetition", seed))
        scores[seed, i, j] = score(run, run.folder / "cells" / name, own, task, manifest)
        rows.append((seed, *values.values(), scores[seed, i, j]))
    write_csv(run.folder / "grid.csv", [("seed", first.name, second.name, "score"), *rows])
    report(run.folder, scores, first, second, manifest, score_title(task))


def report(folder, scores, first, second, manifest, title):
    """Print the test of the interaction; write it and the heat map to the run folder."""
    labels = {"axes": (first.name, second.name), "name": title, "note": reports.note_of(manifest)}
    save(search_scores.heat_map(scores, first.values, second.values, **labels), folder / "grid.png")
    reports.publish(folder, [sentence(scores, first, second)], manifest)


def sentence(scores, first, second):
    """The test of the interaction in words; with one seed, why there is no test."""
    if len(scores) < 2:
        return "With one seed the interaction cannot be tested. Give --seeds 3 or more."
    levels = [d.values if d.kind in (int, float) else None for d in (first, second)]
    found = interaction(scores, *levels)
    return (
        f"Interaction of {first.name} and {second.name} in {SCORE}, {len(scores)} seeds as blocks of a two-way layout: "
        f"F({found.degrees[0]}, {found.degrees[1]}) = {found.f:.2f}, p = {found.p:.3f}.\n"
        f"From {second.values[0]} to {second.values[-1]} {second.name} adds {found.contrast:+.3f} "
        f"[{found.low:+.3f}, {found.high:+.3f}] more at {first.name} {first.values[-1]} than at {first.values[0]} "
        "(bilinear fit, 95 % over seeds by Student's t)."
    )
