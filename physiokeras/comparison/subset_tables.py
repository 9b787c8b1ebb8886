"""Tables of a comparison's page: scores where only some modalities are left at test time."""

import numpy as np

from physiokeras.comparison.predictions import KEPT, MAPPED, REFIT
from physiokeras.comparison.table import DRAWN, interval_text
from physiokeras.evaluation.scores import with_chance
from physiokeras.markdown import markdown_table

PROBES = {
    KEPT: "the same probes, the other modalities marked absent in the test windows",
    MAPPED: "the same probes on features that a linear map, fitted without labels, predicts of all modalities",
    REFIT: "probes fitted on training windows that lack the same modalities as the test windows",
}


def missing_modalities(table, task, reference, word):
    """Yields lines: a task's scores where only some modalities are left, and differences to the reference."""
    found = table.subsets[table.subsets.index.get_level_values("task") == task.name]
    probes = found.index.unique("probe")
    if len(probes):
        yield f"### {task.name.capitalize()} where only some modalities are left{word}\n"
    for probe in probes:
        yield f"{with_chance('Balanced accuracy', DRAWN, len(task.classes))} of {PROBES[probe]}.\n"
        yield subset_table(found.loc[probe]) + "\n"
        yield from subset_differences(table, probe, task.name, reference)
        yield f"![Modalities missing](figures/subsets_{probe}_{task.name}.png)\n"


def subset_differences(table, probe, task, reference):
    """Yields lines: differences to the reference with as many modalities left, mean over the subsets of that size."""
    own = table.subsets.xs((probe, task), level=("probe", "task"))
    if reference not in own.index.unique("strategy"):
        return
    sizes = {}
    for subset in own.loc[reference].index.unique("subset"):
        sizes.setdefault(subset.count("+") + 1, []).append(subset)
    rows = [
        (
            name,
            *(interval_text(table.over_subsets(probe, name, reference, task, sizes[size])) for size in sorted(sizes)),
        )
        for name in own.index.unique("strategy")
        if name != reference
    ]
    rows = [row for row in rows if set(row[1:]) != {"-"}]
    if rows:
        yield f"The same less {reference}, mean over all subsets of a size:\n"
        yield markdown_table([("strategy", *(f"{size} left" for size in sorted(sizes))), *rows]) + "\n"


def subset_table(found, score=DRAWN):
    """A probe's scores of one task: a row for each subset of the modalities, a column for each strategy."""
    found = found.xs(score, level="score").droplevel("task")
    strategies = list(found.index.unique("strategy"))
    subsets = sorted(found.index.unique("subset"), key=lambda name: (name.count("+"), name))
    rows = [(subset, *(subset_mean(found, strategy, subset) for strategy in strategies)) for subset in subsets]
    return markdown_table([("modalities left", *strategies), *rows])


def subset_mean(found, *key):
    """Mean over seeds of a score on a subset, "-" where there is none."""
    return f"{np.mean(found.loc[key].to_numpy()):.3f}" if key in found.index else "-"
