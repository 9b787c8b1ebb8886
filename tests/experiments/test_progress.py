import itertools
import sys
from types import SimpleNamespace

import pytest
from trainings import line, points

from physiokeras.experiments import progress

pytestmark = pytest.mark.once


def test_file_gets_a_line_for_each_interval_without_control_characters(capsys):
    callbacks, verbose = progress.shown(steps=8, interval=4)
    line().fit(points(0), epochs=2, steps_per_epoch=4, verbose=verbose, callbacks=callbacks)
    said = capsys.readouterr().out
    assert [text.split(":")[0] for text in said.splitlines()] == ["Step 4 of 8", "Step 8 of 8"]
    assert said.splitlines()[-1].endswith(", 0 s left.")
    assert [letter for letter in said if not letter.isprintable() and letter != "\n"] == []


def test_training_that_is_one_of_many_gets_a_line_now_and_then_with_the_last_validation_loss(capsys, monkeypatch):
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=itertools.count(step=20).__next__))
    callbacks, verbose = progress.shown(8, 2, "Cell 1 of 9 (mae, seed 0, fold 0)")
    options = {"validation_data": points(0), "validation_steps": 1, "verbose": verbose, "callbacks": callbacks}
    line().fit(points(0), epochs=4, steps_per_epoch=2, **options)
    lines = capsys.readouterr().out.splitlines()
    assert 1 < len(lines) < 8
    assert all(text.startswith("Cell 1 of 9 (mae, seed 0, fold 0), step ") for text in lines)
    assert "val_loss" not in lines[0]
    assert "val_loss" in lines[-1]


@pytest.mark.parametrize(("steps", "expected"), [(400, ([], 1)), (401, 0)])
def test_terminal_gets_bars_unless_there_would_be_too_many(steps, expected, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    found = progress.shown(steps, interval=4)
    assert (found if expected else found[1]) == expected


@pytest.mark.parametrize(("seconds", "words"), [(119.4, "119 s"), (600, "10 min"), (9000, "2.5 h")])
def test_time_left_is_said_in_the_unit_of_its_size(seconds, words):
    assert progress._in_words(seconds) == words
