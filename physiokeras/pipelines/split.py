"""Divides people, not records, into pretrain, train, validation and test."""

import fnmatch

from physiokeras.errors import DataError
from physiokeras.seeds import derive


def assign_splits(definition, people):
    """The split of every record, a pure function of the definition and the people.

    Records that match `split.pretrain` are unlabelled. The others' people are ordered by a hash of the seed and their
    names; the first of them test, the next validate, the rest train. A share above 0 takes at least one person where
    there are three or more.

    Args:
        definition: `Definition`.
        people: dict record name -> person.

    Returns: dict record name -> one of `SPLITS`, in the order given.

    Raises:
        DataError: A person has records that match `pretrain` and others that do not.
    """
    split = definition.split
    unlabelled = {
        record for record in people if any(fnmatch.fnmatchcase(record, pattern) for pattern in split.pretrain)
    }
    pretrain = {people[record] for record in unlabelled}
    labelled = {person for record, person in people.items() if record not in unlabelled}
    both = sorted(pretrain & labelled)
    if both:
        message = (
            f"a person belongs to one split. {both[0]!r} has records that match {list(split.pretrain)} and others."
        )
        raise DataError(message, place="[split] pretrain")
    order = sorted(labelled, key=lambda person: (derive(split.seed, "split", person), person))
    test, validation = (_share(getattr(split, name), len(order)) for name in ("test", "validation"))
    places = dict.fromkeys(order, "train") | dict.fromkeys(order[test : test + validation], "validation")
    places |= dict.fromkeys(order[:test], "test") | dict.fromkeys(pretrain, "pretrain")
    return {record: places[person] for record, person in people.items()}


def _share(share, people):
    return max(round(share * people), int(share > 0 and people > 2))
