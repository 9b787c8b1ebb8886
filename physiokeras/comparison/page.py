"""The page of a comparison, in Markdown: tables, and conclusions in words."""

from statistics import harmonic_mean

import numpy as np

from physiokeras.comparison import making
from physiokeras.comparison.predictions import RAW
from physiokeras.comparison.strategies import BAND_POWER, TIME, overrides
from physiokeras.comparison.subset_tables import missing_modalities, where_missing
from physiokeras.comparison.table import AGGREGATE, OF_PEOPLE, interval_text, label
from physiokeras.evaluation.how_to_read import FEW_PEOPLE, INPUTS
from physiokeras.evaluation.scores import error_of_median, scores_by_group, with_chance
from physiokeras.experiments.reports import CAUTION, is_simulated
from physiokeras.markdown import markdown_table

TITLES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "mae": "mean absolute error"}
FEW_SEEDS = 3
"""Seeds below which the page warns: intervals over people leave out how much one training differs from the next."""

LITTLE = 0.05
"""Share by which a loss must have fallen since its first row, or the page says that nothing has been learned."""

DETAILS = {"macro_f1": "macro F1", "kappa": "kappa", "auprc": "AUPRC", "accuracy": "accuracy", "ece": "ECE"}
ORDER = (("input_dropout", "mae"), ("mae", "pairwise"), ("mae", "leave_one_out"))
"""The paper's order of strategies on the aggregate; the best unimodal one comes below the first of all."""

BASELINES = ("untrained", "supervised", BAND_POWER, TIME)


def main(pooled, table, best, manifest, settings, more=()):
    """Yields lines: what was compared, the main table, differences to the reference, what follows.

    `more` are further cautions, sentences.
    """
    word = " (simulated)" if is_simulated(manifest) else ""
    yield f"# Comparison of strategies{word}\n"
    if word:
        yield f"{CAUTION}\n"
    yield from heading(pooled, manifest, settings)
    columns = shown(pooled)
    years = {task.name for task in pooled.tasks if task.kind == "years"}
    lower = ", years, lower is better"
    titles = [f"{task}: {TITLES[score]}{lower if task in years else ''}" for task, score in columns]
    counts = classes_of(pooled.tasks)
    headed = [
        with_chance(t, s, counts[task]) if task in counts else t for t, (task, s) in zip(titles, columns, strict=True)
    ]
    yield f"## Scores{word}\n"
    known = rows_of(table)
    rows = [(named(row, best), *(mean_and_deviation(table, *row, *column) for column in columns)) for row in known]
    yield markdown_table([("strategy", *headed), *rows]) + "\n"
    names = [task.name for task in pooled.tasks if task.classes]
    aggregate = f"the mean of the balanced accuracies of {', '.join(names)}" if names[1:] else "the balanced accuracy"
    spread = "Mean ± standard deviation over seeds." if settings.seeds > 1 else "One seed."
    yield f"{spread} The aggregate is ours, the paper's is unknown: {aggregate}.\n"
    yield from of_people(pooled, columns, years)
    reference = settings.reference
    rows = [
        (named((name, scaling), best), *(difference(table, name, reference, scaling, *column) for column in columns))
        for name, scaling in known
        if name != reference and (reference, scaling) in known
    ]
    if rows:
        yield f"## Differences to {reference}{word}\n"
        yield markdown_table([("strategy", *titles), *rows]) + "\n"
        yield (
            f"The row minus {reference}. In brackets 95 % over people: seeds averaged, the same people drawn on both "
            "sides. They leave out how much one training differs from the next.\n"
        )
    elif len(known) > 1:
        yield f"No differences: {reference} is none of the strategies. Name one of them with --reference.\n"
    yield "![Scores](figures/balanced_accuracy.png)\n"
    yield f"## What the numbers say{word}\n"
    yield from (f"- {line}" for line in [*cautions(pooled, settings), *more, *verdict(pooled, table, best, reference)])
    yield ""


def of_people(pooled, columns, years):
    """Yields lines on columns that have one prediction a person.

    Args:
        pooled: `Pool`.
        columns: As of `shown`.
        years: Names of the tasks in years.
    """
    if any(task.endswith(OF_PEOPLE) for task, _ in columns):
        yield f'"{OF_PEOPLE.strip()}": one prediction a person, the mean over the windows.\n'
    for task in sorted(years):
        error = error_of_median(pooled.targets[task], pooled.people)
        yield f"{task}: one prediction a person. Guessing the median of these people every time gives {error:.1f}.\n"


