"""Figures of attention: matrices, flow between modalities, alignment in time, measures by layer.

Runs are drawn side by side with one colour scale. Each argument `runs` is a dict of run name -> numbers.
"""

import numpy as np
from matplotlib.colors import LogNorm

from physiokeras.figures.style import BLACK, COLUMN, GREY, PAGE, new_figure, series_colour, styled, title

MATRIX = "cividis"  # perceptually uniform and safe for colour-blind readers


@styled
def matrices(runs, modalities, *, seconds, heading="Attention rollout", note=None):
    """Contribution of each token (column) to each token (row), with borders between modalities.

    Args:
        runs: name -> `(tokens, tokens)`, rows (queries) sum to 1; the diagonal is left blank.
        modalities: Names, in the order of the tokens.
        seconds: Length of the window.
        heading: Title.
        note: Note for the title, such as "simulated".

    Returns: `Figure`.
    """
    pictures = {name: _relative(picture) for name, picture in runs.items()}
    norm = _norm(pictures.values())
    figure = new_figure(COLUMN if len(runs) == 1 else PAGE, 3.5 if len(runs) < 3 else 2.9)
    figure.set_layout_engine("compressed")  # for axes of fixed shape
    panels = figure.subplots(1, len(runs), squeeze=False)[0]
    for panel, (name, picture) in zip(panels, pictures.items(), strict=True):
        image = _matrix(panel, picture, len(modalities), norm)
        _modality_ticks(panel, modalities, len(picture))
        panel.set_title(name)
        panel.set_xlabel(f"from token (0 to {seconds:g} s in each)")
    panels[0].set_ylabel(f"to token (0 to {seconds:g} s in each)")
    _bar(figure, image, panels, pad=0.02)
    title(figure, heading, note)
    return figure


@styled
def layers(runs, names, modalities, *, note=None):
    """Attention of each layer and the rollout, as a row of small matrices for each run.

    Args:
        runs: name -> `(layers, tokens, tokens)`.
        names: Names of the layers.
        modalities: Names, in the order of rows and columns, with borders between them.
        note: Word for the title.

    Returns: `Figure`.
    """
    pictures = {name: [_relative(layer) for layer in stack] for name, stack in runs.items()}
    norm = _norm([layer for stack in pictures.values() for layer in stack])
    side = (PAGE - 0.9) / len(names)
    figure = new_figure(PAGE, 0.7 + (side + 0.15) * len(runs))
    figure.set_layout_engine("compressed")
    panels = figure.subplots(len(runs), len(names), squeeze=False)
    for number, (row, (name, stack)) in enumerate(zip(panels, pictures.items(), strict=True)):
        for panel, layer, picture in zip(row, names, stack, strict=True):
            image = _matrix(panel, picture, len(modalities), norm)
            panel.set_xticks([])
            panel.set_yticks([])
            if number == 0:
                panel.set_title(layer if layer == "rollout" else f"layer {layer}" if len(names) < 7 else layer)
        row[0].set_ylabel(name)
    _bar(figure, image, panels, pad=0.01)
    order = ", ".join(name.upper() for name in modalities)
    title(figure, f"Attention by layer; from left and from top: {order}", note)
    return figure


@styled
def flow(runs, modalities, *, note=None):
    """Share of a modality's attention that goes to each modality, in the rollout.

    Args:
        runs: name -> `(modalities, modalities)`, rows sum to 1 or are NaN.
        modalities: Names.
        note: Word for the title.

    Returns: `Figure`.
    """
    side = 0.42 * len(modalities) + 0.6
    figure = new_figure(max(COLUMN, min(PAGE, (side + 0.3) * len(runs) + 0.6)), side + 0.7)
    panels = figure.subplots(1, len(runs), squeeze=False, sharey=True)[0]
    runs = {name: 100 * np.asarray(matrix) for name, matrix in runs.items()}
    most = max(float(np.nanmax(matrix)) for matrix in runs.values())
    names = [name.upper() for name in modalities]
    for panel, (name, matrix) in zip(panels, runs.items(), strict=True):
        image = panel.imshow(matrix, cmap=MATRIX, vmin=0, vmax=most)
        for row, column in np.ndindex(*matrix.shape):
            value = matrix[row, column]
            text = "absent" if np.isnan(value) else f"{value:.0f}"
            panel.text(column, row, text, ha="center", va="center", color="white" if value < most / 2 else BLACK)
        panel.set_xticks(range(len(names)), names, rotation=45 if len(names) > 4 else 0)
        panel.set_yticks(range(len(names)), names)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_xlabel("from")
        panel.set_title(name)
    panels[0].set_ylabel("to")
    bar = figure.colorbar(image, ax=panels, shrink=0.8, pad=0.02)
    bar.set_label("share of attention (%)")
    title(figure, "Flow between modalities, rollout", note)
    return figure


