"""Checks of a data set by names of files alone, before any file is read."""

import contextlib
import os
import re
from dataclasses import replace
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import LONGEST_NAME
from physiokeras.pipelines.converting.record_list import claimed_by
from physiokeras.pipelines.people.people import spelling
from physiokeras.pipelines.people.split import assign_splits, check_lists, is_unlabelled
from physiokeras.pipelines.scores.score_files import wanted_file

BIDS_SUBJECT = "^(sub-[A-Za-z0-9]+)_"
"""The person in a record's name by the rules of BIDS."""


def check_names(source, headers, definition, people):
    """Check records' names against persons, splits, annotation files and the table of people.

    Args:
        source: The data set's folder.
        headers: Paths of all records.
        definition: `Definition`.
        people: Record name -> `Person`, from the table.

    Returns: `(refused, persons)`: dict of record's path to why it is set aside; dict of record name to person, of the
        others.

    Raises:
        DataError: What is wrong for the whole data set: a label without any file, a table without any row of a record,
            a person in two splits or, where each must be listed, in none; a pattern of people that nobody matches.
    """
    files, refused = claimed_by(headers, definition)
    ambiguous = bool(refused)
    refused |= {path: too_long(path.stem) for path in headers if too_long(path.stem)}
    persons = {}
    for path in headers:
        try:
            persons[path.stem] = definition.person_of(path.stem)
        except DataError as error:
            refused.setdefault(path, str(error))
    for name, claimed in files.items():
        _check_label(source, headers, definition, name, files, ambiguous)
        for file, owners in claimed.items():
            if len({persons.get(path.stem) for path in owners}) > 1:
                refused |= dict.fromkeys(owners, _claimed_twice(file, owners, definition.labels[name]))
    if people and not any(path.stem in people for path in headers):
        names = f"Records are called {headers[0].stem}, ...; the table has {next(iter(people))}, ..."
        raise DataError(f"no record is in the table. {names}", file=Path(source) / definition.people)
    _check_spelling(persons, source)
    check_lists(definition, persons.values())
    persons = {path.stem: persons[path.stem] for path in headers if path not in refused}
    assign_splits(definition, persons)
    return refused, persons


def too_long(name):
    """Why a record's name is too long for the files that bear it; None where it is not."""
    size = len(os.fsencode(name))
    rule = f"a record's name may have {LONGEST_NAME} bytes. Received: {size}. Rename it."
    return rule if size > LONGEST_NAME else None


def unmatched(headers, definition):
    """Lines on what a definition says of records that are not there: a typing error, or a part of the data set."""
    names = {path.stem for path in headers}
    for pattern in definition.split.pretrain:
        if not any(is_unlabelled(name, replace(definition.split, pretrain=(pattern,))) for name in names):
            yield f"no record matches [split] pretrain = {pattern!r}"
    lacking = sorted(set(definition.same_person) - names)
    if lacking and not definition.person_column:
        yield f"same_person names records that are not here: {', '.join(lacking[:5])}"
    yield from _divided_subjects(sorted(names), definition)


def _divided_subjects(names, definition):
    """A line on subjects of BIDS whose records are of several people: they may fall into several splits."""
    people = {}
    for name in names:
        match = re.match(BIDS_SUBJECT, name)
        with contextlib.suppress(DataError):  # a record without a person is set aside by its name
            people.setdefault(match and match[1], set()).add(definition.person_of(name))
    divided = [subject for subject, persons in people.items() if subject and len(persons) > 1]
    if divided:
        rule = f"by BIDS the records of a subject are of one person, here of several: {', '.join(divided[:5])}"
        yield f"{rule}. Write person = {BIDS_SUBJECT!r}"


def _check_spelling(persons, source):
    """Refuse people whose names differ in spelling alone: one person would be in two splits."""
    spelled = {}
    for record, person in persons.items():
        before, other = spelled.setdefault(spelling(person), (record, person))
        if other != person:
            rule = f"one person must have one name. {before} is of {other!r}, {record} of {person!r}"
            way = f'Write same_person = {{ "{record}" = "{other}" }} in the definition, or rename one if they are two'
            raise DataError(f"{rule}. {way}.", file=source)


def _check_label(source, headers, definition, name, files, ambiguous):
    """Refuse a label that no record has a file for, unless none is meant to be labelled, or several files match."""
    label = definition.labels[name]
    if not label.file and not label.annotator:
        rule = "must name the annotation file's extension; or give `file`. Only recordings in memory bring their scores"
        raise DataError(f"{rule}.", file=source, place=f"[labels.{name}] annotator")
    unlabelled = all(is_unlabelled(path.stem, definition.split) for path in headers)
    if unlabelled or _there(name, label, files, headers) or ambiguous:
        return
    wanted = f"file = {label.file!r}" if label.file else f"annotator = {label.annotator!r}"
    rule = f"no record has annotations for [labels.{name}] {wanted}, such as {wanted_file(headers[0], label)}"
    raise DataError(f"{rule}. Correct it, or leave the label out of the definition.", file=source)


def _claimed_twice(file, owners, label):
    records = ", ".join(path.stem for path in owners)
    rule = f"{file.name} is taken for the annotations of several records, by [labels.{label.name}]: {records}"
    return f"{rule}. Narrow `file`, or give them one person in `person` or `same_person`"


def without_missing_labels(definition, headers):
    """The definition without the labels that no record has a file for."""
    files, _ = claimed_by(headers, definition)
    labels = definition.labels.items()
    kept = {name: label for name, label in labels if not label.is_annotated or _there(name, label, files, headers)}
    return replace(definition, labels=kept, grid=definition.grid if definition.grid in kept else None)


def _there(name, label, files, headers):
    vector = label.vector
    return bool(files[name]) or (vector and any(path.with_name(path.stem + vector).exists() for path in headers))
