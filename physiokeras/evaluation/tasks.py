"""Tasks of linear probes: stored labels as classes or as a number."""

from dataclasses import dataclass

import numpy as np

from physiokeras.pipelines.definitions.definition import Definition

KINDS = ("classes", "threshold", "years", "number")
_BINARY = {"arousal": ("no arousal", "arousal"), "beats": ("normal", "abnormal"), "events": ("no event", "event")}


@dataclass(frozen=True)
class Task:
    """A target that a linear probe predicts.

    Args:
        name: Its name in reports and files.
        label: The label of the prepared data that it is made from.
        kind: "classes": the label is a class already; "threshold": two classes, at most and above `threshold`;
            "years": the age itself; "number": the number itself, one a person.
        classes: Class names, in the order of their numbers; () for "years" and "number".
        threshold: The greatest value of the lower class, for "threshold".
    """

    name: str
    label: str
    kind: str = "classes"
    classes: tuple[str, ...] = ()
    threshold: float | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}. Received: {self.kind!r}.")
        if self.kind in ("years", "number") and self.classes:
            raise ValueError(f"A task in {self.kind} has no classes. Received: {self.classes}.")
        if self.kind == "classes" and len(self.classes) < 2:
            raise ValueError(f"A classification needs two classes or more. Received: {self.classes}.")
        if self.kind == "threshold" and len(self.classes) != 2:
            raise ValueError(f"A threshold makes two classes. Received: {self.classes}.")
        if (self.kind == "threshold") != (self.threshold is not None):
            raise ValueError(f"`threshold` belongs to kind 'threshold'. Received: {self.kind!r}, {self.threshold}.")

    @property
    def of_people(self) -> bool:
        """Whether the target is the same in all windows of a person."""
        return self.kind != "classes"

    def targets(self, values: np.ndarray) -> np.ndarray:
        """Stored labels as what the probe learns.

        Args:
            values: `(windows,)`: class numbers, -1 where unscored; otherwise numbers, NaN where unknown.

        Returns: `(windows,)` int64 class numbers, -1 where left out; for "years" and "number" float64, NaN where left
            out.

        Raises:
            ValueError: A class number that the task has no class for.
        """
        values = np.asarray(values)
        if self.kind in ("years", "number"):
            return values.astype(np.float64)
        if self.kind == "threshold":
            return np.where(np.isnan(values), -1, values > self.threshold).astype(np.int64)
        if len(values) and not -1 <= values.min() <= values.max() < len(self.classes):
            raise ValueError(
                f"Label {self.label!r} must lie in -1 .. {len(self.classes) - 1} (classes {', '.join(self.classes)}). "
                f"Received: {values.min()} .. {values.max()}."
            )
        return values.astype(np.int64)


def tasks_of(labels: dict[str, dict], *, age_threshold: float = 55.0) -> dict[str, Task]:
    """The tasks that prepared data allow: one for each label, and two for an age: a threshold, and the years.

    A number of records that differ in one person becomes their mean over the person's windows.

    Args:
        labels: The manifest's `labels`: name to dict of `kind` and `classes`.
        age_threshold: The greatest age of the lower class; our default, which halves the Challenge's people.

    Returns: dict of task name to `Task`.
    """
    tasks = []
    for name, label in labels.items():
        if label["kind"] == "age":
            classes = (f"up to {age_threshold:g}", f"over {age_threshold:g}")
            tasks.append(Task(name, name, "threshold", classes, age_threshold))
            tasks.append(Task(f"{name}_years", name, "years"))
        elif label["kind"] == "number":
            tasks.append(Task(name, name, "number"))
        else:
            tasks.append(Task(name, name, "classes", tuple(label["classes"]) or _BINARY[label["kind"]]))
    return {task.name: task for task in tasks}


def tasks_of_network(network, facts: dict) -> list[Task]:
    """The tasks of a network's linear layers: as its metadata have them, else by the labels of its definition.

    Args:
        network: `LinearProbe`.
        facts: Its `metadata.json`.

    Returns: list of `Task`, in the order of the layers.
    """
    known = {table["label"]: Task(**{**table, "classes": tuple(table["classes"])}) for table in facts.get("tasks", ())}
    labels = Definition.from_dict(facts["definition"]).labels if "definition" in facts else {}
    made = tasks_of({name: {"kind": label.kind, "classes": label.classes} for name, label in labels.items()})
    tasks = []
    for label, count in network.classes.items():
        task = known.get(label) or made.get(label)
        if task is None or len(task.classes) != count:
            task = Task(label, label, "classes", tuple(f"class {number}" for number in range(count)))
        tasks.append(task)
    return tasks
