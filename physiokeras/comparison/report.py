"""Results of a comparison: a page, tables as CSV, figures."""

import numpy as np

from physiokeras.comparison import making
from physiokeras.comparison import page as pages
from physiokeras.comparison.pool import ALL
from physiokeras.comparison.predictions import RAW
from physiokeras.comparison.strategies import UNIMODAL
from physiokeras.comparison.table import AGGREGATE, DRAWN, best_unimodal, label
from physiokeras.evaluation.scores import calibration_sums, scored
from physiokeras.experiments.reports import note_of
from physiokeras.figures import loss, strategy_scores, style
from physiokeras.figures.style import SERIES
from physiokeras.files import write_atomic, write_csv


def report(run, cells, pooled, table, manifest, settings):
    """Write the results of a comparison into the run's folder, and print the main tables.

    Args:
        run: `Run`; its folder gets `scores.md`, `scores.csv`, `table.csv`, `subsets.csv` and `figures/`.
        cells: list of `Cell`.
        pooled: `Pool` of the cells' predictions.
        table: `ScoreTable` of these.
        manifest: `Manifest`.
        settings: Those of the command.
    """
    folder = run.folder
    strategies = list({cell.strategy.name: cell.strategy for cell in cells}.values())
    best = best_unimodal(strategies, table)
    losses = making.curves(cells)
    more = [*pages.not_learned(losses), *not_shown(folder, strategies)]
    main = list(pages.main(pooled, table, best, manifest, settings, more))
    detail = list(pages.detail(pooled, table, manifest, cells, losses, settings.reference))
    print("\n" + "\n".join(main) + f"\n\nEverything is in {folder}", flush=True)
    write_atomic(folder / "scores.md", "\n".join([*main, *detail]) + "\n")
    write_csv(folder / "scores.csv", score_lines(table))
    write_csv(folder / "table.csv", table_lines(table, settings.reference))
    if len(table.subsets):
        write_csv(folder / "subsets.csv", subset_lines(table, settings.reference))
    else:
        (folder / "subsets.csv").unlink(missing_ok=True)  # of an earlier state of the comparison
    draw(folder / "figures", strategies, losses, pooled, table, best, manifest, settings)
    verdict = [*pages.cautions(pooled, settings), *more, *pages.verdict(pooled, table, best, settings.reference)]
    run.note(cells=[cell.folder.name for cell in cells], verdict=verdict)


def not_shown(folder, strategies):
    """List of a sentence that names strategies whose cells are in the folder, but not on the page; or empty."""
    there = {path.parent.name.rpartition("-seed-")[0] for path in folder.glob("cells/*/cell.json")}
    others = there - {strategy.name for strategy in strategies}
    names = ", ".join(sorted({UNIMODAL if name.startswith(f"{UNIMODAL}_") else name for name in others}))
    advice = "Name them, or their TOML files, in --strategies too."
    return [f"Not on this page, but computed before: {names}. {advice}"] if others else []


def score_lines(table):
    """Lines of `scores.csv`: each cell's scores, and those of all folds together under the fold "all"."""
    yield "strategy", "seed", "fold", "task", "score", "value"
    values = table.values[(table.values["subset"] == ALL) & ~table.values["score"].str.startswith("f1 ")]
    for row in values.itertuples():
        # A cell's score that is not defined is empty.
        value = "" if row.fold != ALL and np.isnan(row.value) else f"{row.value:.6g}"
        yield label(row.strategy, row.scaling), row.seed, row.fold, row.task, row.score, value


def table_lines(table, reference):
    """Lines of `table.csv`: means over seeds with intervals over people, and differences to the reference."""
    yield (
        *("strategy", "task", "score", "mean", "sd_over_seeds", "low", "high"),
        *("less_reference", "less_reference_low", "less_reference_high"),
    )
    for key in table.draws.index:
        strategy, scaling, task, score = key
        own, less = table.interval(*key), table.difference(key, (reference, scaling, task, score))
        numbers = [own.value, deviation(table.pooled.loc[key]), own.low, own.high]
        numbers += [less.value, less.low, less.high] if less else []
        yield label(strategy, scaling), task, score, *(f"{number:.6g}" for number in numbers)


