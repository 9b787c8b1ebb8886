"""Recordings in memory as the input of a conversion: their names, people, and labels that come from tables."""

import math
import os
import sys
from dataclasses import replace

from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.parts import TABLE_KINDS, check
from physiokeras.pipelines.people.people import Person, read_age, read_sex
from physiokeras.pipelines.people.split import assign_splits, check_lists
from physiokeras.pipelines.readers.memory import Recording, from_raw


def recordings_of(source):
    """The recordings that `source` is: list of `Recording`; None where it is a path.

    Args:
        source: A path, a `Recording`, an `mne.io.Raw`, or a list or tuple of the last two.

    Raises:
        ValueError: Something else among them, none, or two of one name.
    """
    if isinstance(source, str | os.PathLike):
        return None
    several = source if isinstance(source, list | tuple) else [source]
    strange = [type(one).__name__ for one in several if not isinstance(one, Recording) and not _is_raw(one)]
    if strange or not several:
        rule = "`source` must be a folder, or recordings: mne.io.Raw, or what from_arrays and from_raw return"
        raise ValueError(f"{rule}. Received: {', '.join(strange) or 'an empty list'}.")
    found = [one if isinstance(one, Recording) else from_raw(one) for one in several]
    names = sorted(one.name for one in found)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"recordings must have different names. Received twice: {', '.join(twice)}. Give `name`.")
    return sorted(found, key=lambda one: one.name)


def _is_raw(thing):
    """Whether it is an `mne.io.Raw`; who has one has imported mne."""
    mne = sys.modules.get("mne")
    return mne is not None and isinstance(thing, mne.io.BaseRaw)


def about_people(recordings, definition):
    """People and table labels of recordings in memory.

    Returns: `(definition, people)` as `physiokeras.pipelines.people.label_tables.read_tables` gives them.

    Raises:
        DataError: A text that is no class of its label, a value that is no number, a label that the definition lacks.
    """
    known = [name for name, label in definition.labels.items() if label.kind in TABLE_KINDS]
    for one in recordings:
        unknown = sorted(set(one.labels) - set(known))
        if unknown:
            rule = f"`labels` must be those of the definition of the kinds {', '.join(TABLE_KINDS)}"
            message = f"{rule}: {', '.join(known) or 'none'}. Received also: {', '.join(unknown)}."
            raise DataError(message, file=one.name)
    people = {one.name: _person(one) for one in recordings}
    for name, label in definition.labels.items():
        if label.kind not in TABLE_KINDS:
            continue
        given = {one.name: one.labels.get(name) for one in recordings}
        if label.kind == "class" and not label.classes:
            # NaN is how pandas writes none; 0 and False are classes.
            texts = {str(value) for value in given.values() if value not in (None, "") and value == value}
            classes = tuple(sorted({label.mapping.get(text, text) for text in texts - set(label.unscored)}))
            label = replace(label, classes=classes)
            definition = replace(definition, labels={**definition.labels, name: label})
        for record, value in given.items():
            labels = {**people[record].labels, name: _label(label, value, record)}
            people[record] = replace(people[record], labels=labels)
    return definition, people


def _person(one):
    """`Person` of a recording, by the rules of tables."""
    sex, age = ("" if value is None else str(value).strip() for value in (one.sex, one.age))
    return Person(read_sex(sex, one.name, "sex"), read_age(age, one.name, "age"))


def _label(label, value, record):
    """A class number or -1; a number or NaN."""
    place, value = f"[labels.{label.name}]", None if value != value else value  # NaN is how pandas writes none
    if label.kind == "number":
        try:
            return math.nan if value is None else float(value)
        except (TypeError, ValueError):
            raise DataError(f"must be a number. Received: {value!r}.", file=record, place=place) from None
    if value is None or str(value) in label.unscored:
        return -1
    text = label.mapping.get(str(value), str(value))
    if text not in label.classes:
        raise DataError(f"must be one of {', '.join(label.classes)}. Received: {value!r}.", file=record, place=place)
    return label.classes.index(text)


def check_recordings(recordings, definition):
    """Person of each recording, by name.

    Raises:
        DataError: A label that needs scores where no recording has any; a person in two splits; a split from a table.
    """
    split = definition.split
    given = split.file or split.column
    check(not given, "[split]", "recordings in memory have no tables; list people under test, validation, train", given)
    unnamed = {one.name for one in recordings if one.person in (None, "")}
    persons = {one.name: str(one.person) for one in recordings}
    persons |= {name: definition.person_of(name) for name in unnamed}
    needed = [name for name, label in definition.labels.items() if label.is_annotated]
    if needed and not any(one.annotations for one in recordings):
        message = f"no recording has scores for [labels.{needed[0]}]. Give `scores`, or annotations of the mne.io.Raw"
        raise DataError(f"{message}, or leave the label out of the definition.", file=recordings[0].name)
    check_lists(definition, persons.values())
    assign_splits(definition, persons)
    return persons
