"""A picture of one recording as a device made it: its labels, and a piece of every channel."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from physiokeras.figures.style import BLACK, BLUE, GREY, PAGE, VERMILION, new_figure, styled, title, unit_text


@styled
def recording(channels, labels, *, start, span, window, name, note=None):
    """Every channel in physical units, unfiltered, below the labels of all windows.

    Args:
        channels: dict of channel to `(samples,)` of the piece, or to None where there is nothing to draw.
        labels: dict of label to `(values, classes)`: `(windows,)` class numbers, -1 none, and the classes' names.
        start: Second of the recording at which the piece begins.
        span: Seconds.
        window: Seconds a window.
        name: The recording's, for the title.
        note: What to add to the title.

    Returns: `Figure`.
    """
    heights = [2.2] * len(labels) + [1.0] * len(channels)
    figure = new_figure(PAGE, 0.8 + 0.4 * sum(heights))
    panels = list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    for panel, (label, (values, classes)) in zip(panels, labels.items(), strict=False):
        _labels(panel, np.asarray(values), classes, window / 3600)
        panel.axvspan(start / 3600, (start + span) / 3600, color=VERMILION, alpha=0.5)
        panel.set_title(f"{label}, hours; red: the piece below", loc="left")
    for panel, (channel, piece) in zip(panels[len(labels) :], channels.items(), strict=True):
        panel.set_ylabel(channel, rotation=0, ha="right", va="center")
        panel.set_xlim(0, span)
        panel.tick_params(labelbottom=panel is panels[-1])
        if piece is None:
            panel.text(0.5, 0.5, "not to be had", transform=panel.transAxes, ha="center", va="center", color=GREY)
            panel.set_yticks([])
            continue
        panel.plot(np.linspace(0, span, len(piece), endpoint=False), piece, color=BLACK, linewidth=0.4)
        panel.yaxis.set_major_locator(MaxNLocator(2))
    panels[-1].set_xlabel("seconds")
    title(figure, name, note)
    return figure


def channel_text(name, unit):
    """A channel's name above its unit."""
    return f"{name}\n{unit_text(unit) if unit else 'no unit'}"


def _labels(panel, values, classes, window):
    known = np.where(values < 0, np.nan, values)
    along = np.arange(len(values) + 1) * window
    panel.step(along, np.append(known, known[-1:]), where="post", color=BLUE, linewidth=0.8)
    panel.set_yticks(range(len(classes)), classes)
    panel.set_ylim(len(classes) - 0.6, -0.4)
    panel.set_xlim(0, along[-1])
