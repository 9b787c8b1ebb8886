"""Annotations from marks of any source with times in seconds."""

import numpy as np

from physiokeras.pipelines.readers.annotations import Annotations
from physiokeras.pipelines.readers.edf import TICKS

_FAR = 1e12


def timed_marks(path, onsets, durations, texts, report=()):
    """`Annotations` of marks in seconds from a recording's first sample.

    Args:
        path: What they were read from.
        onsets: `(marks,)` seconds.
        durations: `(marks,)` seconds; 0 or NaN where a mark lasts to the next one.
        texts: What each mark says. One letter is a symbol too, such as that of a heart beat.
        report: Messages.
    """
    order = np.argsort(np.asarray(onsets, float), kind="stable")
    begins, ends = (np.nan_to_num(np.asarray(values, float)[order]) for values in (onsets, durations))
    ends = begins + np.maximum(ends, 0)
    samples, stops = (np.rint(np.clip(times, -_FAR, _FAR) * TICKS).astype(np.int64) for times in (begins, ends))
    texts = tuple(str(texts[place]) for place in order)
    symbols = tuple(text if len(text) == 1 else '"' for text in texts)
    return Annotations(path, TICKS, samples, symbols, texts, stops - samples, tuple(report))
