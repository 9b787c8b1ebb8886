"""What a comparison ends in: one page, tables as CSV, figures."""

import itertools

import numpy as np

from physiokeras.comparison import page as pages
from physiokeras.comparison.predictions import RAW
from physiokeras.comparison.strategies import UNIMODAL
from physiokeras.comparison.table import AGGREGATE, best_unimodal, pool, scores_of, subset_scores
from physiokeras.evaluation.scores import calibration_sums, scored
from physiokeras.experiments.reports import note_of
from physiokeras.figures import strategy_scores, style
from physiokeras.figures.style import SERIES
from physiokeras.files import write_atomic, write_csv


def report(run, cells, tasks, manifest, settings):
    """Score finished cells, write it all into the run's folder, and print the main tables.

    Args:
        run: `Run`; its folder gets `scores.md`, `scores.csv`, `table.csv`, `subsets.csv` and `figures/`.
        cells: list of `Cell`.
        tasks: list of `Task`.
        manifest: `Manifest`.
        settings: Those of the command.
    """
    folder = run.folder
    entrants = list({cell.entrant.name: cell.entrant for cell in cells}.values())
    pooled = pool(cells, tasks)
    found = scores_of(pooled, settings.draws, settings.seed)
    subsets = subset_scores(pooled)
    best = best_unimodal(entrants, found)
    main = list(pages.main(pooled, found, best, manifest, settings))
    detail = list(pages.detail(pooled, found, subsets, manifest, cells))
    print("\n" + "\n".join(main) + f"\n\nEverything is in {folder}", flush=True)
    write_atomic(folder / "scores.md", "\n".join([*main, *detail]) + "\n")
    write_csv(folder / "scores.csv", cell_rows(cells, pooled, found))
    write_csv(folder / "table.csv", table_rows(found, settings.reference))
    if subsets:
        write_csv(folder / "subsets.csv", subset_rows(subsets))
    draw(folder / "figures", entrants, pooled, found, subsets, best, manifest, settings)
    run.note(cells=[cell.folder.name for cell in cells], verdict=pages.verdict(found, best, settings.reference))


def cell_rows(cells, pooled, found):
    """Rows of `scores.csv`: each cell's scores, and those of all folds together under the fold "all"."""
    yield "strategy", "seed", "fold", "task", "score", "value"
    for cell in cells:
        for key, scores in pages.facts(cell)["scores"].items():
            task, _, scaling = key.partition(", ")
            name = cell.entrant.name if scaling == RAW else f"{cell.entrant.name}, {scaling}"
            for score, value in scores.items():
                if not isinstance(value, list):
                    yield name, cell.seed, cell.fold.number, task, score, "" if value is None else f"{value:.6g}"
    for row, of_tasks in found.items():
        for task, reached in of_tasks.items():
            for score, values in reached.seeds.items():
                for seed, value in enumerate(values):
                    yield row, seed, "all", task, score, f"{value:.6g}"


def table_rows(found, reference):
    """Rows of `table.csv`: means over seeds with intervals over people, and differences to the reference."""
    yield (
        *("strategy", "task", "score", "mean", "sd_over_seeds", "low", "high"),
        *("less_reference", "less_reference_low", "less_reference_high"),
    )
    for row, of_tasks in found.items():
        other = found.get(pages.reference_of(row, reference), {})
        for task, reached in of_tasks.items():
            for score in reached.seeds:
                own = reached.interval(score)
                numbers = [own.value, reached.deviation(score), own.low, own.high]
                if task in other:
                    less = reached.less(other[task], score)
                    numbers += [less.value, less.low, less.high]
                yield row, task, score, *(f"{number:.6g}" for number in numbers)


def subset_rows(subsets):
    """Rows of `subsets.csv`."""
    yield "probe", "strategy", "task", "modalities", "score", "mean", "sd_over_seeds"
    for probe, of_entrants in subsets.items():
        for name, of_tasks in of_entrants.items():
            for task, of_subsets in of_tasks.items():
                for subset, of_scores in of_subsets.items():
                    for score, values in of_scores.items():
                        spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
                        yield probe, name, task, subset, score, f"{np.mean(values):.6g}", f"{spread:.6g}"


def draw(folder, entrants, pooled, found, subsets, best, manifest, settings):
    """Draw the figures of a comparison into a folder."""
    note = note_of(manifest)
    tasks = [task for task in pooled.tasks if task.classes]
    drawn = {}
    rows = [*(task.name for task in tasks), *([AGGREGATE] if tasks[1:] else [])]
    for score, text in (("balanced_accuracy", "balanced accuracy"), ("auroc", "AUROC")):
        panels = {name: panel(found, name, score) for name in rows}
        panels = {name: values for name, values in panels.items() if values}
        drawn[score] = strategy_scores.points(
            panels, reference=settings.reference, marked=[best], label=text, note=note
        )
    together = {UNIMODAL: [entrant.name for entrant in entrants if entrant.is_unimodal]}
    together |= {entrant.name: [entrant.name] for entrant in entrants if not entrant.is_unimodal}
    for (probe, of_entrants), task in itertools.product(subsets.items(), tasks):
        values = {
            title: {
                subset: float(np.mean(scores["balanced_accuracy"]))
                for name in names
                for subset, scores in of_entrants.get(name, {}).get(task.name, {}).items()
            }
            for title, names in together.items()
        }
        values = {title: row for title, row in values.items() if row}
        drawn[f"subsets_{probe}_{task.name}"] = strategy_scores.subset_map(
            values, task=task.name, chance=1 / len(task.classes), note=note
        )
    shown = [name for name in found if name in {best, *together}][: len(SERIES)]
    for task in tasks:
        sums = {
            name: sum(
                calibration_sums(*scored(pooled.targets[task.name], own)) for own in pooled.answers[name][task.name]
            )
            for name in shown
            if task.name in pooled.answers[name]
        }
        drawn[f"calibration_{task.name}"] = strategy_scores.reliability(sums, task=task.name, note=note)
    folder.mkdir(exist_ok=True)
    for name, figure in drawn.items():
        style.save(figure, folder / f"{name}.png")


def panel(found, task, score):
    """What `strategy_scores.points` shows of a task: row to mean, interval and seeds."""
    values = {}
    for row, of_tasks in found.items():
        if task in of_tasks and score in of_tasks[task].seeds:
            own = of_tasks[task].interval(score)
            values[row] = own.value, own.low, own.high, of_tasks[task].seeds[score]
    return values
