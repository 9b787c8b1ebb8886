"""Figures of an analysis: tuning of features, reconstruction between modalities, map of windows, correlations."""

import numpy as np

from physiokeras.figures.style import BLACK, GREY, PAGE, SERIES, new_figure, series_colour, styled, title


@styled
def tuning(runs, modalities, *, note=None):
    """Share of features' variance that each modality causes, by layer, and the distributedness of the shares.

    Args:
        runs: name -> dict of "shares" `(layers, modalities)`, means over features; "distributedness" `(layers, 3)`:
            quartiles over features; "others" `(layers,)`: share that other modalities cause in a modality's own tokens.
            The first layer is the tokenizers.
        modalities: Names.
        note: Word for the title.

    Returns: `Figure`.
    """
    figure = new_figure(PAGE, 2.3 * (2 if len(runs) > 1 else 1) + 0.3)
    columns = max(2, len(runs))
    top, bottom = (figure.subfigures(2, 1) if len(runs) > 1 else (figure.subfigures(1, 1),) * 2)[:2]
    if len(runs) > 1:
        above, below = top.subplots(1, columns, sharey=True), bottom.subplots(1, 2)
    else:
        panels = figure.subplots(1, 3)
        above, below = panels[:1], panels[1:]
    for panel, (name, run) in zip(above, runs.items(), strict=False):
        _stacked(panel, run["shares"], modalities)
        panel.set_title(name)
    above[0].set_ylabel("share of the features' variance (%)")
    above[min(len(runs), len(above)) - 1].legend(loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)
    for number, (name, run) in enumerate(runs.items()):
        low, middle, high = np.asarray(run["distributedness"]).T
        along = np.arange(len(middle))
        colour = series_colour(number + len(modalities))  # another one than those of the modalities above
        below[0].plot(along, middle, "o-", markersize=3, color=colour, label=name)
        below[0].fill_between(along, low, high, color=colour, alpha=0.2, linewidth=0)
        below[1].plot(along, 100 * np.asarray(run["others"]), "o-", markersize=3, color=colour, label=name)
    below[0].set_ylim(0, 1.02)
    below[0].set_ylabel("distributedness of features\n(median, quartiles)")
    below[1].set_ylim(0, 100)
    below[1].set_ylabel("variance that others cause\nin a modality's own tokens (%)")
    for panel in below:
        panel.set_xticks(along, ["tok.", *map(str, along[1:])])
        panel.set_xlabel("layer")
    below[1].legend()
    title(figure, "Tuning of features to modalities; tok.: tokenizers, before the first block", note)
    return figure


@styled
def reconstruction(runs, targets, *, note=None):
    """Share of each modality's variance that each set of others explains; in brackets: with sources from other windows.

    Args:
        runs: name -> dict of (source set, target) -> (explained, explained with shuffled sources).
        targets: Names of the modalities.
        note: Word for the title.

    Returns: `Figure`.
    """
    sources = list(dict.fromkeys(source for found in runs.values() for source, _ in found))
    figure = new_figure(min(PAGE, 1.3 + 2.9 * len(runs)), 0.22 * len(sources) + 1.2)
    panels = figure.subplots(1, len(runs), squeeze=False, sharey=True)[0]
    most = max(0.1, *(abs(pair[0]) for found in runs.values() for pair in found.values() if np.isfinite(pair[0])))
    for panel, (name, found) in zip(panels, runs.items(), strict=True):
        values = np.array([[found.get((s, t), (np.nan,))[0] for t in targets] for s in sources])
        image = panel.imshow(100 * values, cmap="RdBu", vmin=-100 * most, vmax=100 * most, aspect="auto")
        for row, column in np.ndindex(*values.shape):
            pair = found.get((sources[row], targets[column]))
            if pair is not None and np.isfinite(pair[0]):
                text = "{:.0f} ({:.0f})".format(*(round(100 * value) + 0 for value in pair))
                panel.text(column, row, text, ha="center", va="center", fontsize=6.5,
                           color="white" if abs(pair[0]) > 0.7 * most else BLACK)  # fmt: skip
        panel.set_facecolor("#DDDDDD")
        panel.set_xticks(range(len(targets)), [target.upper() for target in targets])
        panel.set_yticks(range(len(sources)), [" + ".join(source).upper() for source in sources])
        panel.tick_params(length=0)
        panel.set_xlabel("reconstructed\n(in brackets: from other windows)")
        panel.set_title(name)
    panels[0].set_ylabel("from")
    bar = figure.colorbar(image, ax=panels, pad=0.02)
    bar.set_label("variance explained (%)")
    title(figure, "Reconstruction from others", note)
    return figure


