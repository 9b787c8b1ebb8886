import json

import keras_tuner
import pytest

from physiokeras.errors import DataError
from physiokeras.search.tuner_state import check_search

pytestmark = pytest.mark.once


class Search(keras_tuner.RandomSearch):
    def run_trial(self, trial, **_):
        return trial.hyperparameters.Float("x", 0.0, 1.0) ** 2


def search(folder, trials):
    check_search(folder)
    tuner = Search(max_trials=trials, directory=str(folder), seed=1)
    tuner.search(verbose=0)
    return {name: trial.score for name, trial in tuner.oracle.trials.items()}


@pytest.fixture
def searched(tmp_path):
    return tmp_path, search(tmp_path, 2)


def test_search_goes_on_where_it_was(searched):
    folder, scores = searched
    more = search(folder, 3)
    assert len(more) == 3
    assert scores.items() <= more.items()


@pytest.mark.parametrize("name", ["tuner0.json", "oracle.json", "trial_0/trial.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "list"])
def test_damaged_search_is_refused_and_left_alone(searched, name, damage):
    folder, _ = searched
    path = folder / "untitled_project" / name
    text = path.read_text()
    if damage == "missing":
        path.unlink()
    else:
        path.write_text({"cut": text[: len(text) // 2], "empty": "", "list": json.dumps([text])}[damage])
    before = {file: file.read_bytes() for file in folder.rglob("*.json")}
    with pytest.raises(DataError, match=r"json: (missing|truncated or damaged).*To search anew, remove"):
        search(folder, 3)
    assert {file: file.read_bytes() for file in folder.rglob("*.json")} == before


def test_folder_without_a_search_is_fine(tmp_path):
    check_search(tmp_path)
    check_search(tmp_path / "none")
