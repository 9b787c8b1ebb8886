"""Figure of a prepared data set: classes by split, modalities present, amplitudes."""

import numpy as np

from physiokeras.figures.style import BLACK, BLUE, GREY, PAGE, new_figure, series_colour, styled, title


@styled
def conversion(classes, present, amplitudes, *, name):
    """Amounts of data by class and modality, and the amplitudes of each modality over records.

    Args:
        classes: Label -> split -> class -> windows.
        present: Modality -> share of windows.
        amplitudes: Modality -> `(values,)` interquartile ranges of its channels over records, each above 0 or absent.
        name: Name of the data set.

    Returns: `Figure`.
    """
    figure = new_figure(PAGE, 2.4 * (1 + -(-len(classes) // 2)))
    rows = figure.subfigures(1 + -(-len(classes) // 2), 1, squeeze=False)[:, 0]
    shares, spreads = rows[0].subplots(1, 2)
    _shares(shares, present)
    _spreads(spreads, amplitudes)
    labels = list(classes.items())
    for row, pair in zip(rows[1:], (labels[i : i + 2] for i in range(0, len(labels), 2)), strict=True):
        for panel, (label, splits) in zip(row.subplots(1, 2, squeeze=False)[0], [*pair, (None, None)][:2], strict=True):
            if label is None:
                panel.set_axis_off()
            else:
                _classes(panel, label, splits)
    title(figure, name)
    return figure


def _shares(panel, present):
    places = range(len(present))
    panel.barh(places, [100 * share for share in present.values()], color=BLUE, height=0.6)
    panel.set_yticks(places, present)
    panel.invert_yaxis()
    panel.set_xlim(0, 100)
    panel.set_title("Windows with any usable channel (%)", loc="left")


def _spreads(panel, amplitudes):
    """Amplitude of each channel of each record relative to its modality's median, which reveals a wrong unit."""
    random = np.random.default_rng(0)
    for place, values in enumerate(amplitudes.values()):
        values = values[values > 0]
        if len(values):
            relative = values / np.median(values)
            heights = place + random.uniform(-0.25, 0.25, len(values))
            panel.scatter(relative, heights, s=5, color=BLUE, alpha=0.5, linewidths=0)
            low, high = np.percentile(relative, (5, 95))
            panel.plot([low, high], [place, place], color=BLACK, linewidth=0.8)
    panel.axvline(1, color=GREY, linewidth=0.6)
    panel.set_xscale("log")
    panel.set_yticks(range(len(amplitudes)), amplitudes)
    panel.set_ylim(len(amplitudes) - 0.5, -0.5)
    low, high = panel.get_xlim()
    panel.set_xlim(min(low, 0.1), max(high, 10))
    panel.set_title("Amplitude of each channel and record / median", loc="left")


def _classes(panel, label, splits):
    """Share of each class in the windows of each split, with the number of windows."""
    names = list(dict.fromkeys(name for counts in splits.values() for name in counts))
    width = 0.8 / len(splits)
    for number, (split, counts) in enumerate(splits.items()):
        total = sum(counts.values()) or 1
        places = np.arange(len(names)) + (number - (len(splits) - 1) / 2) * width
        shares = [100 * counts.get(name, 0) / total for name in names]
        panel.bar(places, shares, width, label=f"{split} ({total})", color=series_colour(number))
    panel.set_xticks(range(len(names)), names)
    panel.set_ylabel("windows (%)")
    panel.set_title(label, loc="left")
    panel.legend()
