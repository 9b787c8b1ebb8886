"""The page of a comparison, in Markdown: tables, and what follows from them in plain words."""

import json

import numpy as np

from physiokeras.comparison.cells import FACTS
from physiokeras.comparison.predictions import KEPT, REFIT
from physiokeras.comparison.strategies import TIME
from physiokeras.comparison.table import AGGREGATE, OF_PEOPLE
from physiokeras.evaluation.scores import main_scores, scores_by_group
from physiokeras.experiments.reports import CAUTION, is_simulated
from physiokeras.markdown import markdown_table

TITLES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "mae": "mean absolute error, years"}
DETAILS = {"macro_f1": "macro F1", "kappa": "kappa", "auprc": "AUPRC", "accuracy": "accuracy", "ece": "ECE"}
ORDER = (("input_dropout", "mae"), ("mae", "pairwise"), ("mae", "leave_one_out"))
"""The paper's order of strategies on the aggregate; the best unimodal one comes below the first of all."""

BASELINES = ("untrained", "supervised", TIME)
PROBES = {
    KEPT: "the same probes, the other modalities marked absent in the test windows",
    REFIT: "probes fitted on training windows that lack the same modalities as the test windows",
}


def facts(cell):
    """What a finished cell's `cell.json` holds."""
    return json.loads((cell.folder / FACTS).read_bytes())


def reference_of(row, reference):
    """The row that another one is compared with: the reference with the same scaling of features."""
    _, comma, scaling = row.partition(", ")
    return f"{reference}, {scaling}" if comma else reference


def main(pooled, found, best, manifest, settings):
    """Yields lines: what was compared, the main table, differences to the reference, what follows."""
    word = " (simulated)" if is_simulated(manifest) else ""
    yield f"# Comparison of strategies{word}\n"
    if word:
        yield f"{CAUTION}\n"
    yield from heading(pooled, manifest, settings)
    columns = shown(pooled)
    titles = [f"{task}: {TITLES[score]}" for task, score in columns]
    yield f"## Scores{word}\n"
    rows = [(named(row, best), *(spread(of.get(task), score) for task, score in columns)) for row, of in found.items()]
    yield markdown_table([("strategy", *titles), *rows]) + "\n"
    names = [task.name for task in pooled.tasks if task.classes]
    aggregate = f"the mean of the balanced accuracies of {', '.join(names)}" if names[1:] else "the balanced accuracy"
    yield f"Mean ± standard deviation over seeds. The aggregate is ours, the paper's is unknown: {aggregate}.\n"
    others = {row: found.get(reference_of(row, settings.reference)) for row in found}
    rows = [
        (named(row, best), *(difference(of, others[row], *column) for column in columns))
        for row, of in found.items()
        if others[row] is not None and others[row] is not of
    ]
    if rows:
        yield f"## Differences to {settings.reference}{word}\n"
        yield markdown_table([("strategy", *titles), *rows]) + "\n"
        yield "In brackets 95 % over people: seeds averaged, the same people drawn on both sides.\n"
    yield "![Scores](figures/balanced_accuracy.png)\n"
    yield f"## What the numbers say{word}\n"
    yield from (f"- {line}" for line in verdict(found, best, settings.reference))
    yield ""


def detail(pooled, found, subsets, manifest, cells):
    """Yields lines: people, classes, groups, calibration, modalities missing, cost, and how it was made."""
    word = " (simulated)" if is_simulated(manifest) else ""
    tasks = [task for task in pooled.tasks if task.classes]
    groups = groups_of(pooled, manifest)
    for task in tasks:
        yield f"## {task.name.capitalize()}{word}\n"
        rows = [
            (row, *(spread(of[task.name], name) for name in DETAILS), *f1_of(pooled, row, task))
            for row, of in in_task(found, task)
        ]
        yield markdown_table([("strategy", *DETAILS.values(), *(f"F1 {name}" for name in task.classes)), *rows]) + "\n"
        for title, of_windows in groups.items():
            names = sorted(set(of_windows.tolist()) - {""})
            head = [f"{name} ({len(set(pooled.people[of_windows == name].tolist()))} people)" for name in names]
            rows = [(row, *by_group(pooled, row, task, of_windows, names)) for row, _ in in_task(found, task)]
            if len(names) > 1:
                yield f"Balanced accuracy by {title}:\n"
                yield markdown_table([("strategy", *head), *rows]) + "\n"
        yield f"![Calibration](figures/calibration_{task.name}.png)\n"
        if subsets:
            yield f"### {task.name.capitalize()} where only some modalities are left{word}\n"
        for probe, own in subsets.items():
            yield f"Balanced accuracy of {PROBES[probe]}.\n"
            yield subset_table(own, task.name) + "\n"
            yield f"![Modalities missing](figures/subsets_{probe}_{task.name}.png)\n"
    yield "## How it was made\n"
    yield cost(cells) + "\n"
    yield from explanation(manifest, cells)


