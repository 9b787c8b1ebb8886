"""Style of all figures, and a function that saves them."""

import functools
import io
import textwrap
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from physiokeras.files import write_atomic

# Okabe and Ito's palette, safe for colour-blind readers.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#888888"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Colours of several lines in one panel, in order."""

COLUMN, PAGE = 3.5, 7.2
"""Widths of a printed column and page in inches."""

_STYLE = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib, so that figures are the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # text that can be searched and edited
}


def series_colour(number):
    """Colour of line `number`, counted from 0; the colours repeat."""
    return SERIES[number % len(SERIES)]


def styled(function):
    """Decorator that draws in the package's style, whatever matplotlib settings the user has."""

    @functools.wraps(function)
    def draw(*args, **kwargs):
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            return function(*args, **kwargs)

    return draw


def new_figure(width, height):
    """An empty figure of this size in inches, independent of matplotlib's global state."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def title(figure, text, note=None):
    """Set a title above all panels, followed by a note such as "simulated"; a long one gets several lines."""
    text = f"{text} ({note})" if note else text
    width = int(13 * figure.get_figwidth())
    # Never broken inside a word, such as a file's name.
    lines = [textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) for line in text.splitlines()]
    figure.suptitle("\n".join(lines), fontsize=8, fontweight="bold")


def unit_text(unit):
    """A unit as figures print it: "µV" for "uV", "°C" for "degC"; "scaled" for none."""
    if unit in ("degC", "DegC"):
        return "°C"
    return f"µ{unit[1:]}" if unit in ("uV", "uS") else unit or "scaled"


@styled
def save(figure, path, *, dpi=200):
    """Write a figure atomically; the same figure gives the same bytes.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: The file, ending in `.png` or `.pdf`; an existing file is replaced.
        dpi: Dots per inch of a PNG file.
    """
    content, kind = io.BytesIO(), Path(path).suffix[1:]
    unsaid = {"png": {"Software": None}, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}
    figure.savefig(content, format=kind, dpi=dpi, metadata=unsaid[kind])
    write_atomic(path, content.getvalue())
