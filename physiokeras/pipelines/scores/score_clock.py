"""Times of day in score files: onsets as clock times, and clocks that must agree with the recording's."""

import re
from datetime import date, datetime, timedelta

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.clock import file_start
from physiokeras.pipelines.readers.edf_start import DAY

_CLOCK = re.compile(r"(\d{1,3}):(\d\d)(?::(\d\d(?:\.\d+)?))?\s*([AaPp]\.?[Mm]\.?)?")
_POINTS = re.compile(r"\d{1,2}\.\d\d\.\d\d(?:\.\d+)?")
_DATED = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](.+?)(?:Z|\+00:?00)?")
_EPOCH = date(1970, 1, 1)
"""Dates of times that MNE writes where it knows of no date."""

_ROUNDING = 2.0
_HALF = DAY / 2
_HOUR, _NEAR, _FEWEST = 3600.0, 120.0, 10
"""Seconds of a change of clocks; most between two marks; fewest marks that tell."""


def is_clock(text):
    """Whether a text is a time of day, with or without a date."""
    return any(pattern.fullmatch(text) for pattern in (_CLOCK, _POINTS, _DATED))


def clock_of(text):
    """`(date or None, seconds of the day, whether it can only be a time of day)`; None where it is no time."""
    dated = _DATED.fullmatch(text)
    text = text.replace(".", ":", 2) if _POINTS.fullmatch(text) else text
    match = _CLOCK.fullmatch(dated[4] if dated else text)
    if not match:
        return None
    hour, minute, second = int(match[1]), int(match[2]), float(match[3] or 0)
    half = (match[4] or "").lower()[:1]
    if minute > 59 or second >= 60 or (half and not 1 <= hour <= 12) or (dated and hour > 23):
        return None
    hour = hour % 12 + 12 * (half == "p") if half else hour
    try:
        day = date(*(int(dated[number]) for number in (1, 2, 3))) if dated else None
    except ValueError:
        return None
    return day, hour * 3600 + minute * 60 + second, bool(half or dated)


def onsets_of_clock(texts, header, path, places, times):
    """Seconds from the recording's first sample of onsets that are written as h:mm:ss, with or without a date.

    Where a date is not known each time is taken for the one nearest to the time before it, in the recording.

    Args:
        texts: The onsets, in the file's order.
        header: `Header` of the recording.
        path: The score file.
        places: Where each stands.
        times: "clock", "elapsed", or None where the definition does not say.

    Raises:
        DataError: No time; times of which nobody can tell what they are; a recording whose start is not known.
    """
    found = [clock_of(text) for text in texts]
    for text, clock, place in zip(texts, found, places, strict=True):
        if clock is None:
            rule = "each onset must be a time of day, h:mm:ss, with or without a date, in UTC or without a zone"
            raise DataError(f"{rule}. Received: {text!r:.60}.", file=path, place=place)
    if all(day == _EPOCH for day, _, _ in found):
        return [seconds for _, seconds, _ in found]
    certain = any(certain for _, _, certain in found)
    if times == "elapsed" and not certain:
        return [seconds for _, seconds, _ in found]
    if times is None and not certain:
        rule = f"{texts[0]!r} may be a time of day or the time since the recording's start"
        raise DataError(f'{rule}. Write times = "clock" or "elapsed" in the label.', file=path, place=places[0])
    start = recording_start(header)
    if start is None:
        rule = "scores at times of day can be placed only on a recording that keeps when it starts, as EDF does"
        raise DataError(f"{rule}. Write seconds from the recording's start.", file=path)
    if start.unknown:
        rule = "scores at times of day need the recording's start, and midnight of no date stands for an unknown one"
        raise DataError(f"{rule}. Write seconds from the recording's start.", file=path, place=places[0])
    if all(day for day, _, _ in found):
        midnight = [datetime.combine(day, datetime.min.time()) for day, _, _ in found]
        shifts = [(moment - start.moment) / timedelta(seconds=1) for moment in midnight]
        onsets = [shift + clock[1] - start.first for shift, clock in zip(shifts, found, strict=True)]
        # On a recording of no known date the first lies on the nearest day.
        days = 0.0 if start.dated else onsets[0] - _wrapped(onsets[0])
        return [onset - days for onset in onsets]
    return _near([seconds for _, seconds, _ in found], start, header, path, places)


def refuse_jump(onsets, lengths, path, places):
    """Refuse times of day that jump by an hour once, as where summer time begins or ends.

    Args:
        onsets: Seconds, in the file's order.
        lengths: Duration of each mark, or None.
        path: The score file.
        places: Where each mark stands.

    Raises:
        DataError: All marks follow each other but two, an hour apart; or all are in order but two, one hour back.
    """
    steps = np.diff(onsets)
    if len(steps) < _FEWEST:
        return
    usual = np.median(steps)
    off = steps - [usual if length is None else length for length in lengths[:-1]]
    odd, back = np.flatnonzero(np.abs(off) > 1), np.flatnonzero(steps < 0)
    jumps = odd if len(odd) == 1 and abs(abs(off[odd[0]]) - _HOUR) <= 1 else back
    if len(jumps) == 1 and (jumps is odd or _HOUR - _NEAR <= -steps[jumps[0]] <= _HOUR):
        rule = "its clock jumps by an hour here, as where summer time begins or ends"
        way = "Write seconds from the recording's start, or the times of one clock"
        raise DataError(f"{rule}. {way}.", file=path, place=places[jumps[0] + 1])


def recording_start(header):
    """The recording's `Start`; None where it keeps none, or is in memory."""
    return None if header.recording or not header.path.exists() else file_start(header.path)


def check_clock(seconds, header, path, times):
    """Seconds to add to times that count from the score file's own start, given as seconds of the day.

    Raises:
        DataError: The recording starts at another time of day.
    """
    start = None if seconds is None or times == "elapsed" else recording_start(header)
    if start is None:
        return 0.0
    own = _of_day(start.moment)
    # Midnight to the second is what whoever removes times writes.
    if 0 in (own, seconds) and times is None:
        return 0.0
    shift = _wrapped(seconds - own - start.first)
    if abs(shift) <= _ROUNDING:
        return 0.0
    if times == "clock":
        return shift
    rule = f"its scores begin at {_text(seconds)}, the recording at {_text(own)}. Is it another recording's?"
    way = (
        'Write times = "elapsed" in the label where they count from the recording\'s start all the same, "clock" where'
    )
    raise DataError(f"{rule} {way} they begin at their own time.", file=path)


def _near(clocks, start, header, path, places):
    """Times of day as seconds from a start: the first is within half a day, each other one of that before it.

    What then lies over an hour outside of the recording is moved by a day if it lies inside then: marks may be over
    half a day apart.

    Raises:
        DataError: Times go back in a recording of over a day, so that nobody can tell the day.
    """
    result, before, at = [], _of_day(start.moment), -start.first
    for clock, place in zip(clocks, places, strict=True):
        step = _wrapped(clock - before)
        at, before = at + step, clock
        if not -_HOUR <= at <= header.seconds + _HOUR:
            at += next((days for days in (DAY, -DAY) if 0 <= at + days <= header.seconds), 0.0)
        elif header.seconds > DAY and step < -_NEAR:
            rule = (
                f"times of day go back by {-step / 3600:.1f} h here, in a recording of over a day: on which day is it?"
            )
            raise DataError(f"{rule} Write dates, or seconds from its start.", file=path, place=place)
        result.append(at)
    return result


def _wrapped(seconds):
    return (seconds + _HALF) % DAY - _HALF


def _of_day(moment):
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _text(seconds):
    return str(timedelta(seconds=round(seconds)))