@styled
def alignment(curves, *, step, heading="Rollout", note=None):
    """Attention by distance in time, to tokens of other modalities and to tokens of the same modality.

    Args:
        curves: name -> dict of "others" and "own", each `(value, low, high)` of `(time,)`, relative to uniform.
        step: Seconds per token.
        heading: Beginning of the title.
        note: Word for the title.

    Returns: `Figure`.
    """
    figure = new_figure(PAGE, 2.6)
    panels = figure.subplots(1, 2, sharey=True)
    styles = ("-", "--", ":", "-.")
    for panel, part, text in zip(panels, ("others", "own"), ("other modalities", "the same modality"), strict=True):
        panel.axhline(1, color=GREY, linewidth=0.6)
        for number, (name, found) in enumerate(curves.items()):
            value, low, high = found[part]
            along = np.arange(len(value)) * step
            colour = series_colour(number)
            panel.plot(along, value, color=colour, linestyle=styles[number % len(styles)], label=name)
            if np.isfinite(low).any():
                panel.fill_between(along, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.set_xlabel("distance in time |Δt| (s)")
        panel.set_title(f"tokens of {text}")
    panels[0].set_ylabel("attention / uniform")
    panels[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    title(figure, f"{heading}: attention by distance in time", note)
    return figure


@styled
def measures(runs, *, titles, note=None):
    """Each measure by layer, as a line for each run, with 95 % intervals over people.

    Args:
        runs: name -> dict of measure -> dict of layer -> `(value, low, high)`.
        titles: measure -> axis label, in the order of the panels.
        note: Word for the title.

    Returns: `Figure`.
    """
    figure = new_figure(PAGE, 1.9 * -(-len(titles) // 2) + 0.4)
    panels = figure.subplots(-(-len(titles) // 2), 2, squeeze=False, sharex=True).ravel()
    for panel, (measure, text) in zip(panels, titles.items(), strict=False):
        panel.axhline(0 if measure == "bands" else 1, color=GREY, linewidth=0.6)
        for number, (name, found) in enumerate(runs.items()):
            points = found[measure]
            value, low, high = np.array(list(points.values()), float).T
            places = np.arange(len(points)) + 0.12 * (number - (len(runs) - 1) / 2)
            error = np.nan_to_num(np.stack([value - low, high - value]))
            style = {"fmt": "o-", "markersize": 3, "linewidth": 0.8, "elinewidth": 0.8, "color": series_colour(number)}
            panel.errorbar(places, value, np.maximum(error, 0), label=name, **style)
            panel.set_xticks(range(len(points)), points)
        panel.set_ylabel(text)
    for panel in panels[-2:]:
        panel.set_xlabel("layer")
    panels[0].legend()
    title(figure, "Attention by layer, with 95 % intervals over people", note)
    return figure


def _relative(picture):
    """Attention to other tokens relative to uniform attention; NaN on the diagonal."""
    picture = np.array(picture, float)
    np.fill_diagonal(picture, np.nan)
    return picture / (np.nansum(picture, axis=1, keepdims=True) + 1e-12) * (len(picture) - 1)


def _norm(pictures):
    values = np.concatenate([picture[picture > 0] for picture in pictures])
    low, high = np.quantile(values, [0.02, 0.995])
    return LogNorm(max(low, high / 1e3), high)


def _matrix(panel, picture, modalities, norm):
    shown = np.where(picture > 0, picture, np.where(np.isnan(picture), np.nan, norm.vmin))
    image = panel.imshow(shown, cmap=MATRIX, norm=norm, interpolation="nearest")
    for border in np.arange(1, modalities) * len(picture) / modalities - 0.5:
        panel.axhline(border, color="white", linewidth=0.6)
        panel.axvline(border, color="white", linewidth=0.6)
    panel.spines[:].set_visible(False)
    return image


def _modality_ticks(panel, modalities, tokens):
    middle = (np.arange(len(modalities)) + 0.5) * tokens / len(modalities) - 0.5
    names = [name.upper() for name in modalities]
    panel.set_xticks(middle, names)
    panel.set_yticks(middle, names, rotation=90, va="center")
    panel.tick_params(length=0)


def _bar(figure, image, panels, pad):
    bar = figure.colorbar(image, ax=panels, shrink=0.8, pad=pad, extend="both")
    ticks = [
        tick
        for tick in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50)
        if image.norm.vmin <= tick <= image.norm.vmax
    ]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.minorticks_off()
    bar.set_label("attention / uniform")