@styled
def embedding(places, held, people, *, task=None, targets=None, ages=None, note=None):
    """Map of windows, coloured by class, by person and by age, if known.

    Args:
        places: `(windows, 2)`.
        held: `(2,)`, share of the variance that each dimension explains.
        people: `(windows,)`, of any sortable type.
        task: `Task` with the classes.
        targets: `(windows,)` class numbers, -1 where unscored.
        ages: `(windows,)` years, NaN where unknown.
        note: Word for the title.

    Returns: `Figure`.
    """
    shown = [name for name, values in (("class", targets), ("person", people), ("age", ages)) if values is not None]
    figure = new_figure(PAGE, 2.9)
    panels = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True)[0]
    order = np.random.default_rng(0).permutation(len(places))  # in random order, so that no class covers another
    size = 4 if len(places) > 500 else 10
    for panel, name in zip(panels, shown, strict=True):
        if name == "class":
            _classes(panel, places, np.asarray(targets), task, order, size)
        elif name == "person":
            code = np.unique(people, return_inverse=True)[1]
            # Hue cannot distinguish many people: the panel shows whether people cluster, not who is where.
            few = code.max() < len(SERIES)
            colours = {"c": np.array(SERIES)[code[order]]} if few else {"c": code[order], "cmap": "turbo"}
            panel.scatter(*places[order].T, **colours, s=size, linewidths=0)
            panel.set_title(f"person ({code.max() + 1})")
        else:
            dots = panel.scatter(*places[order].T, c=np.asarray(ages)[order], cmap="viridis", s=size, linewidths=0)
            figure.colorbar(dots, ax=panel, pad=0.02).set_label("years")
            panel.set_title("age")
        panel.set_xlabel(f"component 1 ({100 * held[0]:.0f} % of variance)")
    panels[0].set_ylabel(f"component 2 ({100 * held[1]:.0f} %)")
    # A few windows with artefacts would otherwise set the scale.
    low, high = np.quantile(places, [0.005, 0.995], axis=0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    panels[0].set_xlim(low[0], high[0])
    panels[0].set_ylim(low[1], high[1])
    outside = int(((places < low) | (places > high)).any(axis=1).sum())
    text = f", {outside} of {len(places)} windows outside the frame" if outside else ""
    title(figure, f"Features of windows: principal components{text}", note)
    return figure


@styled
def explanations(measures, score, strategies, *, score_name, note=None):
    """Each measure against the probe score, with a point for each trained encoder.

    Args:
        measures: axis label -> `(cells,)`.
        score: `(cells,)`.
        strategies: `(cells,)` names.
        score_name: Axis label.
        note: Word for the title.

    Returns: `Figure`.
    """
    figure = new_figure(PAGE, 2.6)
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    strategies = np.asarray(strategies)
    markers = "os^Dv<>Pp*"
    for panel, (text, values) in zip(panels, measures.items(), strict=True):
        for number, name in enumerate(np.unique(strategies)):
            rows = strategies == name
            panel.scatter(np.asarray(values)[rows], np.asarray(score)[rows], s=12, label=name, linewidths=0,
                          color=series_colour(number), marker=markers[number % len(markers)])  # fmt: skip
        panel.set_xlabel(text)
    panels[0].set_ylabel(score_name)
    panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    title(figure, "Explanation against probe score", note)
    return figure


def _stacked(panel, shares, modalities):
    along, below = np.arange(len(shares)), np.zeros(len(shares))
    for number, name in enumerate(modalities):
        values = 100 * np.nan_to_num(np.asarray(shares)[:, number])
        panel.bar(along, values, 0.85, below, color=series_colour(number), label=name.upper(), linewidth=0)
        below = below + values
    panel.set_xticks(along, ["tok.", *map(str, along[1:])])
    panel.set_ylim(0, 100)
    panel.set_xlabel("layer")


def _classes(panel, places, targets, task, order, size):
    colours = np.array([*(series_colour(i) for i in range(len(task.classes))), GREY])
    panel.scatter(*places[order].T, c=colours[targets[order]], s=size, linewidths=0)
    names = [*task.classes, *(["not scored"] if (targets < 0).any() else [])]
    for name, colour in zip(names, colours, strict=False):
        panel.scatter([], [], s=12, color=colour, label=name, linewidths=0)
    panel.figure.legend(loc="outside lower left", ncols=len(names), handletextpad=0, columnspacing=1)
    panel.set_title(task.name)
