"""Functions that write the files of one record, for `one_record.RecordFiles`: of `score`, and of `extract`.

Importing this module does not import Keras: a worker chooses the backend first.
"""

import io

import numpy as np

from physiokeras.experiments.run_folder import to_json
from physiokeras.experiments.training_set import split_of
from physiokeras.files import write_atomic
from physiokeras.scoring.one_record import about


def write_scores(model, digest, night, order):
    """Write predictions, statistics, annotations and figure of a record; `order.options`: "figure", "features"."""
    from physiokeras.scoring import record_files
    from physiokeras.scoring.facts import facts_of

    predictions, features, note = predict_all(model, night)
    seen = split_of(night.identity, model.first_facts, order.manifest, night.name)
    facts = facts_of(model, night, predictions, seen=seen, note=note)
    facts |= {"key": order.key, "model": about(model, digest), "sources": night.sources}
    what = {"figure": order.options["figure"], "features": features if order.options["features"] else None}
    record_files.write(order.files, night, predictions, facts, **what, note=order.note)
    return note


def write_features(model, digest, night, order):
    """Write features and predictions of a record's windows, NAME.npz, and its hypnogram; `order.options`: "figure".

    The file of arrays has a row for each window: features as `record_files.feature_arrays` names them, `seconds` (start
    in the recording), `missing` (modalities), and `predicted/TASK`, classes or numbers.
    """
    from physiokeras.evaluation.missing_modalities import names_of
    from physiokeras.scoring.inputs import inputs_of, slices
    from physiokeras.scoring.record_files import draw, feature_arrays

    predictions, features, note = predict_all(model, night)
    if features:
        missing = predictions[next(iter(features))].missing
    else:  # no task of windows
        found, note = model.features_of(model.extractor, slices(inputs_of(night, model.encoder)))
        features, missing = {"": found.values}, names_of(model.encoder.modalities, ~found.present)
    arrays = feature_arrays(features) | {"seconds": night.starts, "missing": np.array(missing, str)}
    for name in [name for name in predictions if name in features]:
        one = predictions[name]
        arrays[f"predicted/{name}"] = np.array(one.labels, str) if one.classes else np.round(one.values, 1)
    content = io.BytesIO()
    np.savez(content, **arrays)
    order.files.remove(night.name)
    write_atomic(order.files.path(night.name, "npz"), content.getvalue())
    if "stage" in predictions and order.options["figure"]:
        draw(order.files.path(night.name, "png"), night, predictions["stage"], [order.note])
    facts = {"record": night.name, "windows": len(night), "tasks": [*predictions], "note": note}
    facts |= {"key": order.key, "model": about(model, digest), "sources": night.sources}
    write_atomic(order.files.path(night.name, "json"), to_json(facts))
    return note


def predict_all(model, night):
    """Predictions of all tasks for a recording; features are computed once for each encoder.

    Args:
        model: `TrainedModel`.
        night: `Night`.

    Returns: dict of task name to `Prediction`, dict of task name to its features `(windows, width)`, and a note on
        windows that lack modalities.
    """
    from physiokeras.scoring import window_features
    from physiokeras.scoring.inputs import inputs_of, slices

    by_time = sorted((head.extractor for head in model.heads.values()), key=lambda one: one.keep_time)
    used = {id(one.encoder): one for one in by_time}  # the last: an extractor that keeps the time serves the others
    read, features, notes, predictions = {}, {}, [], {}
    for name, head in model.heads.items():
        key, own = id(head.extractor.encoder), id(head.extractor)
        if key not in read:
            read[key] = window_features.read(used[key], slices(inputs_of(night, used[key].encoder)))
        if head.extractor.keep_time:
            features[own] = read[key]
        elif own not in features:
            time = used[key].encoder.time
            found = window_features.over_time(read[key], time) if used[key].keep_time else read[key]
            features[own], note = model.mapped(head.extractor, found)
            notes += [note] if note and note not in notes else []
        facts = {"window": night.window, "start": night.start, "clock": night.clock}
        predictions[name] = model.prediction(head, features[own], **facts)
    kept = {name: features[id(head.extractor)] for name, head in model.heads.items() if not head.extractor.keep_time}
    return predictions, {name: found.values for name, found in kept.items()}, "".join(notes)
