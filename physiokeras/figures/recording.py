"""Figure of one unprocessed recording: its labels, and a segment of each channel."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from physiokeras.figures.style import BLACK, BLUE, GREY, PAGE, VERMILION, new_figure, styled, title, unit_text


@styled
def recording(channels, labels, *, start, span, window, name, note=None):
    """Labels of all windows, and a segment of each channel in physical units, unfiltered.

    Args:
        channels: dict of channel to `(samples,)` of the segment, or to None if the channel is absent.
        labels: dict of label to `(values, classes)`: `(windows,)` class numbers, -1 if unlabelled, and class names.
        start: Start of the segment in seconds.
        span: Length of the segment in seconds.
        window: Seconds per window.
        name: Name of the recording, for the title.
        note: Note for the title.

    Returns: `Figure`.
    """
    heights = [2.2] * len(labels) + [1.0] * len(channels)
    figure = new_figure(PAGE, 0.8 + 0.4 * sum(heights))
    panels = list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    for panel, (label, (values, classes)) in zip(panels, labels.items(), strict=False):
        _labels(panel, np.asarray(values), classes, window / 3600)
        panel.axvspan(start / 3600, (start + span) / 3600, color=VERMILION, alpha=0.5)
        panel.set_title(f"{label}, hours; orange: the piece below", loc="left")
    for panel, (channel, piece) in zip(panels[len(labels) :], channels.items(), strict=True):
        panel.set_ylabel(channel, rotation=0, ha="right", va="center")
        panel.set_xlim(0, span)
        panel.tick_params(labelbottom=panel is panels[-1])
        if piece is None:
            panel.text(0.5, 0.5, "absent", transform=panel.transAxes, ha="center", va="center", color=GREY)
            panel.set_yticks([])
            continue
        panel.plot(np.linspace(0, span, len(piece), endpoint=False), piece, color=BLACK, linewidth=0.4)
        panel.yaxis.set_major_locator(MaxNLocator(2))
        if np.ptp(piece) == 0:
            panel.text(0.5, 0.58, "flat: one value throughout", transform=panel.transAxes, ha="center", va="bottom",
                       color=VERMILION)  # fmt: skip
    panels[-1].set_xlabel(f"seconds, from {start / 60:.1f} min after the start of the recording")
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
