"""Features of the windows of a recording, and of the single times of these, such as seconds."""

from dataclasses import replace

import numpy as np

from physiokeras.errors import DataError
from physiokeras.evaluation.extraction import predict, present_modalities
from physiokeras.evaluation.features import Features
from physiokeras.scoring.inputs import BATCH


def read(extractor, batches):
    """Features of batches of windows, as an extractor gives them.

    Args:
        extractor: `FeatureExtractor`.
        batches: `(inputs,)` or `(inputs, labels)`, at most `BATCH` windows each.

    Returns: `Features` with the labels "record" and "window"; where the extractor keeps the time, a row for each time
        of each window, and "window" counts these.

    Raises:
        DataError: No windows.
    """
    values, present, records, windows, count = [], [], [], [], 0
    for inputs, *labels in batches:
        own = labels[0] if labels and isinstance(labels[0], dict) else {}
        values.append(predict(extractor, inputs, BATCH))
        present.append(present_modalities(extractor.encoder, inputs))
        rows = np.arange(count, count + len(values[-1]))
        records.append(np.asarray(own.get("record", np.zeros(len(rows), int))))
        windows.append(np.asarray(own.get("window", rows)))
        count += len(rows)
    if not count:
        raise DataError("there is no window to predict.")
    values, present, records, windows = (np.concatenate(parts) for parts in (values, present, records, windows))
    if extractor.keep_time:
        time = extractor.encoder.time
        values, present, records = values.reshape(count * time, -1), present.repeat(time, 0), records.repeat(time)
        windows = (windows[:, None] * time + np.arange(time)).reshape(-1)
    return Features(values, {"record": records, "window": windows}, records, present=present)


def over_time(found, time):
    """Features of windows from those of their times: the mean, which is what an extractor without `keep_time` gives.

    Args:
        found: `Features` that `read` gives for an extractor with `keep_time`.
        time: Times of a window.

    Returns: `Features`.
    """
    labels = {"record": found.labels["record"][::time], "window": found.labels["window"][::time] // time}
    values = found.values.reshape(len(found.values) // time, time, -1).mean(axis=1)
    return replace(found, values=values, labels=labels, people=found.people[::time], present=found.present[::time])
