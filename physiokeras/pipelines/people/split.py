"""Divides people, not records, into pretrain, train, validation and test."""

import fnmatch

from physiokeras.errors import DataError
from physiokeras.files import one_form
from physiokeras.seeds import derive


def assign_splits(definition, people, kept=None):
    """The split of every record: a function of its person and the seed alone, so that adding people moves nobody.

    Records that match `split.pretrain` are unlabelled. People whom `split.people` lists are where it says. For each
    other person, a hash of the seed and the person's name is a number in [0, 1). Below `test` the person is in "test",
    from there to `test + validation` in "validation", and above in "train". The shares are therefore met on average
    only: with few people a split may be empty.

    Args:
        definition: `Definition`.
        people: dict record name -> person.
        kept: dict person -> split of people who were divided before, by whatever version; they stay there.

    Returns: dict record name -> one of `SPLITS`, in the order given.

    Raises:
        DataError: A person has records that match `pretrain` and others that do not, is listed for two splits, or for
            none where nobody is drawn.
    """
    split = definition.split
    unlabelled = {record for record in people if is_unlabelled(record, split)}
    pretrain = {people[record] for record in unlabelled}
    both = sorted(pretrain & {person for record, person in people.items() if record not in unlabelled})
    if both:
        message = (
            f"a person belongs to one split. {both[0]!r} has records that match {list(split.pretrain)} and others."
        )
        raise DataError(message, place="[split] pretrain")
    kept = {person: name for person, name in (kept or {}).items() if name != "pretrain"}
    listed = _listed(split, people.values(), pretrain)
    return {
        record: listed.get(person) or kept.get(person) or _drawn(person, split) for record, person in people.items()
    }


def check_lists(definition, persons):
    """Refuse a name or pattern of people in `[split]` that nobody matches.

    Args:
        definition: `Definition`.
        persons: Names of all people.

    Raises:
        DataError: Names split and pattern.
    """
    persons = sorted(set(persons))
    known = {one_form(person) for person in persons}
    for name, patterns in (definition.split.people or {}).items():
        for pattern in patterns:
            if one_form(pattern) not in known and not named([pattern], persons):
                message = f"{pattern!r} matches nobody. People are called {', '.join(persons[:5])}."
                raise DataError(f"{message} Correct it, or remove it.", place=f"[split] {name}")


def _listed(split, persons, pretrain):
    """Person -> split, of those who are unlabelled or listed."""
    found = dict.fromkeys(pretrain, "pretrain")
    for name, patterns in (split.people or {}).items():
        for person in named(patterns, persons):
            other = found.setdefault(person, name)
            if other != name:
                raise DataError(f"a person belongs to one split. {person!r} is in {other} and {name}.", place="[split]")
    left = sorted(set(persons) - set(found)) if "train" in (split.people or {}) else []
    if left:
        names = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        message = f"each person must be in a split where train has a list. Received none for {names}. List them"
        raise DataError(f"{message}, or leave the records out by `records`.", place="[split] train")
    return found


def named(patterns, persons):
    """People whom a list names, in their order. What is somebody's whole name, brackets and all, is no pattern."""
    forms = {person: one_form(person) for person in persons}
    listed, known = {one_form(pattern) for pattern in patterns}, set(forms.values())
    wild = listed - known
    return [p for p, form in forms.items() if form in listed or any(fnmatch.fnmatchcase(form, each) for each in wild)]


def is_unlabelled(record, split):
    """Whether a record's name matches the patterns of `Split.pretrain`."""
    return any(fnmatch.fnmatchcase(one_form(record), one_form(pattern)) for pattern in split.pretrain)


def _drawn(person, split):
    place = derive(split.seed, "split", person) / 2**31
    return "test" if place < split.test else "validation" if place < split.test + split.validation else "train"
