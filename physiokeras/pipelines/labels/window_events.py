"""Labels of events, such as apneas and arousals: the windows that each event overlaps."""

import numpy as np

from physiokeras.pipelines.labels.challenge import pair_events
from physiokeras.pipelines.scores.score_files import far_behind, frames_of, is_event, is_positive
from physiokeras.wording import counted


def window_events(annotations, label, header, edges, report):
    """Label windows by events.

    A window is 1 where events cover `label.positive` seconds of it, or any part of it if that is 0. It is 0 where they
    cover none of it, and -1 where they cover less than `label.positive` or the file does not score all of it.

    Args:
        annotations: `Annotations`.
        label: `Label` of the kind "events".
        header: `Header` of the record.
        edges: `(windows + 1,)` first frame of each window, and the end of the last.
        report: list that receives messages.

    Returns: `(windows,)`.
    """
    spans = _spans(annotations, label, header, report)
    covered, touched = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1, bool)
    for begin, end in _union(spans):
        covered += np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0, None)
        # A moment without a duration lies in one window.
        touched |= (begin < edges[1:]) & (np.maximum(end, begin + 1) > edges[:-1])
    enough = covered >= label.positive * header.rate - 1e-6 if label.positive else touched
    result = np.where(enough, 1, np.where(touched, -1, 0))
    if annotations.scored is not None:
        unscored = (edges[1:] > round(annotations.scored * header.rate)) & (result == 0)
        result[unscored] = -1
        if unscored.any():
            rule = f"{annotations.path.name}: it scores {annotations.scored:g} s of {header.seconds:g} s"
            report.append(f"{rule}; {unscored.sum()} windows behind have no [labels.{label.name}]")
    return result


def _spans(annotations, label, header, report):
    """`(begin, end)` in frames of every event of the label."""
    positive, name = is_positive(label), annotations.path.name
    frames = frames_of(annotations, label, header)
    if annotations.durations is None:
        last = round(header.seconds * header.rate) - 1 + label.first_sample
        rate = header.rate / (annotations.rate or header.rate)
        events = [event for event in pair_events(annotations, last, []) if positive(event.kind)]
        pairs = [(event.begin - label.first_sample, event.end - label.first_sample) for event in events]
        moments = [place for place, text in enumerate(annotations.notes) if positive(text) and not is_event(text)]
        pairs = [(round(begin * rate), round(end * rate)) for begin, end in pairs]
        spans = pairs + [(frames[place], frames[place]) for place in moments]
    else:
        chosen = [place for place, text in enumerate(annotations.notes) if positive(text)]
        lengths = np.rint(annotations.durations * (header.rate / annotations.rate)).astype(np.int64)
        spans = [(frames[place], frames[place] + max(0, lengths[place])) for place in chosen]
    report += far_behind(annotations.path, np.array([end for _, end in spans]), label, header)
    before = sum(end <= 0 and begin < 0 for begin, end in spans)
    if before:
        report.append(f"{name}: {counted(before, 'mark')} of [labels.{label.name}] before the record; left out")
    moments = sum(begin == end for begin, end in spans)
    if moments:
        report.append(f"{name}: {moments} marks of [labels.{label.name}] have no duration; taken for moments")
    return sorted(spans)


def _union(spans):
    """Spans without overlaps, so that no second counts twice."""
    merged = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    return merged
