import subprocess
import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from tiny import encoder

from physiokeras.figures import pretraining_run
from physiokeras.figures.loss import loss_curve, read_metrics
from physiokeras.figures.predictions import confusion_matrix, hypnogram
from physiokeras.figures.reconstruction import reconstruction
from physiokeras.figures.spectrograms import Spectrogram, spectrograms
from physiokeras.figures.style import save
from physiokeras.models import ContrastiveModel

pytestmark = pytest.mark.once

STAGES = np.array([0, 0, 1, 2, 3, 4, 4, -1])


def window(**changes):
    true = {"eeg": np.random.default_rng(0).normal(size=(40, 2)), "ecg": np.arange(20.0)[:, None]}
    hidden = {"eeg": np.array([True, False, True, True]), "ecg": np.ones(4, bool)}
    given = {"true": true, "reconstructed": {name: 0 * signal for name, signal in true.items()}, "hidden": hidden}
    return {**given, "seconds": 4, **changes}


def channels(patches=6):
    powers = np.arange(patches * 3.0).reshape(patches, 3)
    edges = np.array([1, 2, 8, 51])
    return [Spectrogram("EEG C3", edges, powers, powers / 2), Spectrogram("ECG", edges, powers, np.nan * powers)]


DRAWN = {
    "loss": lambda **options: loss_curve({"loss": np.arange(3.0), "val_loss": np.arange(3.0)}, **options),
    "confusion": lambda **options: confusion_matrix([[3, 1], [0, 0]], ["a", "b"], **options),
    "hypnogram": lambda **options: hypnogram(STAGES, np.maximum(STAGES, 0), **options),
    "reconstruction": lambda **options: reconstruction(**window(), **options),
    "spectrograms": lambda **options: spectrograms(channels(), seconds=1, **options),
}


