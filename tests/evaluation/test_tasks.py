import numpy as np
import pytest

from physiokeras.evaluation.tasks import Task, tasks_of

pytestmark = pytest.mark.once


def test_manifest_labels_become_tasks():
    tasks = tasks_of(
        {
            "stage": {"kind": "stages", "classes": ["W", "N1"]},
            "arousal": {"kind": "arousal", "classes": []},
            "age": {"kind": "age", "classes": []},
            "task": {"kind": "class", "classes": ["rest", "sums"]},
            "dose": {"kind": "number", "classes": []},
        }
    )
    assert list(tasks) == ["stage", "arousal", "age", "age_years", "task", "dose"]
    assert tasks["task"].classes == ("rest", "sums")
    np.testing.assert_array_equal(tasks["dose"].targets(np.array([1.5, np.nan], np.float32)), [1.5, np.nan])
    assert tasks["stage"].classes == ("W", "N1")
    assert tasks["arousal"].classes == ("no arousal", "arousal")
    assert tasks["age"].classes == ("up to 55", "over 55")
    assert [task.of_people for task in tasks.values()] == [False, False, True, True, False, True]


def test_threshold_belongs_to_the_lower_class_and_unknown_ages_to_none():
    age = tasks_of({"age": {"kind": "age", "classes": []}})["age"]
    np.testing.assert_array_equal(age.targets(np.array([54.0, 55.0, 55.5, np.nan], np.float32)), [0, 0, 1, -1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "guess"}, "must be one of classes, threshold, years, number. Received: 'guess'"),
        ({"classes": ("W",)}, "two classes or more"),
        ({"kind": "threshold", "classes": ("a", "b", "c"), "threshold": 1.0}, "makes two classes"),
        ({"kind": "threshold", "classes": ("a", "b")}, "`threshold` belongs"),
        ({"kind": "years", "classes": ("a", "b")}, "no classes"),
        ({"kind": "number", "classes": ("a", "b")}, "no classes"),
    ],
)
def test_contradictory_task_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        Task("t", "t", **arguments)
