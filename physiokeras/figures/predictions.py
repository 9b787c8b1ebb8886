"""Figures of predicted classes: confusion matrix and hypnogram."""

import numpy as np

from physiokeras.figures.style import (
    BLACK,
    BLUE,
    PAGE,
    VERMILION,
    new_figure,
    styled,
    title,
)


@styled
def confusion_matrix(counts, classes, *, note=None):
    """Confusion matrix: counts, and shares of each true class.

    Args:
        counts: `(classes, classes)`, true by predicted.
        classes: Names.
        note: Word for the title.

    Returns: `Figure`.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"`counts` must be ({len(classes)}, {len(classes)}). Received: {counts.shape}.")
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    side = max(2.2, 0.52 * len(classes) + 0.9)
    figure = new_figure(side + 0.2, side)
    panel = figure.subplots()
    panel.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        text = f"{share[row, column]:.0%}\n{counts[row, column]:,}" if total[row, 0] else "none"
        colour = "white" if share[row, column] > 0.5 else BLACK
        panel.text(column, row, text, ha="center", va="center", color=colour, fontsize=6.5)
    panel.set_xticks(range(len(classes)), classes)
    panel.set_yticks(range(len(classes)), classes)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true (100 % a row)")
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    title(figure, "Confusion", note)
    return figure


@styled
def hypnogram(scored, predicted, *, classes=("W", "N1", "N2", "N3", "R"), window=30.0, note=None):
    """Scored and predicted sleep stages over time in hours (minutes below two hours), in the order W, R, N1, N2, N3.

    Args:
        scored: `(windows,)` class numbers in order of time, -1 where unscored.
        predicted: `(windows,)` class numbers, -1 where there is none.
        classes: Names of the class numbers; other names are drawn below the sleep stages, in the given order.
        window: Seconds per window.
        note: Word for the title.

    Returns: `Figure`.
    """
    scored, predicted = np.asarray(scored), np.asarray(predicted)
    if scored.shape != predicted.shape or scored.ndim != 1:
        raise ValueError(f"Stages must be (windows,). Received: {scored.shape} and {predicted.shape}.")
    order = [name for name in ("W", "R", "N1", "N2", "N3") if name in classes]
    order += [name for name in classes if name not in order]
    height = np.array([*(-order.index(name) for name in classes), np.nan])  # the last for class -1
    unit, seconds = ("h", 3600) if len(scored) * window >= 7200 else ("min", 60)
    edges = np.arange(len(scored) + 1) * window / seconds
    figure = new_figure(PAGE, 3.0)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[5, 5, 0.8])
    for panel, stages, colour, label in (
        (panels[0], scored, BLACK, "scored"),
        (panels[1], predicted, BLUE, "predicted"),
    ):
        panel.stairs(height[stages], edges, baseline=None, color=colour, linewidth=0.8)
        if "R" in order:
            panel.stairs(np.where(height[stages] == -order.index("R"), height[stages], np.nan), edges, baseline=None,
                         color=VERMILION, linewidth=2.5)  # fmt: skip
        panel.set_yticks(-np.arange(len(order)), order)
        panel.set_ylim(-len(order) + 0.5, 0.5)
        panel.set_ylabel(label)
    both = (scored >= 0) & (predicted >= 0)
    wrong = both & (scored != predicted)
    panels[2].stairs(np.where(wrong, 1.0, 0.0), edges, fill=True, color=VERMILION)
    panels[2].set_yticks([])
    panels[2].set_ylim(0, 1)
    panels[2].set_ylabel("differ", rotation=0, ha="right", va="center")
    meaning = "Thick orange: REM sleep. Orange below: windows in which the two differ." if "R" in order else ""
    panels[2].set_xlabel(f"time ({unit})\n{meaning}".strip())
    panels[2].set_xlim(0, edges[-1] if len(scored) else 1)
    agreed = f"{1 - wrong.sum() / both.sum():.0%} of {both.sum():,} windows agree" if both.any() else "no scored window"
    title(figure, f"Hypnogram: {agreed}", note)
    return figure
