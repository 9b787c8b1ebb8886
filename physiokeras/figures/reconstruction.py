"""Figure of a window and its reconstruction."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from physiokeras.figures.style import (
    BLACK,
    GREY,
    ORANGE,
    PAGE,
    SKY,
    VERMILION,
    new_figure,
    styled,
    title,
    unit_text,
)

FLAT = 0.2
"""Share of the spread of the true samples below which a reconstruction is a flat line."""

MEANING = (
    "A flat orange line is near the mean: the network has not learned to predict these samples, as after few steps,\n"
    "or nobody can, as samples of noise-like signals (EMG, EEG). Their power can be predicted: --targets spectrum."
)


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
    flat, figure = False, new_figure(PAGE, 0.75 + 0.62 * len(rows))
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
        flat |= bool(mask.any()) and guess[inside].std() < FLAT * signal[inside].std()
        _shade(panel, mask, seconds, ORANGE if name in dropped else SKY)
        panel.plot(time, signal, color=BLACK, linewidth=0.6)
        panel.plot(time, np.where(inside, guess, np.nan), color=VERMILION, linewidth=0.8)
        panel.yaxis.set_major_locator(MaxNLocator(3))
    panels[-1].set_xlabel("time in the window (s)")
    panels[-1].set_xlim(0, seconds)
    _key(figure, dropped, MEANING if flat else None)
    title(figure, "Reconstruction of hidden patches", note)
    figure.align_ylabels()
    return figure


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


def _key(figure, dropped, meaning):
    keys = [Line2D([], [], color=BLACK, linewidth=0.8), Line2D([], [], color=VERMILION), Patch(color=SKY, alpha=0.25)]
    texts = ["true", "reconstructed", "hidden"]
    if dropped:
        keys.append(Patch(color=ORANGE, alpha=0.25))
        texts.append(f"dropped modality ({', '.join(name.upper() for name in dropped)})")
    figure.legend(keys, texts, loc="outside lower center", ncols=len(keys), title=meaning, title_fontsize=6.5)
