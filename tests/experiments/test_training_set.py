"""What a model says of the recordings that it has or has not seen."""

from types import SimpleNamespace

import pytest

from physiokeras.experiments.training_set import seen, split_of

pytestmark = pytest.mark.once


@pytest.fixture
def manifest():
    """Two records of files, and one of memory, whose sidecar has no size of a file."""
    sidecars = {name: {f"{name}.edf": {"size": 3, "sha256": name * 64}} for name in "ab"}
    sidecars["memory"] = {"memory": {"sha256": "c" * 64}}
    return SimpleNamespace(sidecar=lambda name: {"sources": sidecars[name]})


def test_recordings_of_files_are_known_by_their_split(manifest):
    facts = {"seen": seen(manifest, {"train": ["a"], "validation": ["b"]})}
    assert [split_of(letter * 16, facts) for letter in "abx"] == ["train", "validation", "none"]
    assert split_of(None, facts) is None


def test_where_some_recording_is_unknown_nothing_is_called_unseen(manifest):
    facts = {"seen": seen(manifest, {"train": ["a", "memory"]})}
    assert split_of("a" * 16, facts) == "train"
    assert split_of("x" * 16, facts) is None
