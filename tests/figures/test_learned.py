import numpy as np
import pytest

from physiokeras.evaluation.tasks import Task
from physiokeras.figures import attention_maps, learned, style

pytestmark = pytest.mark.once

DRAW = np.random.default_rng(0)
NAMES, TIME = ("eeg", "eog", "ecg"), 10
LAYERS = ("1", "2", "rollout")


def attention(scale):
    weights = np.exp(scale * DRAW.normal(size=(3, 30, 30)) + 2 * (np.arange(30)[:, None] % 10 == np.arange(30) % 10))
    return weights / weights.sum(axis=-1, keepdims=True)


def interval(shape=()):
    value = 1 + DRAW.random(shape)
    return value, value - 0.1, value + 0.1


def tuned():
    shares = DRAW.dirichlet(np.ones(3), size=5)
    return {"shares": shares, "distributedness": np.sort(DRAW.random((5, 3))), "others": DRAW.random(5)}


RUNS = {"trained": attention(1.0), "untrained": attention(0.1)}
MATRIX = {(("eeg",), "eog"): (0.3, -0.2), (("eog",), "eeg"): (0.1, -0.001), (("ecg",), "eeg"): (np.nan, np.nan)}
DRAWN = {
    "matrices": lambda **o: attention_maps.matrices({k: v[-1] for k, v in RUNS.items()}, NAMES, seconds=30, **o),
    "layers": lambda **o: attention_maps.layers(RUNS, LAYERS, NAMES, **o),
    "flow": lambda **o: attention_maps.flow({"a": np.full((3, 3), 1 / 3), "b": np.eye(3)}, NAMES, **o),
    "alignment": lambda **o: attention_maps.alignment(
        {name: {"others": interval(TIME), "own": interval(TIME)} for name in RUNS}, step=3.0, **o
    ),
    "measures": lambda **o: attention_maps.measures(
        {name: {"bands": {layer: interval() for layer in LAYERS}} for name in RUNS}, titles={"bands": "bands"}, **o
    ),
    "tuning": lambda **o: learned.tuning({"trained": tuned(), "untrained": tuned()}, NAMES, **o),
    "tuning of one": lambda **o: learned.tuning({"trained": tuned()}, NAMES, **o),
    "reconstruction": lambda **o: learned.reconstruction({"trained": MATRIX}, NAMES, **o),
    "embedding": lambda **o: learned.embedding(
        DRAW.normal(size=(60, 2)), (0.4, 0.2), np.repeat(list("abc"), 20), targets=np.arange(60) % 3 - 1,
        task=Task("stage", "stage", classes=("W", "N")), ages=np.linspace(20, 80, 60), **o
    ),
    "explanations": lambda **o: learned.explanations(
        {"alignment": DRAW.random(12), "cross-modality": DRAW.random(12)}, DRAW.random(12),
        np.repeat(["mae", "dropout"], 6), score_name="stage", **o
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_figures_have_labelled_axes_and_a_note(name):
    figure = DRAWN[name](note="simulated")
    assert "(simulated)" in figure.get_suptitle()
    shown = [axes for axes in figure.axes if axes.has_data()]
    assert any(axes.get_xlabel() for axes in shown) or name == "layers"
    assert any(axes.get_ylabel() for axes in shown)


def test_the_same_figure_gives_the_same_pdf(tmp_path):
    for name in "ab":
        style.save(DRAWN["flow"](), tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_runs_side_by_side_have_one_colour_scale():
    for name in ("matrices", "layers", "flow"):
        scales = {axes.images[0].get_clim() for axes in DRAWN[name]().axes if axes.images}
        assert len(scales) == 1


def test_reconstruction_names_sources_and_leaves_unknown_cells_blank():
    (panel, _) = DRAWN["reconstruction"]().axes
    assert [text.get_text() for text in panel.texts] == ["30 (-20)", "10 (0)"]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["EEG", "EOG", "ECG"]
