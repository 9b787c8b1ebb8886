"""The section "How it was made" of a comparison: time of the cells, losses of their trainings, basis of the numbers."""

import numpy as np

from physiokeras.comparison.strategies import BAND_POWER, TIME
from physiokeras.comparison.table import facts
from physiokeras.figures.loss import read_metrics
from physiokeras.markdown import markdown_table


def made(manifest, cells, losses):
    """Yields the lines of the page's last section.

    Args:
        manifest: `Manifest`.
        cells: list of `Cell`, all done.
        losses: As of `curves`.
    """
    yield cost(cells) + "\n"
    yield from trained(cells, losses)
    yield from explanation(manifest, cells)


def cost(cells):
    """Table of the time of each strategy's cells; the first cell of a compiled program takes longer.

    Cells that were computed in several parts, whose last part alone was timed, do not count.
    """
    found = {}
    for cell in cells:
        found.setdefault(cell.strategy.name, []).append(facts(cell))
    rows = [("strategy", "encoder's parameters", "cells", "seconds a cell (median)", "of these training")]
    for name, own in found.items():
        times = [one["seconds"] for one in own if not one.get("in_parts")]
        training, whole = [one["train"] for one in times], [sum(one.values()) for one in times]
        medians = [f"{np.median(seconds):.0f}" if times else "-" for seconds in (whole, training)]
        rows.append((name, own[0]["parameters"] or "-", len(own), *medians))
    return markdown_table(rows)


def trained(cells, losses):
    """Yields lines on the training and validation losses of the cells; they say where there is no validation loss."""
    if not losses:
        return
    yield "![Losses](figures/losses.png)\n"
    yield (
        "The losses of each cell, a line each. A network overfits where the validation loss rises while the training "
        "loss falls. Compare courses, not heights: strategies have different losses."
    )
    if any(set(cell.fold.validation) & set(cell.fold.pretrain) for cell in cells):
        yield (
            "Encoders have no validation loss here: with folds, the signals of validation people pretrain too, without "
            "their labels."
        )
    yield ""


def curves(cells):
    """The losses of the cells' trainings: strategy, with the task of a supervised one, to a list of columns.

    Trainings of a single row of metrics have no course, and are left out.
    """
    found = {}
    for cell in cells:
        for path in sorted((*cell.folder.glob("metrics.csv"), *cell.folder.glob("supervised_*.csv"))):
            task = path.stem.removeprefix("supervised_") if path.stem != "metrics" else ""
            columns = read_metrics(path)
            if len(columns["step"]) > 1:
                found.setdefault(" ".join([cell.strategy.name, task]).strip(), []).append(columns)
    return found


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
            "probe on that, also on features of the supervised network, whose own prediction is the row without it. It "
            "uses a test person's whole session (without the labels), so it is not what a sensor could tell at the "
            f"time. Signals scaled over each whole record in every row: {', '.join(robust) or 'none'}.\n"
        )
    strategies = {cell.strategy.name for cell in cells}
    if BAND_POWER in strategies:
        yield (
            "band_power: a probe on log band powers of the windows, without a network. An encoder has learned "
            "something useful where it is above this.\n"
        )
    if TIME in strategies:
        yield (
            "time_alone: a probe on the time since the recording began. Where the order of tasks was fixed, it tells "
            "how much the protocol gives away.\n"
        )
