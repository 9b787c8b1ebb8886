"""Divides people, not records, into pretrain, train, validation and test."""

import fnmatch

from physiokeras.errors import DataError
from physiokeras.seeds import derive


def assign_splits(definition, people, kept=None):
    """The split of every record: a function of its person and the seed alone, so that adding people moves nobody.

    Records that match `split.pretrain` are unlabelled. A hash of the seed and the person's name is a number in [0, 1);
    below `test` the person tests, within `validation` above it the person validates, and else trains. So the shares
    are met on average alone: few people may leave a split empty.

    Args:
        definition: `Definition`.
        people: dict record name -> person.
        kept: dict person -> split of people who were divided before, by whatever version; they stay there.

    Returns: dict record name -> one of `SPLITS`, in the order given.

    Raises:
        DataError: A person has records that match `pretrain` and others that do not.
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
    return {
        record: "pretrain" if record in unlabelled else kept.get(person) or _drawn(person, split)
        for record, person in people.items()
    }


def is_unlabelled(record, split):
    """Whether a record's name matches the patterns of `Split.pretrain`."""
    return any(fnmatch.fnmatchcase(record, pattern) for pattern in split.pretrain)


def _drawn(person, split):
    place = derive(split.seed, "split", person) / 2**31
    return "test" if place < split.test else "validation" if place < split.test + split.validation else "train"
