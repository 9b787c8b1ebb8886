"""Figures of a comparison: scores with intervals, scores on subsets of modalities, calibration."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from physiokeras.evaluation.scores import CALIBRATION_BINS
from physiokeras.figures.style import BLACK, BLUE, COLUMN, GREY, VERMILION, new_figure, series_colour, styled, title


@styled
def points(panels, *, reference=None, marked=(), chance=None, label="balanced accuracy", note=None):
    """Scores of strategies with 95 % intervals over people, in a panel for each task.

    Args:
        panels: Title to dict of strategy to `(value, low, high, seeds)`: mean, interval, score of each seed.
        reference: The strategy whose value is drawn through each panel.
        marked: Strategies whose names are printed bold.
        chance: Title to the score that guessing gives, which is drawn through its panel.
        label: Label of the horizontal axis.
        note: Word for the title, such as "simulated".

    Returns: `Figure`.
    """
    names = list(dict.fromkeys(name for values in panels.values() for name in values))
    figure = new_figure(COLUMN, 0.95 + len(panels) * (0.35 + 0.125 * len(names)))
    for panel, (heading, values) in zip(
        figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items(), strict=True
    ):
        if reference in values:
            panel.axvline(values[reference][0], color=GREY, linewidth=0.6, linestyle="--")
        if chance:
            panel.axvline(chance[heading], color=BLACK, linewidth=0.8, linestyle=":")
        for place, name in enumerate(names):
            if name not in values:
                continue
            value, low, high, seeds = values[name]
            colour = VERMILION if name == reference else BLUE
            panel.plot([low, high], [place, place], color=colour, linewidth=0.9)
            panel.scatter(seeds, [place] * len(seeds), s=5, facecolors="none", edgecolors=GREY, linewidths=0.5)
            panel.scatter([value], [place], s=14, color=colour, zorder=3)
        panel.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        for text, name in zip(panel.get_yticklabels(), names, strict=True):
            text.set_fontsize(6.5)
            text.set_fontweight("bold" if name in marked else "normal")
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.grid(axis="x", color="#DDDDDD", linewidth=0.5)
        panel.set_title(heading, loc="left")
    # This label is wider than the panel, which leaves room for long names of strategies.
    known = any(reference in values for values in panels.values())
    lines = [f"dashed: {reference.replace('_', ' ')}"] * known + ["dotted: chance"] * bool(chance)
    meaning = [f"{label}: mean, each seed (circles),", "95 % interval over people", ", ".join(lines)]
    figure.supxlabel("\n".join(line for line in meaning if line))
    title(figure, "Strategies", note)
    return figure


@styled
def subset_map(values, *, task, score="balanced accuracy", chance=None, note=None):
    """Scores with only some modalities present at test time, subsets by strategies.

    Args:
        values: Strategy to dict of subset, such as "eeg+ecg", to score in [0, 1].
        task: Name of the task.
        score: Name of the score.
        chance: Lower end of the colour scale; default: the lowest score.
        note: Word for the title.

    Returns: `Figure`.
    """
    subsets = list(dict.fromkeys(subset for row in values.values() for subset in row))
    subsets.sort(key=lambda subset: subset.count("+"))
    table = np.array([[row.get(subset, np.nan) for row in values.values()] for subset in subsets])
    width = max(COLUMN, 1.2 + 0.34 * len(values))
    figure = new_figure(width, 1.35 + 0.17 * len(subsets))
    panel = figure.subplots()
    known = [*table[~np.isnan(table)], *([] if chance is None else [chance])] or [0.0]
    image = panel.imshow(table, cmap="cividis", vmin=min(known), vmax=max(known), aspect="auto")
    for row, column in np.ndindex(*table.shape):
        value = table[row, column]
        if not np.isnan(value):
            dark = image.norm(value) < 0.55
            panel.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6,
                       color="white" if dark else BLACK)  # fmt: skip
    panel.set_xticks(range(len(values)), [name.replace("_", " ") for name in values], rotation=60, ha="right",
                     rotation_mode="anchor")  # fmt: skip
    panel.set_yticks(range(len(subsets)), [subset.replace("+", " ") for subset in subsets])
    panel.tick_params(length=0, labelsize=6.5)
    panel.spines[:].set_visible(False)
    panel.set_ylabel("modalities left\nat test time")
    title(figure, f"{task}, {score}", note)
    return figure


@styled
def reliability(sums, *, task, note=None):
    """Reliability diagram: accuracy by confidence, a line for each strategy; the diagonal is perfect calibration.

    Args:
        sums: Strategy to `(bins, 3)`, as `calibration_sums` returns them.
        task: Name of the task.
        note: Word for the title.

    Returns: `Figure`.
    """
    figure = new_figure(COLUMN, 3.2)
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, linestyle="--", label="perfect")
    markers = "osD^vP*"
    for place, (name, own) in enumerate(sums.items()):
        own = np.asarray(own)
        own = own[own[:, 0] >= max(1, 0.005 * own[:, 0].sum())]  # a share of a few windows is noise
        panel.plot(own[:, 1] / own[:, 0], own[:, 2] / own[:, 0], color=series_colour(place),
                   marker=markers[place % len(markers)], markersize=3, linewidth=0.9,
                   label=name.replace("_", " "))  # fmt: skip
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.set_xlabel(f"confidence (mean of {CALIBRATION_BINS} bins)")
    panel.set_ylabel("share right")
    panel.legend(loc="upper left", fontsize=6)
    title(figure, f"Calibration of {task}", note)
    return figure