def heading(pooled, manifest, settings):
    """Yields lines that say what was scored."""
    held = f"{settings.folds} folds over people" if settings.folds else "the data's own splits"
    people = len(np.unique(pooled.people))
    yield (
        f"{manifest.definition['name']}: {people} test people, {len(pooled.people)} windows; {held}, {settings.seeds} "
        f"seed{'s' * (settings.seeds > 1)}, {settings.steps} steps, {settings.backend}.\n"
    )


def shown(pooled):
    """Pairs of task and score in the main table, the aggregate first unless it is the one task's own score."""
    several = sum(bool(task.classes) for task in pooled.tasks) > 1
    columns = [(AGGREGATE, "balanced_accuracy")] if several else []
    for task in pooled.tasks:
        columns += [(task.name, score) for score in (("balanced_accuracy", "auroc") if task.classes else ("mae",))]
        columns += [(task.name + OF_PEOPLE, "balanced_accuracy")] if task.classes and task.of_people else []
    return columns


def named(row, best):
    """A row's name, the best unimodal one marked."""
    return f"{row} (best unimodal)" if row == best else row


def spread(reached, score):
    """Mean ± standard deviation over seeds; the mean alone where there is one seed, "-" where no score is defined."""
    if reached is None or score not in reached.seeds or np.isnan(reached.mean(score)):
        return "-"
    digits = 1 if score == "mae" else 3
    several = len(reached.seeds[score]) > 1
    return f"{reached.mean(score):.{digits}f}" + (f" ± {reached.deviation(score):.{digits}f}" if several else "")


def difference(own, other, task, score):
    """Difference of two rows with its interval."""
    if task not in own or task not in other or score not in own[task].seeds or score not in other[task].seeds:
        return "-"
    found, digits = own[task].less(other[task], score), 1 if score == "mae" else 3
    if np.isnan(found.value):
        return "-"
    return f"{found.value:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def verdict(found, best, reference):
    """List of sentences: whether the paper's order comes out, and what pretraining gains."""
    pairs = [*ORDER, ("input_dropout", best)]
    compared = [(pair, aggregate_less(found, *pair)) for pair in pairs]
    compared = [(pair, less) for pair, less in compared if less is not None]
    lines = []
    if compared:
        good = sum(less.low > 0 for _, less in compared)
        bad = sum(less.high < 0 for _, less in compared)
        answer = "comes out" if good == len(compared) else "does not come out" if not good else "comes out in part"
        lines.append(
            f"The paper's order on the aggregate {answer}: of {len(compared)} comparisons {good} "
            f"are as in the paper, {len(compared) - good - bad} cannot be told from chance, {bad} are the other way."
        )
        lines += [sentence(pair, less) for pair, less in compared]
    for other in BASELINES:
        less = aggregate_less(found, reference, other)
        if less is not None:
            lines.append(sentence((reference, other), less))
    return lines


def aggregate_less(found, first, second):
    """`Interval` of the difference of two rows' aggregates; None where either has none, or one that is not defined."""
    if any(AGGREGATE not in found.get(name, {}) for name in (first, second)):
        return None
    less = found[first][AGGREGATE].less(found[second][AGGREGATE], "balanced_accuracy")
    return None if np.isnan(less.value) else less


def sentence(pair, less):
    """What a difference of aggregates says."""
    first, second = pair
    numbers = f"{less.value:+.3f} [{less.low:+.3f}, {less.high:+.3f}]"
    if less.low > 0:
        return f"{first} is above {second}: {numbers}."
    if less.high < 0:
        return f"{first} is below {second}: {numbers}."
    return f"{first} cannot be told from {second}: {numbers}."


