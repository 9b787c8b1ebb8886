"""Figure of a scored night: hypnogram over hypnodensity, and a small picture of the latter."""

import io
from datetime import timedelta

import matplotlib.image
import numpy as np
from matplotlib.colors import to_rgb

from physiokeras.figures.style import BLACK, GREEN, GREY, PAGE, SERIES, VERMILION, new_figure, styled, title

STAGE_COLOURS = {"W": "#E8C547", "R": VERMILION, "REM": VERMILION, "N1": "#A6CEE3", "N2": "#4C8FC4", "N3": "#14406B"}
"""Sleep gets darker with depth; REM is orange, as in the hypnograms."""

_ORDER = ("W", "R", "REM", "N1", "N2", "N3")


@styled
def scored_night(probabilities, classes, starts, *, window, name, scored=None, clock=None, notes=(), events=None):
    """Hypnogram, the scorer's where there is one, and the hypnodensity: each stage's probability over time.

    Args:
        probabilities: `(windows, classes)` in order of time; NaN where there is no prediction.
        classes: Names of the stages.
        starts: `(windows,)` seconds from the recording's start.
        window: Seconds per window.
        name: The record's name, for the title.
        scored: `(windows,)` the scorer's class numbers, -1 where unscored; None: no scorer.
        clock: Date and time of the recording's start; the axis then shows the time of day.
        notes: Short texts for the title, such as "was in the training set".
        events: Name of a kind of event to list of `(onset, duration)` in seconds, drawn as marks.

    Returns: `Figure`.
    """
    order = [known for known in _ORDER if known in classes]
    order += [other for other in classes if other not in order]
    known = np.isfinite(probabilities).all(axis=1)
    stages = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1)
    hypnograms = [("scorer", scored, BLACK), ("model", stages, "#0072B2")]
    hypnograms = [row for row in hypnograms if row[1] is not None]
    events = {kind: spans for kind, spans in (events or {}).items() if spans}
    heights = [1.6] * len(hypnograms) + [0.25] * len(events) + [1.6]
    figure = new_figure(PAGE, 0.6 + sum(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    edges = np.append(starts, starts[-1] + window)
    unit, seconds = ("min", 60) if clock is None and edges[-1] - edges[0] < 7200 else ("h", 3600)
    edges = edges / seconds
    for panel, (label, values, colour) in zip(panels, hypnograms, strict=False):
        _hypnogram(panel, np.asarray(values), classes, order, edges, colour)
        panel.set_ylabel(label)
    for panel, (kind, spans) in zip(panels[len(hypnograms) :], events.items(), strict=False):
        panel.broken_barh([(onset / seconds, duration / seconds) for onset, duration in spans], (0, 1), color=GREEN)
        panel.set_yticks([])
        panel.set_ylabel(kind, rotation=0, ha="right", va="center")
    _density(panels[-1], probabilities, classes, order, edges)
    panels[-1].set_xlim(edges[0], edges[-1])
    _time_axis(panels[-1], edges, clock, unit)
    title(figure, name, "; ".join(notes) or None)
    return figure


def _hypnogram(panel, stages, classes, order, edges, colour):
    height = np.array([*(-order.index(name) for name in classes), np.nan])  # the last for class -1
    panel.stairs(height[stages], edges, baseline=None, color=colour, linewidth=0.8)
    for rem in (name for name in ("R", "REM") if name in order):
        only = np.where(height[stages] == -order.index(rem), height[stages], np.nan)
        panel.stairs(only, edges, baseline=None, color=VERMILION, linewidth=2.5)
    panel.set_yticks(-np.arange(len(order)), order)
    panel.set_ylim(-len(order) + 0.5, 0.5)


def _density(panel, probabilities, classes, order, edges):
    below = np.zeros(len(probabilities))
    for name in reversed(order):
        above = below + np.nan_to_num(probabilities[:, list(classes).index(name)])
        panel.stairs(above, edges, baseline=below, fill=True, color=colour_of(name, order), label=name)
        below = above
    panel.set_ylim(0, 1)
    panel.set_ylabel("probability")
    handles, labels = panel.get_legend_handles_labels()
    panel.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5), handlelength=1)


def _time_axis(panel, edges, clock, unit):
    panel.set_xlabel(f"time from the start ({unit})" if clock is None else "time of day")
    if clock is None:
        return
    step = max(0.25, 2 ** np.round(np.log2((edges[-1] - edges[0]) / 8)))
    first = clock + timedelta(hours=float(edges[0]))
    ahead = -(first.hour + first.minute / 60 + first.second / 3600) % step  # hours to the next round one
    places = np.arange(edges[0] + ahead, edges[-1], step)
    panel.set_xticks(places, [f"{clock + timedelta(hours=float(place), seconds=1):%H:%M}" for place in places])


def colour_of(name, order):
    """Colour of a class; classes that are no sleep stages get those of a series."""
    return STAGE_COLOURS.get(name) or [*SERIES, GREY][list(order).index(name) % (len(SERIES) + 1)]


def thumbnail(probabilities, classes, width=300, height=48):
    """A small picture of the hypnodensity, for a table.

    Args:
        probabilities: `(windows, classes)`; NaN where there is no prediction, which is white.
        classes: Names of the classes.
        width: Pixels.
        height: Pixels.

    Returns: bytes of a PNG file.
    """
    order = [known for known in _ORDER if known in classes]
    order += [other for other in classes if other not in order]
    columns = np.linspace(0, len(probabilities) - 1, width).round().astype(int)
    shares = np.asarray(probabilities, float)[columns][:, [list(classes).index(name) for name in order]]
    edges = np.cumsum(np.nan_to_num(shares), axis=1)
    rows = (np.arange(height) + 0.5) / height
    places = (rows[:, None, None] > edges[None]).sum(axis=2)  # which class a pixel shows, from the top
    colours = np.array([*(to_rgb(colour_of(name, order)) for name in order), (1, 1, 1)])
    image, content = colours[np.minimum(places, len(order))], io.BytesIO()
    image[:, np.isnan(shares).any(axis=1)] = 1
    matplotlib.image.imsave(content, image, format="png", metadata={"Software": None})
    return content.getvalue()
