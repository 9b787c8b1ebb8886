"""Draw the pictures of the concepts page when the site is built, from the layers themselves."""

import io
import os
import tempfile

os.environ.setdefault("KERAS_BACKEND", "jax")

import mkdocs_gen_files
import numpy as np

from physiokeras.figures.style import BLUE, GREY, ORANGE, new_figure, styled
from physiokeras.layers import ModalityDropout, TokenMask
from physiokeras.pipelines import convert, simulate, windows

TIME = 30


def example_window():
    """First channel of each modality in a simulated window: dict of name to samples."""
    with tempfile.TemporaryDirectory() as folder:
        source = simulate(f"{folder}/source", 1, 0, hours=0.1, seed=4, progress=False)
        convert(source, "simulated", f"{folder}/prepared", progress=None)
        found = windows(f"{folder}/prepared")
    return {name: values[5, :, 0] for name, values in found.items() if name != "present"}


@styled
def masks():
    """A window of four modalities: which patches the encoder sees."""
    signals = example_window()
    present = np.ones((1, len(signals)), bool)
    kept = np.array(ModalityDropout(seed=3)(present))
    *_, hidden = TokenMask(TIME, seed=1)(present, kept)
    hidden = np.array(hidden).reshape(len(signals), TIME)
    figure = new_figure(7.2, 3.0)
    for row, (panel, (name, values)) in enumerate(
        zip(figure.subplots(len(signals), sharex=True), signals.items(), strict=True)
    ):
        dropped = not kept[0, row]
        seconds = np.arange(len(values)) / len(values) * TIME
        for patch in range(TIME):
            inside = (seconds >= patch) & (seconds <= patch + 1)
            colour = ORANGE if dropped else GREY if hidden[row, patch] else BLUE
            panel.plot(seconds[inside], values[inside], color=colour, lw=0.6)
        panel.set_ylabel(name.upper() + ("\ndropped" if dropped else ""), rotation=0, ha="right", va="center")
        panel.set(yticks=[], xlim=(0, TIME))
    panel.set_xlabel("seconds")
    return figure


with mkdocs_gen_files.open("assets/masks.png", "wb") as file:
    picture = io.BytesIO()
    masks().savefig(picture, dpi=150)
    file.write(picture.getvalue())