def in_task(found, task):
    """Pairs of row and its scores by task, of the rows that answer the task."""
    return [(row, of) for row, of in found.items() if task.name in of]


def f1_of(pooled, row, task):
    """F1 of each class, mean over seeds."""
    values = [main_scores(pooled.targets[task.name], own)["f1"] for own in pooled.answers[row][task.name]]
    return [f"{value:.3f}" for value in np.mean(values, axis=0)]


def groups_of(pooled, manifest):
    """By "sex" and by "age", each window's group, "" where unknown."""
    people = {record.person: record for record in manifest.records}
    ages = [record.age for record in people.values() if record.age is not None]
    middle = float(np.median(ages)) if ages else 0.0

    def age(record):
        known = record.age is not None and not np.isnan(record.age)
        return (f"up to {middle:g}" if record.age <= middle else f"over {middle:g}") if known else ""

    every = [people[person] for person in pooled.people.tolist()]
    return {
        "sex": np.array([record.sex or "" for record in every]),
        "age": np.array([age(record) for record in every]),
    }


def by_group(pooled, row, task, of_windows, names):
    """Balanced accuracy of each group, mean over seeds."""
    each = [scores_by_group(pooled.targets[task.name], own, of_windows) for own in pooled.answers[row][task.name]]
    values = [[(seed[name] or {}).get("balanced_accuracy", np.nan) for seed in each] for name in names]
    return ["-" if np.isnan(own).any() else f"{np.mean(own):.3f}" for own in values]


def subset_table(subsets, task, score="balanced_accuracy"):
    """The table of subsets by strategies."""
    rows = {name: of_tasks[task] for name, of_tasks in subsets.items() if task in of_tasks}
    every = sorted({subset for own in rows.values() for subset in own}, key=lambda name: (name.count("+"), name))
    lines = [
        (subset, *(f"{np.mean(own[subset][score]):.3f}" if subset in own else "-" for own in rows.values()))
        for subset in every
    ]
    return markdown_table([("modalities left", *rows), *lines])


def cost(cells):
    """A table of what each strategy's cells took; the first of a compiled program takes longer."""
    found = {}
    for cell in cells:
        found.setdefault(cell.entrant.name, []).append(facts(cell))
    rows = [("strategy", "encoder's parameters", "cells", "seconds a cell (median)", "of these training")]
    for name, own in found.items():
        training = np.median([one["seconds"]["train"] for one in own])
        whole = np.median([sum(one["seconds"].values()) for one in own])
        rows.append((name, own[0]["parameters"] or "-", len(own), f"{whole:.0f}", f"{training:.0f}"))
    return markdown_table(rows)


def explanation(manifest, cells):
    """Yields paragraphs that say what the numbers rest on."""
    yield (
        "No test person is in any pretraining, probe or training of their cell. Probes' strengths and the length of "
        "supervised trainings are chosen on validation people; nothing was chosen on test people but which unimodal "
        "strategy is called the best, which favours it. All strategies of a seed begin from weights of the same draw.\n"
    )
    if cells[0].settings.class_weight:
        yield (
            "Classes weigh alike in probes and supervised trainings, which suits balanced accuracy and distorts "
            "calibration (ECE: expected calibration error).\n"
        )
    if any(scaling != "raw" for cell in cells for scaling in cell.settings.scalings):
        robust = [m for m in manifest.modalities if manifest.definition["modalities"][m]["scale"] == "robust"]
        yield (
            "per person: each feature less its mean, by its standard deviation, over all windows of the person, and a "
            "probe on that, also on features of the supervised network, whose own answer is the row without it. It "
            "uses a test person's whole session (without the labels), so it is not what a sensor could tell at the "
            f"time. Signals scaled over each whole record in every row: {', '.join(robust) or 'none'}.\n"
        )
    if any(cell.entrant.name == TIME for cell in cells):
        yield (
            "time_alone: a probe on the time since the recording began. Where the order of tasks was fixed, it tells "
            "how much the protocol gives away.\n"
        )
