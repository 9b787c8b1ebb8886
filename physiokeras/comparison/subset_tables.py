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
SHORT = {KEPT: "the probes as they are", MAPPED: "features mapped", REFIT: "probes fitted again"}


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
    sizes = {}
    for subset in subsets_of(table, probe, reference):
        sizes.setdefault(subset.count("+") + 1, []).append(subset)
    rows = []
    for name in others(table, probe, reference) if sizes else ():
        found = [table.over_subsets(probe, name, reference, [task], sizes[size]) for size in sorted(sizes)]
        rows += [(name, *map(interval_text, found))] if any(found) else []
    if rows:
        yield f"The same less {reference}, mean over all subsets of a size:\n"
        yield markdown_table([("strategy", *(f"{size} left" for size in sorted(sizes))), *rows]) + "\n"


def where_missing(table, tasks, reference):
    """Yields a sentence for each kind of probe: the reference against all others where modalities are missing.

    Args:
        table: `ScoreTable`.
        tasks: Names of the tasks with classes.
        reference: Name of the strategy.
    """
    for probe in table.subsets.index.unique("probe"):
        subsets = sorted(subsets_of(table, probe, reference), key=lambda name: name.count("+"))[:-1]
        said = {"above": [], "below": [], "not to be told from": []}
        for name in others(table, probe, reference) if subsets else ():
            less = table.over_subsets(probe, reference, name, tasks, subsets)
            if less is not None and not np.isnan(less.value):
                how = "above" if less.low > 0 else "below" if less.high < 0 else "not to be told from"
                said[how].append(f"{name} ({interval_text(less)})")
        parts = [f"{how} {', '.join(names)}" for how, names in said.items() if names]
        if parts:
            what = "the mean over tasks and subsets" if tasks[1:] else "the mean over subsets"
            yield f"Where modalities are missing, {SHORT[probe]}, {reference} is {'; '.join(parts)}: {what}."


def subsets_of(table, probe, strategy):
    """Names of the subsets on which a strategy is scored by a kind of probe, that of all modalities among them."""
    own = table.subsets.xs(probe, level="probe")
    return own.loc[[strategy]].index.unique("subset") if strategy in own.index.unique("strategy") else ()


def others(table, probe, reference):
    """Names of the strategies that a kind of probe scores on subsets, without the reference."""
    found = table.subsets.xs(probe, level="probe").index.unique("strategy")
    return [name for name in found if name != reference]


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
