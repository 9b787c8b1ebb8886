"""People of each fold: who pretrains, trains, validates and tests."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold

from physiokeras.errors import DataError
from physiokeras.evaluation.tasks import tasks_of
from physiokeras.experiments.cohort import training_splits
from physiokeras.seeds import derive


@dataclass(frozen=True)
class Fold:
    """The people of one fold.

    Args:
        number: From 0.
        test: Held out from everything that is fitted, pretraining included.
        train: People with labels that networks and probes are fitted on.
        validation: People with labels by whom probes' strengths and supervised training's length are chosen.
        pretrain: Those that encoders are pretrained on; none of them is a test person.
    """

    number: int
    test: tuple[str, ...]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    pretrain: tuple[str, ...]

    @property
    def labelled(self) -> set[str]:
        """All people with labels: those who train, validate and test."""
        return {*self.train, *self.validation, *self.test}

    def apart(self, learners: Iterable[str]) -> set[str]:
        """Validation people who are not among the learners, so that a training can be validated on them."""
        return set(self.validation) - set(learners)


def task_of(manifest, label=None):
    """The task that a label sets: its name, or None for the first with one class a window.

    Raises:
        DataError: No such label, or one that says the same of all of a person's windows.
    """
    tasks = {name: task for name, task in tasks_of(manifest.labels).items() if not task.of_people}
    if not tasks or (label is not None and label not in tasks):
        known = ", ".join(tasks) or "none"
        raise DataError(f"no label {label!r} with a class for each window. There are: {known}.", file=manifest.folder)
    return tasks[label] if label else next(iter(tasks.values()))


def of_settings(settings, manifest, tasks):
    """The folds of a run: `settings.folds` of them, or one, the data's own splits, where it is 0.

    Args:
        settings: With `folds`, `validation_share`, `pretrain_on` and `seed`.
        manifest: `Manifest`.
        tasks: The `Task`s whose labels count as labels.

    Returns: list of `Fold`.

    Raises:
        DataError: Too few people with labels, or no people in the splits train and test.
    """
    if settings.folds:
        labels = [task.label for task in tasks]
        return split(manifest, labels, settings.folds, settings.validation_share, settings.seed)
    return [own_splits(manifest, training_splits(settings, manifest))]


def own_splits(manifest, pretrain_on):
    """The data's own splits as a `Fold`; the named ones pretrain.

    Raises:
        DataError: No people in the split train, fewer than two in the split test, or a split that the data lack.
    """

    def people(splits):
        return tuple(sorted({record.person for record in manifest.select(splits)}))

    missing = [name for name in ("train", "test") if name not in manifest.splits]
    if missing:
        message = f"no people in the split {' and '.join(missing)}. Hold people out in turn instead, as by --folds 5."
        raise DataError(message, file=manifest.folder)
    if len(people("test")) < 2:
        raise DataError("one test person is too few for intervals over people. Try --folds.", file=manifest.folder)
    validation = people("validation") if "validation" in manifest.splits else ()
    return Fold(0, people("test"), people("train"), validation, people(pretrain_on))


def fold_rows(folds):
    """Rows of a CSV file of folds that others can repeat: fold, person and part, the header first.

    Those who pretrain alone have the part "pretrain"; people of the parts train and validation may pretrain too.
    """
    yield "fold", "person", "part"
    for fold in folds:
        parts = {"test": fold.test, "validation": fold.validation, "train": fold.train}
        parts["pretrain"] = sorted(set(fold.pretrain) - fold.labelled)
        for part, people in parts.items():
            yield from ((fold.number, person, part) for person in people)


def split(manifest, labels, count, validation_share, seed=0):
    """Folds over the people with labels; the data's own splits are not looked at.

    The test people follow from the data alone, by scikit-learn's `GroupKFold` over the labelled windows. All others
    pretrain, those without labels among them.

    Args:
        manifest: `Manifest`.
        labels: Names of the labels; a window that has any of them is a labelled one.
        count: Number of folds.
        validation_share: Share of a fold's remaining labelled people who validate; at least one does.
        seed: Seed of their draw.

    Returns: list of `Fold`.

    Raises:
        DataError: Too few people with labels.
    """
    windows = {}
    for record in manifest.records:
        most = max((sum(manifest.value_counts(record, label).values()) for label in labels), default=0)
        windows[record.person] = windows.get(record.person, 0) + most
    labelled = sorted(person for person in windows if windows[person])
    if count < 2 or len(labelled) < max(count, 3):
        raise DataError(
            f"{count} folds need at least two folds, and {max(count, 3)} people with labels ({', '.join(labels)}). "
            f"There are {len(labelled)}.",
            file=manifest.folder,
        )
    groups = np.repeat(labelled, [windows[person] for person in labelled])
    folds = []
    for number, (_, test_rows) in enumerate(GroupKFold(count).split(groups, groups=groups)):
        test = set(groups[test_rows].tolist())
        rest = sorted(
            (p for p in labelled if p not in test), key=lambda p, n=number: derive(seed, "validation person", n, p)
        )
        few = max(1, round(validation_share * len(rest)))
        if few >= len(rest):
            left = f"{len(rest)} of {len(labelled)} people with labels, and {few} validate"
            raise DataError(f"fold {number} leaves {left}: none trains. Try more folds.", file=manifest.folder)
        everyone = tuple(sorted(set(windows) - test))
        folds.append(Fold(number, tuple(sorted(test)), tuple(sorted(rest[few:])), tuple(sorted(rest[:few])), everyone))
    return folds
