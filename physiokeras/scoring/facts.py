"""What is known of a scored record: statistics, events, agreement with a scorer, and reasons to distrust it."""

import numpy as np

from physiokeras.channel_layout import ChannelLayout
from physiokeras.experiments.run_folder import versions
from physiokeras.pipelines.readers.clock import UNDATED
from physiokeras.pipelines.signals.channels import ABSENT
from physiokeras.scoring.events import events_of, per_hour
from physiokeras.scoring.record_files import quality_of, targets_of
from physiokeras.scoring.statistics import WAKE, agreement, is_staging, sleep_statistics

USABLE = 0.8
"""Share of windows below which a modality is doubtful."""

DISTANT = 1.5
"""Median distance of a record's windows above which it lies outside the range of the training; see `Head.distance`.

Measured with the demo's model: 72 simulated records 0.7 to 1.2; one of them with noise, ECG or four times the amplitude
on the EEG channels, with mains, or at half the rate 1.9 to 5.3.
"""

MOST_DISTANT = 0.2
"""Share of such windows in a record above which it is in doubt. Of held-out simulated records it is 0.03 to 0.18."""

EARLY_REM = 15.0
"""Minutes from sleep onset within which REM sleep is rare in a night."""

NIGHT = 180.0
"""Minutes in bed from which a recording counts as a night."""

UNSURE = 0.5
"""Mean of the highest probability below which predictions are doubtful."""


def facts_of(model, night, predictions, *, seen, note=""):
    """The content of a record's JSON file.

    Args:
        model: `TrainedModel`.
        night: `Night`.
        predictions: Task name to `Prediction`.
        seen: The split in which the model has seen the record, see `physiokeras.experiments.training_set.split_of`.
        note: What happened to windows that lack modalities.

    Returns: dict of numbers, texts, lists and dicts.
    """
    found = {name: _task(night, prediction) for name, prediction in predictions.items()}
    for one in found.values():
        _say_stages([*one.get("events", ()), *one.get("scorer_events", ())], predictions)
    hours = _hours_asleep(found, len(night) * night.window / 3600)
    for one in found.values():
        if "events" in one:
            one["hours"], one["per_hour"] = hours, per_hour(_in_sleep(one["events"], predictions), hours)
    first = next((one for one in predictions.values() if is_staging(one.classes)), next(iter(predictions.values())))
    facts = {
        "record": night.name,
        "windows": len(night),
        "window": night.window,
        "hours": len(night) * night.window / 3600,
        "start": night.start,
        "clock": _clock(night),
        "seen": seen,
        "modalities": _usable(night, model.encoder),
        "quality": float(quality_of(night).mean()),
        "distance": _median(first.distance),
        "distant": _share(first.distance > DISTANT, first.distance),
        "confidence": _confidence(first),
        "tasks": found,
        "note": note.strip(),
        "notes": list(night.notes),
        "channels": list(night.channels),
        "definition": model.definition.name,
        "versions": versions(),
    }
    return {**facts, "doubts": doubts_of(facts)}


def doubts_of(facts):
    """Sentences on why a record's scores may be wrong, the weightiest first."""
    doubts = []
    for name, share in facts["modalities"].items():
        if share < USABLE:
            doubts.append(f"{name} is missing" if share == 0 else f"{name} is usable in {share:.0%} of the windows")
    distance, confidence = facts["distance"], facts["confidence"]
    if distance is not None and distance > DISTANT:
        doubts.append(f"its features lie outside the range of the training data (distance {distance:.1f}, there 1)")
    elif facts["distant"] > MOST_DISTANT:
        doubts.append(f"{facts['distant']:.0%} of its windows lie outside the range of the training data")
    if confidence is not None and confidence < UNSURE:
        doubts.append(f"the model is unsure: mean highest probability {confidence:.2f}")
    doubts += [text for one in facts["tasks"].values() for text in _implausible(one.get("statistics"))]
    for channel in facts["channels"]:
        notes = [note for note in channel["notes"] if note != ABSENT]
        if notes and facts["modalities"].get(channel["modality"]):
            doubts.append(f"{channel['channel']}: {', '.join(notes)}")
    return doubts