def subset_lines(table, reference):
    """Lines of `subsets.csv`: as those of `table.csv`; what is not drawn has no intervals."""
    yield (
        *("probe", "strategy", "task", "modalities", "score", "mean", "sd_over_seeds", "low", "high"),
        *("less_reference", "less_reference_low", "less_reference_high"),
    )
    for key, values in table.subsets.iterrows():
        probe, strategy, task, subset, score = key
        others = (None, reference) if score == DRAWN else ()
        own, less = [table.over_subsets(probe, strategy, other, [task], [subset]) for other in others] or (None, None)
        numbers = [np.mean(values.to_numpy()), deviation(values), *((own.low, own.high) if own else ("", ""))]
        numbers += [less.value, less.low, less.high] if less else [""] * 3
        yield *key, *(f"{number:.6g}" if number != "" else "" for number in numbers)


def deviation(seeds):
    """Standard deviation over seeds; NaN with one seed."""
    return float(np.std(seeds.to_numpy(), ddof=1)) if len(seeds) > 1 else np.nan


def draw(folder, strategies, losses, pooled, table, best, manifest, settings):
    """Draw the figures of a comparison into a folder."""
    note, drawn = note_of(manifest), {}
    if losses:
        drawn["losses"] = loss.losses_of_many(losses, note=note)
    tasks = [task for task in pooled.tasks if task.classes]
    titles = [*(task.name for task in tasks), *([AGGREGATE] if tasks[1:] else [])]
    for score, text in (("balanced_accuracy", "balanced accuracy"), ("auroc", "AUROC")):
        panels = {title: panel(table, title, score) for title in titles}
        panels = {title: values for title, values in panels.items() if values}
        counts = pages.classes_of(tasks)
        chance = {title: 1 / counts[title] if score == "balanced_accuracy" else 0.5 for title in panels}
        options = {"reference": settings.reference, "marked": [best], "chance": chance, "note": note}
        drawn[score] = strategy_scores.points(panels, label=text, **options)
    for probe in table.subsets.index.unique("probe"):
        for task in tasks:
            values = subset_means(table, strategies, probe, task.name)
            drawn[f"subsets_{probe}_{task.name}"] = strategy_scores.subset_map(
                values, task=f"{task.name} ({probe})", chance=1 / len(task.classes), note=note
            )
    shown = {best, *(strategy.name for strategy in strategies if not strategy.is_unimodal)}
    rows = [label(*row) for row in pages.rows_of(table)]
    rows = [row for row in rows if row in shown][: len(SERIES)]
    for task in tasks:
        sums = {name: calibration(pooled, name, task) for name in rows if task.name in pooled.of_row(name, RAW)}
        drawn[f"calibration_{task.name}"] = strategy_scores.reliability(sums, task=task.name, note=note)
    save(folder, drawn)


def save(folder, drawn):
    """Write figures, and remove those that an earlier state of the comparison left.

    Args:
        folder: `figures/`, made if missing.
        drawn: Name to figure.
    """
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.png"):
        if path.stem not in drawn:
            path.unlink()
    for name, figure in drawn.items():
        style.save(figure, folder / f"{name}.png")


def panel(table, task, score):
    """Input of `strategy_scores.points` for a task: row to mean, interval and seeds."""
    values = {}
    for strategy, scaling in pages.rows_of(table):
        key = strategy, scaling, task, score
        if key in table.draws.index:
            own = table.interval(*key)
            values[label(strategy, scaling)] = own.value, own.low, own.high, table.pooled.loc[key].to_numpy()
    return values


def subset_means(table, strategies, probe, task):
    """Input of `strategy_scores.subset_map`: family of strategies to subset to balanced accuracy."""
    family = {strategy.name: strategy.family for strategy in strategies}
    values = {name: {} for name in (UNIMODAL, *family.values())}
    for (own, strategy, of, subset, score), seeds in table.subsets.iterrows():
        if (own, of, score) == (probe, task, DRAWN):
            values[family[strategy]][subset] = float(np.mean(seeds.to_numpy()))
    return {title: row for title, row in values.items() if row}


def calibration(pooled, strategy, task):
    """Sums over seeds of what `calibration_sums` counts."""
    predicted = pooled.of_row(strategy, RAW)[task.name]
    return sum(calibration_sums(*scored(pooled.targets[task.name], own)) for own in predicted)