@pytest.mark.parametrize("name", DRAWN)
def test_same_arrays_give_the_same_picture_whatever_the_users_style(name, tmp_path):
    save(DRAWN[name](), tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 5, "savefig.facecolor": "red"}):
        save(DRAWN[name](), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", DRAWN)
def test_note_stands_in_the_title(name):
    assert "(simulated)" in DRAWN[name](note="simulated").get_suptitle()
    assert "simulated" not in DRAWN[name]().get_suptitle()


def test_figures_leave_pyplot_and_the_users_style_alone():
    code = """if True:
        import sys, matplotlib
        names = [name for name in matplotlib.rcParams if name != "backend"]  # to ask for the backend imports pyplot
        before = [matplotlib.rcParams[name] for name in names]
        from physiokeras.figures import predictions
        predictions.confusion_matrix([[1]], ["a"])
        assert "matplotlib.pyplot" not in sys.modules
        assert [matplotlib.rcParams[name] for name in names] == before"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loss_is_drawn_from_the_file_with_gaps_where_nothing_was_measured(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss,val_loss,loss_eeg\n100,0.9,,0.8\n200,0.7,0.75,0.6\n")
    whole, parts = loss_curve(path).axes
    train, held = (line.get_xydata().tolist() for line in whole.lines)
    assert train == [[100, 0.9], [200, 0.7]]
    assert held == [[200, 0.75]]
    assert [line.get_label() for line in parts.lines] == ["EEG"]
    assert whole.get_xlabel() == "step"


@pytest.mark.parametrize(("text", "message"), [("step,loss\n", "no line"), ("step,loss\n1,x\n", "must hold 2 numbers"),
                                               ("step,loss\n1\n", "must hold 2 numbers"), ("", "no line")])  # fmt: skip
def test_metrics_that_are_no_numbers_are_errors(tmp_path, text, message):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_metrics(path)


def test_loss_curve_without_loss_is_an_error():
    with pytest.raises(ValueError, match=r"needs the column 'loss'. Received: step"):
        loss_curve({"step": np.arange(3)})


def test_confusion_shows_shares_of_the_true_class():
    texts = [text.get_text() for text in DRAWN["confusion"]().axes[0].texts]
    assert texts == ["75%\n3", "25%\n1", "none", "none"]
    with pytest.raises(ValueError, match=r"must be \(2, 2\). Received: \(3, 3\)"):
        confusion_matrix(np.eye(3), ["a", "b"])


def test_hypnogram_has_wake_on_top_then_rem_and_n3_below():
    figure = hypnogram(STAGES, STAGES, classes=("W", "N1", "N2", "N3", "R"))
    scored = figure.axes[0]
    levels = dict(zip([label.get_text() for label in scored.get_yticklabels()], scored.get_yticks(), strict=True))
    assert sorted(levels, key=levels.get, reverse=True) == ["W", "R", "N1", "N2", "N3"]
    drawn, edges, _ = scored.patches[0].get_data()
    np.testing.assert_array_equal(drawn[:-1], [levels[name] for name in ("W", "W", "N1", "N2", "N3", "R", "R")])
    assert np.isnan(drawn[-1])
    assert edges[-1] == 8 * 30 / 60
    assert figure.axes[2].get_xlabel().splitlines()[0] == "time (min)"
    night = hypnogram(np.tile(STAGES, 100), np.tile(STAGES, 100)).axes[2]
    assert (night.get_xlabel().splitlines()[0], night.get_xlim()[1]) == ("time (h)", 800 / 120)
    assert "100% of 7 windows agree" in figure.get_suptitle()


def test_reconstruction_is_drawn_inside_hidden_patches_only():
    figure = reconstruction(**window())
    eeg = figure.axes[0]
    true, guess = (line.get_ydata() for line in eeg.lines)
    np.testing.assert_array_equal(np.isnan(guess), np.repeat([False, True, False, False], 10))
    assert not np.isnan(true).any()
    assert [(patch.get_x(), patch.get_width()) for patch in eeg.patches] == [(0, 1), (2, 2)]
    assert len(figure.axes) == 3


def test_flat_reconstruction_is_explained_and_another_is_not():
    given = window()
    flat, other = (reconstruction(**window(reconstructed=guess)) for guess in (given["reconstructed"], given["true"]))
    assert flat.legends[0].get_title().get_text().startswith("A flat orange line is near the mean")
    assert not other.legends[0].get_title().get_text()


def test_dropped_modality_and_absent_channel_are_marked():
    given = window(dropped=("ecg",), channels={"eeg": ["C3", "C4"]}, units={"eeg": "uV"})
    given["true"]["eeg"][:, 1] = 3.5  # zeros, in physical units
    figure = reconstruction(**given)
    assert [text.get_text() for text in figure.axes[1].texts] == ["absent"]
    assert figure.axes[0].get_ylabel() == "EEG C3\n(µV)"
    assert "dropped modality (ECG)" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert figure.axes[2].patches[0].get_facecolor() != figure.axes[0].patches[0].get_facecolor()


def test_signals_that_do_not_go_together_are_errors():
    with pytest.raises(ValueError, match="same modalities"):
        reconstruction(**window(hidden={"eeg": np.ones(4, bool)}))
    with pytest.raises(ValueError, match=r"eeg: signals must be .* and 3 tokens"):
        reconstruction(**window(hidden={"eeg": np.ones(3, bool), "ecg": np.ones(4, bool)}))
    with pytest.raises(ValueError, match=r"must be \(windows,\)"):
        hypnogram(STAGES, STAGES[1:])


def test_spectrograms_have_bands_in_hertz_over_time_true_beside_reconstructed():
    figure = spectrograms(channels(), seconds=30)
    true, made, _, absent, bar = figure.axes
    for panel, expected in ((true, channels()[0].true), (made, channels()[0].reconstructed)):
        (drawn,) = panel.collections
        np.testing.assert_array_equal(drawn.get_array(), expected.T)
        corners = drawn.get_coordinates()
        np.testing.assert_allclose(corners[0, :, 0], np.arange(7) / 2)  # minutes
        np.testing.assert_array_equal(corners[:, 0, 1], [1, 2, 8, 51])
        assert panel.get_yscale() == "log"
    assert true.collections[0].get_clim() == made.collections[0].get_clim()
    assert [text.get_text() for text in absent.texts] == ["absent"]
    assert true.get_ylabel() == "EEG C3\nfrequency (Hz)"
    assert absent.get_xlabel() == "time in the recording (min)"
    assert "standard deviations" in bar.get_ylabel()
    assert spectrograms(channels(300), seconds=30).axes[3].get_xlabel() == "time in the recording (h)"


def test_spectrograms_that_do_not_go_together_are_errors():
    with pytest.raises(ValueError, match=r"`true` and `reconstructed` must be .* and 3 edges"):
        Spectrogram("ECG", np.arange(1, 4), np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="at least one"):
        spectrograms([], seconds=1)


def test_loss_curve_says_why_training_and_validation_differ_in_height():
    columns = {"loss": np.arange(3.0), "val_loss": np.arange(3.0)}
    assert "courses" in loss_curve(columns).get_supxlabel()
    assert not loss_curve({"loss": np.arange(3.0)}).get_supxlabel()


def test_the_loss_of_a_contrastive_model_is_no_share_of_variance(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("physiokeras.figures.style.save", lambda figure, path: drawn.append(figure))
    (tmp_path / "metrics.csv").write_text("step,loss,val_loss\n1,2,3\n2,1,2\n")
    manifest = SimpleNamespace(definition={"name": "x"})
    pretraining_run.draw_all(tmp_path, ContrastiveModel(encoder(depth=1, fusion=1)), None, manifest, {})
    assert drawn[0].axes[0].get_ylabel() == "loss (cross-entropy)"
    assert "variance" not in drawn[0].get_supxlabel()