def _implausible(statistics):
    """Sentences on sleep statistics that are rare in people."""
    if not statistics:
        return
    if statistics["tst"] == 0:
        yield "no window is of sleep"
    elif statistics["tib"] >= NIGHT and statistics["rem_latency"] < EARLY_REM:
        yield f"REM sleep begins {statistics['rem_latency']:g} min after sleep onset, which is rare"


def _task(night, prediction):
    """Statistics, events or a value of one task."""
    task, targets = prediction.task, targets_of(night, prediction.task)
    found = {"classes": list(task.classes), "label": task.label}
    if task.of_people:
        return found | _of_recording(prediction, targets)
    if is_staging(task.classes):
        found["statistics"] = sleep_statistics(prediction.values, task.classes, night.window)
        if targets is not None:
            found["scorer"] = sleep_statistics(targets, task.classes, night.window)
    else:
        events = prediction.events
        found["resolution"], found["events"] = prediction.window, [vars(event) for event in events]
        if targets is not None:
            sure = np.eye(len(task.classes))[np.maximum(targets, 0)]
            scored = events_of(targets, sure, prediction.starts, prediction.window, task.classes)
            found["scorer_events"] = [vars(event) for event in scored]
    if targets is not None:
        found["agreement"] = agreement(targets, prediction.probabilities)
    return found


def _of_recording(prediction, targets):
    mean = prediction.of_recording
    if not prediction.classes:
        known = None if targets is None else float(np.nanmean(targets))
        return {"value": float(mean[0]), "scorer_value": known}
    if not np.isfinite(mean).all():
        return {"value": None}
    known = None if targets is None else prediction.classes[int(targets[targets >= 0][0])]
    probabilities = dict(zip(prediction.classes, mean.tolist(), strict=True))
    return {"value": prediction.classes[int(mean.argmax())], "probabilities": probabilities, "scorer_value": known}


def _say_stages(events, predictions):
    """Add to each event the predicted "stage" of the window in which it begins, "" where unknown."""
    staged = _staged(predictions)
    for event in events:
        place = -1 if staged is None else int(np.searchsorted(staged.starts, event["onset"] + 1e-6)) - 1
        event["stage"] = staged.labels[place] if place >= 0 else ""


def _staged(predictions):
    return next((one for one in predictions.values() if is_staging(one.classes)), None)


def _in_sleep(events, predictions):
    """Events of which any window is one of predicted sleep; all of them where stages are unknown."""
    staged = _staged(predictions)
    if staged is None:
        return events
    asleep = staged.starts[(staged.values >= 0) & (np.array(staged.labels) != WAKE)]

    def touched(event):
        return np.any((asleep < event["onset"] + event["duration"]) & (asleep + staged.window > event["onset"]))

    return [event for event in events if touched(event)]


def _hours_asleep(found, recorded):
    """Hours of predicted sleep; those of the recording where stages are unknown."""
    return next((one["statistics"]["tst"] / 60 for one in found.values() if "statistics" in one), recorded)


def _usable(night, encoder):
    """Share of windows in which any channel of a modality is usable, for each modality of the encoder."""
    layout = ChannelLayout.of({name: {"channels": values.shape[2]} for name, values in night.signals.items()})
    usable = {name: float(own.any(axis=1).mean()) for name, own in layout.split(night.present).items()}
    return {name: usable.get(name, 0.0) for name in encoder.modalities}


def _confidence(prediction):
    known = np.isfinite(prediction.probabilities).all(axis=1)
    return float(prediction.probabilities[known].max(axis=1).mean()) if prediction.classes and known.any() else None


def _median(values):
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _share(chosen, values):
    known = np.isfinite(values)
    return float(np.mean(chosen[known])) if known.any() else 0.0


def _clock(night):
    if night.clock is None:
        return None
    return f"{night.clock:%H:%M:%S}" if night.clock.date() == UNDATED else night.clock.isoformat(sep=" ")
