"""Figures of training, reconstruction and scoring; each takes arrays and returns a `matplotlib.figure.Figure`."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from physiokeras.analysis.figure_style import (
    BLACK,
    BLUE,
    COLUMN,
    GREY,
    ORANGE,
    PAGE,
    SKY,
    VERMILION,
    new_figure,
    save,
    series_colour,
    styled,
    title,
    unit_text,
)

__all__ = ["confusion_matrix", "hypnogram", "loss_curve", "read_metrics", "reconstruction", "save"]


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
def loss_curve(metrics, *, x=None, note=None):
    """Training and validation loss, and beside them the losses of modalities where there are any.

    Args:
        metrics: dict of column to `(points,)`, or the path of a `metrics.csv`. "loss" and "val_loss" are the whole,
            "loss_eeg" and "val_loss_eeg" that of a modality.
        x: Name of the column to draw along; default: "step", else "epoch", else the points' numbers.
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
    figure = new_figure(PAGE if parts else COLUMN, 2.4)
    panels = figure.subplots(1, 2 if parts else 1, sharey=True, squeeze=False)[0]
    _lines(panels[0], along, columns, [("loss", "training", BLUE)])
    _lines(panels[0], along, columns, [("val_loss", "validation", VERMILION)], marker="o")
    panels[0].set_ylabel("loss (share of variance)")
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
    title(figure, "Loss", note)
    return figure


@styled
def confusion_matrix(counts, classes, *, note=None):
    """Which class is taken for which: share of each true class, and counts.

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
    panel.set_ylabel("true")
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    title(figure, "Confusion", note)
    return figure


@styled
def reconstruction(true, reconstructed, hidden, *, seconds, units=None, channels=None, dropped=(), note=None):
    """One window: what was hidden and what the model put there.

    Args:
        true: Modality to `(samples, channels)`; a channel that is NaN or constant is drawn as absent.
        reconstructed: Modality to `(samples, channels)`.
        hidden: Modality to boolean `(tokens,)`, true where hidden.
        seconds: Length of the window.
        units: Modality to unit of its values; default: "scaled".
        channels: Modality to channel names; default: numbers.
        dropped: Modalities that were dropped from the input, all of whose tokens are hidden.
        note: Word for the title.

    Returns: `Figure`, one panel a channel.

    Raises:
        ValueError: Modalities or shapes that do not go together.
    """
    rows = _channels(true, reconstructed, hidden, units or {}, channels or {})
    figure = new_figure(PAGE, 0.75 + 0.62 * len(rows))
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (name, label, unit, signal, guess) in zip(panels, rows, strict=True):
        panel.set_ylabel(f"{label}\n({unit})", rotation=0, ha="right", va="center", fontsize=7)
        panel.tick_params(bottom=panel is panels[-1])
        panel.spines["bottom"].set_visible(panel is panels[-1])
        if np.isnan(signal).all() or signal.min() == signal.max():
            panel.text(0.5, 0.5, "absent", transform=panel.transAxes, ha="center", va="center", color=GREY)
            panel.set_yticks([])
            panel.spines["left"].set_visible(False)
            continue
        mask = np.asarray(hidden[name], dtype=bool)
        time = (np.arange(len(signal)) + 0.5) * seconds / len(signal)
        inside = np.repeat(mask, len(signal) // len(mask))
        _shade(panel, mask, seconds, ORANGE if name in dropped else SKY)
        panel.plot(time, signal, color=BLACK, linewidth=0.6)
        panel.plot(time, np.where(inside, guess, np.nan), color=VERMILION, linewidth=0.8)
        panel.yaxis.set_major_locator(MaxNLocator(3))
    panels[-1].set_xlabel("time in the window (s)")
    panels[-1].set_xlim(0, seconds)
    _key(figure, dropped)
    title(figure, "Reconstruction of hidden patches", note)
    figure.align_ylabels()
    return figure


@styled
def hypnogram(scored, predicted, *, classes=("W", "N1", "N2", "N3", "R"), window=30.0, note=None):
    """Sleep stages along time (hours; minutes below two hours), scored and predicted: W at the top, R, N1, N2, N3.

    Args:
        scored: `(windows,)` class numbers in order of time, -1 where unscored.
        predicted: `(windows,)` class numbers, -1 where there is none.
        classes: Names of the class numbers; stages by other names come below, in the given order.
        window: Seconds a window.
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
    panels[2].set_xlabel(f"time ({unit})")
    panels[2].set_xlim(0, edges[-1] if len(scored) else 1)
    agreed = f"{1 - wrong.sum() / both.sum():.0%} of {both.sum():,} windows agree" if both.any() else "no scored window"
    title(figure, f"Hypnogram: {agreed}", note)
    return figure


def _lines(panel, along, columns, shown, marker=None):
    for name, label, colour in shown:
        if name in columns:
            known = ~np.isnan(columns[name])
            panel.plot(along[known], columns[name][known], color=colour, label=label, marker=marker, markersize=2.5)


def _channels(true, reconstructed, hidden, units, channels):
    """A row a panel: modality, label, unit, true and reconstructed samples."""
    if not (list(true) and set(true) == set(reconstructed) == set(hidden)):
        raise ValueError(
            "`true`, `reconstructed` and `hidden` must name the same modalities. "
            f"Received: {', '.join(true)}; {', '.join(reconstructed)}; {', '.join(hidden)}."
        )
    rows = []
    for name, signal in true.items():
        signal, guess = np.asarray(signal, dtype=np.float64), np.asarray(reconstructed[name], dtype=np.float64)
        if signal.ndim != 2 or signal.shape != guess.shape or len(signal) % len(hidden[name]):
            raise ValueError(
                f"{name}: signals must be (samples, channels), samples a multiple of the tokens. "
                f"Received: {signal.shape}, {guess.shape} and {len(hidden[name])} tokens."
            )
        names = channels.get(name) or [str(place + 1) for place in range(signal.shape[1])]
        for place, channel in enumerate(names):
            label = f"{name.upper()} {channel}" if len(names) > 1 else name.upper()
            rows.append((name, label, unit_text(units.get(name)), signal[:, place], guess[:, place]))
    return rows


def _shade(panel, mask, seconds, colour):
    """Shade the hidden patches, neighbours as one piece, so that no seams show."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    for first, last in edges.reshape(-1, 2):
        panel.axvspan(first * seconds / len(mask), last * seconds / len(mask), color=colour, alpha=0.25, linewidth=0)


def _key(figure, dropped):
    keys = [Line2D([], [], color=BLACK, linewidth=0.8), Line2D([], [], color=VERMILION), Patch(color=SKY, alpha=0.25)]
    texts = ["true", "reconstructed", "hidden"]
    if dropped:
        keys.append(Patch(color=ORANGE, alpha=0.25))
        texts.append(f"dropped modality ({', '.join(name.upper() for name in dropped)})")
    figure.legend(keys, texts, loc="outside lower center", ncols=len(keys))
