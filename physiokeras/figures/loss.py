"""Figure of the losses of a training."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from physiokeras.figures.style import (
    BLUE,
    COLUMN,
    GREY,
    PAGE,
    VERMILION,
    new_figure,
    series_colour,
    styled,
    title,
)

SHARE = "share of variance"
CAPTION = (
    "Both are shares of the training windows' variance. Other people vary more or less: compare courses, not heights.\n"
    "Training: mean of the steps since the point before, with new masks at every step; validation: at the point, with "
    "fixed masks."
)


def read_metrics(path):
    """Columns of a run's `metrics.csv`.

    Args:
        path: The file; its first line names the columns.

    Returns: dict of name to float array, NaN where a field is empty.

    Raises:
        ValueError: No lines, or a field that is no number.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path}: no line of metrics.")
    try:
        # A line cut short gives None, on which float fails; an empty field is one that was not measured.
        return {name: np.array([float("nan" if row[name] == "" else row[name]) for row in rows]) for name in rows[0]}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: every line must hold {len(rows[0])} numbers: {error}.") from error


@styled
def loss_curve(metrics, *, x=None, unit=SHARE, note=None):
    """Training and validation loss, and beside them the losses of modalities where there are any.

    Args:
        metrics: dict of column to `(points,)`, or the path of a `metrics.csv`. "loss" and "val_loss" are the whole,
            "loss_eeg" and "val_loss_eeg" that of a modality.
        x: Name of the column to draw along; default: "step", else "epoch", else the points' numbers.
        unit: What the losses are, for the axis; shares of variance are explained below the panels.
        note: Word for the title, such as "simulated".

    Returns: `Figure`.

    Raises:
        ValueError: No "loss" among the columns.
    """
    columns = metrics if isinstance(metrics, dict) else read_metrics(metrics)
    if "loss" not in columns:
        raise ValueError(f"A loss curve needs the column 'loss'. Received: {', '.join(columns) or 'none'}.")
    x = x or next((name for name in ("step", "epoch") if name in columns), None)
    along = columns[x] if x else np.arange(1, len(columns["loss"]) + 1)
    parts = [name for name in columns if name.startswith("loss_")]
    figure = new_figure(PAGE if parts else COLUMN, 2.6)
    panels = figure.subplots(1, 2 if parts else 1, sharey=True, squeeze=False)[0]
    _lines(panels[0], along, columns, [("loss", "training", BLUE)])
    _lines(panels[0], along, columns, [("val_loss", "validation", VERMILION)], marker="o")
    panels[0].set_ylabel(f"loss ({unit})")
    if parts:
        held = any(f"val_{name}" in columns for name in parts)
        colours = [series_colour(place) for place in range(len(parts))]
        shown = [
            (f"val_{name}" if held else name, name.removeprefix("loss_").upper(), colour)
            for name, colour in zip(parts, colours, strict=True)
        ]
        _lines(panels[1], along, columns, shown, marker="o" if held else None)
        panels[0].set_title("all modalities")
        panels[1].set_title(f"by modality, {'validation' if held else 'training'}")
    for panel in panels:
        panel.set_xlabel(x or "point")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.grid(axis="y", color="#DDDDDD", linewidth=0.5)
    panels[0].legend()
    if parts:
        panels[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    if "val_loss" in columns and unit == SHARE:
        figure.supxlabel(CAPTION, fontsize=6.5, color=GREY)
    title(figure, "Loss", note)
    return figure


@styled
def losses_of_many(trainings, *, note=None):
    """Training and validation losses of several trainings of each kind, a panel for each kind and a line for each.

    Args:
        trainings: Title to list of dicts of columns, as `read_metrics` returns them.
        note: Word for the title.

    Returns: `Figure`.
    """
    across = min(4, len(trainings))
    rows = -(-len(trainings) // across)
    figure = new_figure(PAGE, 0.7 + 1.45 * rows)
    panels = figure.subplots(rows, across, squeeze=False).ravel()
    for panel, (heading, found) in zip(panels, trainings.items(), strict=False):
        for number, columns in enumerate(found):
            few = len(columns["step"]) < 12
            for name, label, colour in (("loss", "training", BLUE), ("val_loss", "validation", VERMILION)):
                shown = [(name, label if number == 0 else None, colour)]
                _lines(panel, columns["step"], columns, shown, marker="o" if few else None)
        panel.set_title(heading.replace("_", " "), fontsize=7)
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.grid(axis="y", color="#DDDDDD", linewidth=0.5)
    for panel in panels[len(trainings) :]:
        panel.set_visible(False)
    known = {text: line for panel in panels for line, text in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(known.values(), known.keys(), loc="outside lower right", ncols=2)
    figure.supxlabel("step")
    figure.supylabel("loss")
    title(figure, "Losses of the cells", note)
    return figure


def _lines(panel, along, columns, shown, marker=None):
    for name, label, colour in shown:
        if name in columns:
            known = ~np.isnan(columns[name])
            panel.plot(along[known], columns[name][known], color=colour, label=label, marker=marker, markersize=2.5)
