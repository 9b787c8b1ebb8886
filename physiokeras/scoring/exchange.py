"""Predictions as other packages take them: MNE-Python's annotations, YASA's hypnogram."""

from typing import Any

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.labels.window_labels import AROUSAL_SECOND
from physiokeras.scoring.prediction import Prediction
from physiokeras.scoring.statistics import REM, WAKE, is_staging

UNSCORED = "Sleep stage ?"
"""Text of EDF+ for an epoch without a stage."""

TEXTS = {"arousal": "Windows with EEG arousal", AROUSAL_SECOND: "EEG arousal"}
"""Task to the text of EDF+ for its events; others keep their names. An arousal is shorter than its windows."""


def annotations_of(prediction: Prediction) -> list[tuple[float, float, str]]:
    """A prediction as onsets, durations and texts, in the words of EDF+ where it has any.

    A stage becomes one annotation a window, "Sleep stage N2"; another class one for each stretch of it; a class that
    stands for nothing, such as "no arousal", none.

    Args:
        prediction: `Prediction` of a task with classes.

    Returns: list of (seconds from the recording's start, seconds, text), in order of time.
    """
    if is_staging(prediction.classes):
        labels = zip(prediction.starts.tolist(), prediction.labels, strict=True)
        return [(start, prediction.window, stage_text(label)) for start, label in labels]
    text = TEXTS.get(prediction.task.name)
    return [(event.onset, event.duration, text or TEXTS.get(event.name, event.name)) for event in prediction.events]


def stage_text(label: str) -> str:
    """The text of EDF+ for a stage, such as "Sleep stage R".

    Args:
        label: Name of the stage, "" for none.

    Returns: text.
    """
    return f"Sleep stage {'R' if label in REM else label}" if label else UNSCORED


def to_mne(prediction: Prediction) -> Any:
    """A prediction as `mne.Annotations`, timed from the recording's first sample.

    `raw.set_annotations(to_mne(model.predict(raw)))` puts them on the recording.

    Args:
        prediction: `Prediction` of a task with classes.

    Returns: `mne.Annotations`, as of `annotations_of`.
    """
    import mne

    found = annotations_of(prediction)
    onsets, durations, texts = zip(*found, strict=True) if found else ((), (), ())
    return mne.Annotations(list(onsets), list(durations), list(texts))


def to_yasa(prediction: Prediction) -> list[str]:
    """Predicted stages as YASA names them: "WAKE", "N1", "N2", "N3", "REM", and "UNS" for none.

    `yasa.Hypnogram(to_yasa(night), freq="30s")` takes them.

    Args:
        prediction: `Prediction` of sleep stages.

    Returns: list of names, one a window.

    Raises:
        DataError: The task is not sleep staging.
    """
    if not is_staging(prediction.classes):
        raise DataError(f"YASA takes sleep stages. Received: {', '.join(prediction.classes) or prediction.task.kind}.")
    names = {WAKE: "WAKE", "": "UNS", **dict.fromkeys(REM, "REM")}
    return [names.get(label, label) for label in np.asarray(prediction.labels).tolist()]