def detail(pooled, table, manifest, cells, losses, reference):
    """Yields lines: people, classes, groups, calibration, modalities missing, cost, and how it was made."""
    word = " (simulated)" if is_simulated(manifest) else ""
    groups = groups_of(pooled, manifest)
    for task in (task for task in pooled.tasks if task.classes):
        yield f"## {task.name.capitalize()}{word}\n"
        scores = [*DETAILS, *(f"f1 {name}" for name in task.classes)]
        titles = [with_chance(title, score, len(task.classes)) for score, title in DETAILS.items()]
        titles += [f"F1 {name}" for name in task.classes]
        known = [row for row in rows_of(table) if (*row, task.name, "accuracy") in table.pooled.index]
        rows = [
            (label(*row), *(mean_and_deviation(table, *row, task.name, score) for score in scores)) for row in known
        ]
        yield markdown_table([("strategy", *titles), *rows]) + "\n"
        for title, of_windows in groups.items():
            names = sorted(set(of_windows.tolist()) - {""})
            head = [f"{name} ({len(set(pooled.people[of_windows == name].tolist()))} people)" for name in names]
            rows = [(label(*row), *by_group(pooled, row, task, of_windows, names)) for row in known]
            if len(names) > 1:
                yield f"{with_chance('Balanced accuracy', 'balanced_accuracy', len(task.classes))} by {title}:\n"
                yield markdown_table([("strategy", *head), *rows]) + "\n"
        yield f"![Calibration](figures/calibration_{task.name}.png)\n"
        yield from missing_modalities(table, task, reference, word)
    yield "## How it was made\n"
    yield from making.made(manifest, cells, losses)


def heading(pooled, manifest, settings):
    """Yields lines that say what was scored."""
    held = f"{settings.folds} folds over people" if settings.folds else "the data's own splits"
    people, read = len(np.unique(pooled.people)), INPUTS[settings.view]
    yield (
        f"{manifest.definition['name']}: {people} test people, {len(pooled.people)} windows; {held}, {settings.seeds} "
        f"seed{'s' * (settings.seeds > 1)}, {settings.steps} steps{supervision(settings)}, {settings.backend}; "
        f"encoders read {read}.\n"
    )


def supervision(settings):
    """Words on the length of supervised training, "" where no strategy has any."""
    if not any(own.objective == "supervised" for _, own in overrides(settings)):
        return ""
    steps, interval = settings.supervised_steps, settings.supervised_interval
    return (
        f" (supervised from scratch: at most {steps}, the loss on validation people every {min(interval, steps)}, "
        f"end after {settings.patience} without a lower one)"
    )


def shown(pooled):
    """Pairs of task and score in the main table, the aggregate first unless it is the one task's own score."""
    several = sum(bool(task.classes) for task in pooled.tasks) > 1
    columns = [(AGGREGATE, "balanced_accuracy")] if several else []
    for task in pooled.tasks:
        columns += [(task.name, score) for score in (("balanced_accuracy", "auroc") if task.classes else ("mae",))]
        columns += [(task.name + OF_PEOPLE, "balanced_accuracy")] if task.classes and task.of_people else []
    return columns


def classes_of(tasks):
    """Number of classes of each column of the main table that has classes.

    The aggregate's chance level is the mean of 1/classes: that of the harmonic mean of the numbers of classes.
    """
    counts = {task.name: len(task.classes) for task in tasks if task.classes}
    everyone = {name + OF_PEOPLE: count for name, count in counts.items()}
    aggregate = {AGGREGATE: harmonic_mean(list(counts.values()))} if counts else {}
    return {**counts, **everyone, **aggregate}


def rows_of(table):
    """The rows of the main tables in order: pairs of strategy and scaling."""
    return list(dict.fromkeys((strategy, scaling) for strategy, scaling, *_ in table.pooled.index))


def named(row, best):
    """A row's label, the best unimodal one marked."""
    return f"{label(*row)} (best unimodal)" if row == (best, RAW) else label(*row)


def mean_and_deviation(table, *key):
    """Mean ± standard deviation over seeds; the mean alone where there is one seed, "-" where no score is defined."""
    if key not in table.pooled.index:
        return "-"
    values, score = table.pooled.loc[key].to_numpy(), key[-1]
    mean = np.mean(values)
    if score.startswith("f1 "):
        return f"{mean:.3f}"
    if np.isnan(mean):
        return "-"
    digits = 1 if score == "mae" else 3
    return f"{mean:.{digits}f}" + (f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else "")


