"""Scores in XML: NSRR's (PSGAnnotation) and Compumedics Profusion's (CMPStudyConfig).

Parsed by defusedxml, which refuses entities. Source: github.com/nsrr/edf-editor-translator/wiki (Compumedics Annotation
Format, Standardized Annotation File Format).
"""

import re
from dataclasses import dataclass, replace
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from physiokeras.errors import DataError
from physiokeras.pipelines.scores.score_clock import check_clock
from physiokeras.pipelines.scores.score_marks import (
    EVENT,
    MOST,
    STAGE,
    Durations,
    Mark,
    read_bytes,
    refuse_many,
    refuse_recorded,
    seconds_of,
    to_annotations,
)
from physiokeras.pipelines.scores.stage_names import KALES, standard_stage

_NAMES = {"PSGAnnotation": "EventConcept", "CMPStudyConfig": "Name"}
"""Root of a format, and the element that names an event."""

_CLOCK = re.compile(r"(?:^|\s)(\d{1,2})[.:](\d\d)[.:](\d\d)$")


@dataclass(frozen=True)
class _Recording:
    """The recording as an NSRR file describes it: its length, and the second of the day at which it starts."""

    seconds: float | None = None
    clock: float | None = None


def read_xml_scores(path, label, header):
    """`Annotations` of an XML file, from the recording's first sample.

    Args:
        path: The file.
        label: `Label`, for `epoch` and `times`.
        header: `Header` of the recording.

    Raises:
        DataError: No whole XML, or with entities; another format; a stage or an event that lacks its begin or name;
            scores that begin at another time of day than the recording.
    """
    root = _parse(path)
    name = _NAMES.get(_tag(root))
    if name is None:
        message = (
            f"must be NSRR's or Profusion's XML, <PSGAnnotation> or <CMPStudyConfig>. Received: <{_tag(root):.40}>."
        )
        raise DataError(message, file=path)
    durations = Durations(path)
    marks, recording, notes = _events(root, name, path, durations)
    if name == "Name":
        stages, epoch = _stage_list(root, path, label)
        marks += stages
        recording = replace(recording, seconds=epoch * len(stages) if stages else None)
        refuse_recorded(epoch * len(stages), header, epoch, path)
    shift = check_clock(recording.clock, header, path, label.times)
    marks = [replace(mark, onset=mark.onset + shift) for mark in marks] if shift else marks
    notes += [f"{path.name}: placed by its clock, {shift:+g} s from the recording's start"] if shift else []
    coding = KALES if name == "Name" else None
    scored = None if recording.seconds is None else recording.seconds + shift
    about = {"coding": coding, "scored": scored, "empty": label.kind == "events"}
    return to_annotations(path, marks, [*notes, *durations.notes], **about)


def _parse(path):
    data = read_bytes(path)
    refuse_many(data.count(b"<"), path, "tags", 5 * MOST)
    try:
        return fromstring(data, forbid_dtd=True)
    except ParseError as error:
        line, column = error.position
        message = f"must be whole XML: {str(error).split(':')[0]}. Restore it."
        raise DataError(message, file=path, place=f"line {line}, column {column}") from error
    except DefusedXmlException as error:
        message = f"must be XML without a DTD and entities ({type(error).__name__}). Remove them."
        raise DataError(message, file=path) from error
    except (ValueError, LookupError) as error:
        raise DataError(f"must be XML in UTF-8: {error!s:.100}. Save it anew.", file=path) from error


def _events(root, name, path, durations):
    """`(marks, recording, notes)` of all <ScoredEvent>."""
    marks, recording, nameless = [], _Recording(), []
    for number, event in enumerate((item for item in root.iter() if _tag(item) == "ScoredEvent"), 1):
        fields = {_tag(item): (item.text or "").strip() for item in event}
        text, place = fields.get(name, ""), f"ScoredEvent {number}"
        start = fields.get("Start", fields.get("Starttime"))
        if text.partition("|")[0].lower() == "recording start time":
            length = durations.read(fields.get("Duration", ""), place, text)
            recording = _Recording(length, _second_of_day(fields.get("ClockTime", "")))
        elif not text:
            nameless.append(place)
        else:
            onset = seconds_of(start, "<Start>", path, place)
            duration = durations.read(fields.get("Duration", ""), place, text)
            marks.append(Mark(onset, duration, text, place, _symbol(fields, text, name)))
    rule = f"{path.name}: {len(nameless)} events without <{name}> are left out"
    return marks, recording, [f"{rule}, {nameless[0]} first"] if nameless else []


def _symbol(fields, text, name):
    """Whether an event is a stage: NSRR says so in <EventType>, in older files by the name alone."""
    kind = fields.get("EventType", "").partition("|")[0].lower()
    if name == "Name":
        return EVENT
    return STAGE if kind in ("stages", "stage") or (not kind and standard_stage(text, KALES)) else EVENT


def _stage_list(root, path, label):
    """Marks of Profusion's <SleepStages>, one an epoch, and the epoch's seconds."""
    texts = [(item.text or "").strip() for item in root.iter() if _tag(item) == "SleepStage"]
    length = next(((item.text or "").strip() for item in root.iter() if _tag(item) == "EpochLength"), None)
    if not texts:
        return [], 0.0
    if length is None and label.epoch is None:
        message = f"must have <EpochLength>. Write it, or `epoch` in [labels.{label.name}]."
        raise DataError(message, file=path)
    epoch = label.epoch if length is None else seconds_of(length, "<EpochLength>", path, "EpochLength")
    if epoch <= 0 or label.epoch not in (None, epoch):
        rule = "<EpochLength> must be above 0 and equal `epoch`, where the definition has it"
        raise DataError(f"{rule}. Received: {epoch:g}, and {label.epoch}.", file=path, place="EpochLength")
    for number, text in enumerate(texts, 1):
        if not text:
            message = "must hold a stage. Received: nothing. Write 9 where it is unscored."
            raise DataError(message, file=path, place=f"SleepStage {number}")
    return [
        Mark(epoch * number, epoch, text, f"SleepStage {number + 1}", STAGE) for number, text in enumerate(texts)
    ], epoch


def _second_of_day(text):
    match = _CLOCK.search(text)
    if not match or not (int(match[1]) < 24 and int(match[2]) < 60 and int(match[3]) < 60):
        return None
    return int(match[1]) * 3600.0 + int(match[2]) * 60 + int(match[3])


def _tag(item):
    return item.tag.rpartition("}")[2] if isinstance(item.tag, str) else ""
