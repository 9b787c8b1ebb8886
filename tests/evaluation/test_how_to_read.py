"""What a page of scores says to a newcomer."""

from types import SimpleNamespace

import numpy as np
import pytest

from physiokeras.evaluation import how_to_read, probe_report
from physiokeras.evaluation.evaluate import score_task
from physiokeras.evaluation.features import Features
from physiokeras.evaluation.tasks import Task

pytestmark = pytest.mark.once


def told(**explained):
    return {name: {"explained": share, "shuffled": -0.1} for name, share in explained.items()}


def result(*classes):
    return SimpleNamespace(task=SimpleNamespace(classes=classes))


def test_nothing_below_0_stands_without_a_warning():
    *_, warning = how_to_read.reconstruction(told(eeg=-2.053, emg=0.2), "spectrum", 4)
    assert warning.startswith("**eeg below 0: worse than predicting the mean after 4 steps.** So few steps")
    *_, warning = how_to_read.reconstruction(told(eeg=-0.01, emg=-0.02), "samples", 5000)
    assert warning.startswith(
        "**eeg, emg below 0: worse than predicting the mean after 5000 steps.** If the validation"
    )
    assert len(how_to_read.reconstruction(told(eeg=0.1, emg=-0.0004), "samples", 500)) == 1


def column(people, accuracy, confusion=()):
    found = {"balanced_accuracy": accuracy, "confusion": confusion}
    return {"stage": SimpleNamespace(task=Task("stage", "stage", classes=("W", "R")), windows=found,
                                     predictions={"people": np.arange(people)})}  # fmt: skip


def test_few_test_people_are_said_and_no_score_is_called_better():
    said = how_to_read.in_words({"pretrained": column(20, 0.8, [[3, 1], [1, 1]]), "untrained": column(20, 0.7)})
    assert said == (
        "- **stage**: pretrained, balanced accuracy 0.80, above untrained (0.70). "
        "Found of the windows of each class: W 75%, R 50%."
    )
    few = {"pretrained": column(9, 0.8), "untrained": column(9, 0.7)}
    assert how_to_read.in_words(few) == "- **stage**: pretrained, balanced accuracy 0.80, untrained 0.70."
    assert how_to_read.caution(few).startswith("**Caution: 9 test people.**")
    assert how_to_read.caution({"pretrained": column(10, 0.8)}) == ""


@pytest.mark.parametrize(
    ("share", "text"), [(-0.0004, "0.0 %"), (-0.0006, "-0.1 %"), (0.3567, "35.7 %"), (float("nan"), "nan %")]
)
def test_a_share_that_rounds_to_0_has_no_sign(share, text):
    assert how_to_read.per_cent(share) == text


def test_guessing_is_said_for_the_numbers_of_classes_that_occur():
    text = how_to_read.scores({"pretrained": {"stage": result(*"abcde"), "age": result("a", "b"), "years": result()}})
    assert "0.5 with 2 classes and 0.2 with 5 classes" in text
    assert "**lower is better**" in text
    assert "*pretrained*" in text
    assert "*band power*" not in text
    assert "error" not in how_to_read.scores({"band power": {"age": result("a", "b")}})


def test_noise_is_said_to_be_predictable_in_power_alone():
    samples, spectra = (how_to_read.reconstruction(told(emg=0.1), kind)[0] for kind in ("samples", "spectrum"))
    assert "--targets spectrum" in samples
    assert "spectrograms*.png" in spectra


def test_page_of_a_run_has_kappa_and_band_powers():
    """Of four windows three are right, and chance gives two: kappa is (0.75 - 0.5) / (1 - 0.5)."""
    task = Task("group", "group", classes=("a", "b"))
    targets = np.array([0, 0, 1, 1])
    test = Features(np.zeros((4, 1)), {"group": targets}, np.array(["p", "q", "p", "q"]))
    found = score_task(task, test, np.eye(2)[[0, 1, 1, 1]], draws=0)
    text = probe_report.table({"pretrained": {"group": found}, "band power": {"group": found}})
    assert "Cohen's kappa" in text
    (line,) = [line for line in text.splitlines() if "kappa" in line]
    assert line.count("0.500") == 2
    assert "band power" in text.splitlines()[0]