def difference(table, strategy, other, scaling, task, score):
    """Difference of two strategies with its interval, "-" where it is not defined."""
    found = table.difference((strategy, scaling, task, score), (other, scaling, task, score))
    return interval_text(found, digits=1 if score == "mae" else 3)


def cautions(pooled, settings):
    """List of sentences: why the intervals say less than they seem to; empty with people and seeds enough."""
    people, lines = len(np.unique(pooled.people)), []
    if people < FEW_PEOPLE:
        lines.append(
            f"Caution: {people} test {'people' if people > 1 else 'person'}. Intervals over fewer than {FEW_PEOPLE} "
            'people are too narrow: "above" and "below" hold for these people, not for others.'
            + ("" if settings.folds else " With --folds 5 everybody is tested, in turns.")
        )
    if settings.seeds < FEW_SEEDS:
        seeds = "one seed" if settings.seeds == 1 else f"{settings.seeds} seeds"
        lines.append(
            f"Caution: {seeds}. Intervals leave out how much a training differs from the next; give --seeds "
            f"{FEW_SEEDS} or more."
        )
    return lines


def not_learned(losses):
    """List of a sentence that names the strategies whose losses have hardly fallen; empty where all have.

    Args:
        losses: As `making.curves` gives them.
    """
    still = [name for name, cells in losses.items() if np.median([_fall(columns) for columns in cells]) < LITTLE]
    if not still:
        return []
    return [
        f"Caution: the loss of {', '.join(still)} has never fallen by {LITTLE:.0%} from its first row. So few "
        "steps cannot tell objectives apart; give more --steps."
    ]


def _fall(columns):
    name = next((name for name in ("val_loss", "loss") if np.isfinite(columns.get(name, [np.nan])).all()), None)
    return 1 - np.min(columns[name]) / columns[name][0] if name else np.nan


def verdict(pooled, table, best, reference):
    """List of sentences: whether the paper's order comes out, what pretraining gains, also with modalities missing."""
    pairs = [*ORDER, ("input_dropout", best)]
    compared = [(pair, aggregate_less(table, *pair)) for pair in pairs]
    compared = [(pair, less) for pair, less in compared if less is not None]
    lines = []
    if compared:
        good = sum(less.low > 0 for _, less in compared)
        bad = sum(less.high < 0 for _, less in compared)
        outcome = "comes out" if good == len(compared) else "does not come out" if not good else "comes out in part"
        lines.append(
            f"The paper's order on the aggregate (input dropout > MAE > contrast; input dropout > best unimodal) "
            f"{outcome}. Comparisons: {len(compared)}; as in the paper: {good}; not to be told from chance: "
            f"{len(compared) - good - bad}; the other way: {bad}. Below, the first named minus the second."
        )
        lines += [sentence(pair, less) for pair, less in compared]
    said = {pair for pair, _ in compared}
    others = [name for name, scaling in rows_of(table) if scaling == RAW and name != reference]
    others = [*(name for name in others if name not in BASELINES and not name.startswith("unimodal")), *BASELINES]
    for other in others:
        less = None if (reference, other) in said else aggregate_less(table, reference, other)
        if less is not None:
            lines.append(sentence((reference, other), less))
    return [*lines, *where_missing(table, [task.name for task in pooled.tasks if task.classes], reference)]


def aggregate_less(table, first, second):
    """`Interval` of the difference of two strategies' aggregates; None where it is not defined."""
    first, second = ((name, RAW, AGGREGATE, "balanced_accuracy") for name in (first, second))
    found = table.difference(first, second)
    return None if found is None or np.isnan(found.value) else found


def sentence(pair, less):
    """A difference of aggregates in words."""
    first, second = pair
    numbers = f"{less.value:+.3f} [{less.low:+.3f}, {less.high:+.3f}]"
    if less.low > 0:
        return f"{first} is above {second}: {numbers}."
    if less.high < 0:
        return f"{first} is below {second}: {numbers}."
    return f"{first} cannot be told from {second}: {numbers}."


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
    predicted = pooled.of_row(*row)[task.name]
    each = [scores_by_group(pooled.targets[task.name], own, of_windows) for own in predicted]
    values = [[(seed[name] or {}).get("balanced_accuracy", np.nan) for seed in each] for name in names]
    return ["-" if np.isnan(own).any() else f"{np.mean(own):.3f}" for own in values]
