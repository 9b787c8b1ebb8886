"""Figures of a search: scores of trials over each setting, and the heat map of a grid."""

import textwrap

import numpy as np

from physiokeras.figures.style import BLUE, COLUMN, PAGE, VERMILION, new_figure, styled, title


@styled
def trials(values, scores, *, name, note=None):
    """Score of each trial over each searched setting; the best trial is orange.

    Args:
        values: dict of setting -> list of its value in each trial, numbers or texts.
        scores: `(trials,)`.
        name: Name of the score.
        note: Note for the title.

    Returns: `Figure`.
    """
    scores = np.asarray(scores, dtype=np.float64)
    figure = new_figure(PAGE, 2.6)
    panels = figure.subplots(1, len(values), squeeze=False, sharey=True)[0]
    best = int(np.nanargmax(scores))
    colours = [VERMILION if index == best else BLUE for index in range(len(scores))]
    for panel, (setting, column) in zip(panels, values.items(), strict=True):
        panel.scatter(column, scores, s=14, c=colours)
        panel.set_xlabel(setting)
    panels[0].set_ylabel(textwrap.fill(name, 30))
    title(figure, "Trials of the search; orange: the best", note)
    return figure


@styled
def heat_map(scores, rows, columns, *, axes, name, note=None):
    """Mean and standard deviation over seeds of the score in each cell of a grid.

    Args:
        scores: `(seeds, rows, columns)`.
        rows: Values of the first setting.
        columns: Values of the second.
        axes: Names of both.
        name: Name of the score.
        note: Note for the title.

    Returns: `Figure`.
    """
    scores = np.asarray(scores, dtype=np.float64)
    mean = scores.mean(axis=0)
    figure = new_figure(COLUMN + 0.3, 1.2 + 0.45 * len(rows))
    panel = figure.subplots()
    image = panel.imshow(mean, cmap="viridis", aspect="auto")
    middle = (mean.min() + mean.max()) / 2
    for place, value in np.ndenumerate(mean):
        text = f"{value:.3f}"
        if len(scores) > 1:
            text += f"\n± {scores[(slice(None), *place)].std(ddof=1):.3f}"
        panel.text(*place[::-1], text, ha="center", va="center", color="white" if value <= middle else "black")
    panel.set_xticks(range(len(columns)), columns)
    panel.set_yticks(range(len(rows)), rows)
    panel.set_xlabel(axes[1])
    panel.set_ylabel(axes[0])
    figure.colorbar(image, label=textwrap.fill(name, 30))
    title(figure, "Mean ± sd over seeds" if len(scores) > 1 else "One seed", note)
    return figure
