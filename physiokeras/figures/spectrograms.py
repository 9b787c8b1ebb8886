"""Figure of true and reconstructed spectrograms."""

from dataclasses import dataclass

import numpy as np

from physiokeras.figures.style import GREY, PAGE, new_figure, styled, title

LIMIT = 2.5
"""Standard deviations at which the colours end."""


@dataclass(frozen=True)
class Spectrogram:
    """Band powers of one channel over time, and their reconstruction.

    Args:
        label: Name of the channel.
        edges: `(bands + 1,)`, edges of the bands in Hz, all above 0.
        true: `(patches, bands)`, log powers in standard deviations from the mean in training; NaN where absent.
        reconstructed: `(patches, bands)`, likewise.
    """

    label: str
    edges: np.ndarray
    true: np.ndarray
    reconstructed: np.ndarray

    def __post_init__(self):
        shape = np.shape(self.true)
        if len(shape) != 2 or shape != np.shape(self.reconstructed) or shape[1] + 1 != len(self.edges):
            raise ValueError(
                f"{self.label}: `true` and `reconstructed` must be (patches, bands), and `edges` one more than bands. "
                f"Received: {shape}, {np.shape(self.reconstructed)} and {len(self.edges)} edges."
            )


@styled
def spectrograms(channels, *, seconds, heading="Band powers of dropped modalities", note=None):
    """Spectrograms of channels that the model did not see: on the left true, on the right as reconstructed.

    Args:
        channels: list of `Spectrogram`, a row of the figure each.
        seconds: Length of a patch.
        heading: Title.
        note: Word for the title, such as "simulated".

    Returns: `Figure`.

    Raises:
        ValueError: No channel.
    """
    if not channels:
        raise ValueError("`channels` must hold at least one spectrogram.")
    figure = new_figure(PAGE, 1.0 + 0.95 * len(channels))
    panels = figure.subplots(len(channels), 2, sharex=True, sharey="row", squeeze=False)
    unit, name = (3600, "h") if len(channels[0].true) * seconds > 7200 else (60, "min")
    for row, channel in zip(panels, channels, strict=True):
        time = np.arange(len(channel.true) + 1) * seconds / unit
        for panel, values in zip(row, (channel.true, channel.reconstructed), strict=True):
            if np.isnan(values).all():
                panel.text(0.5, 0.5, "absent", transform=panel.transAxes, ha="center", va="center", color=GREY)
            drawn = panel.pcolormesh(
                time, channel.edges, np.asarray(values).T, cmap="RdBu_r", vmin=-LIMIT, vmax=LIMIT, rasterized=True
            )
            panel.set_yscale("log")
            panel.set_ylim(channel.edges[0], channel.edges[-1])
            panel.yaxis.set_major_formatter("{x:g}")
            panel.yaxis.set_minor_formatter("")
        row[0].set_ylabel(f"{channel.label}\nfrequency (Hz)", fontsize=7)
    panels[0, 0].set_title("true")
    panels[0, 1].set_title("reconstructed from the other modalities")
    for panel in panels[-1]:
        panel.set_xlabel(f"time in the recording ({name})")
    bar = figure.colorbar(drawn, ax=panels, extend="both", fraction=0.03, pad=0.02)
    bar.set_label("log band power\n(standard deviations\nfrom training mean)", fontsize=7)
    title(figure, heading, note)
    figure.align_ylabels()
    return figure
