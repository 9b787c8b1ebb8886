import signal

import numpy as np
import pytest
from callbacks.conftest import STEPS, drawing, train

from physiokeras import checkpoint_folders
from physiokeras.callbacks import state


class Interrupted(Exception):
    pass


def assert_equal(ours, theirs):
    (arrays, metrics, best), (others, their_metrics, their_best) = ours, theirs
    assert arrays.keys() == others.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []
    assert (metrics, best) == (their_metrics, their_best)


def test_resumed_training_equals_the_uninterrupted_one_bit_for_bit(whole, tmp_path, capsys):
    def stop(step):
        if step == 5:  # inside an epoch, and between two checkpoints
            raise Interrupted

    def terminate(step):
        if step == 6:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(tmp_path, stop)
    assert checkpoint_folders.steps(tmp_path / "checkpoints") == [3, 4]
    with pytest.raises(SystemExit) as end:
        train(tmp_path, terminate, every=100)
    assert end.value.code == 143
    assert "SIGTERM: step 7 is saved in" in capsys.readouterr().err or checkpoint_folders.steps(
        tmp_path / "checkpoints"
    ) == [4, 7]
    assert_equal(train(tmp_path), whole[1])
    assert len(whole[1][1].splitlines()) == 1 + 3
    assert whole[1][0]["optimizer/0/iteration"] == STEPS


def test_state_holds_every_weight_seed_and_slot(whole):
    arrays = whole[1][0]
    model = drawing()
    seeds = [name for name in arrays if "/seed_" in name]
    assert len(seeds) == 2 + 2  # of dropout, mask, modality dropout
    before = state.arrays(model)
    still = [name for name in before if np.array_equal(before[name], arrays[name])]
    assert still == []
    assert len([name for name in arrays if name.startswith("optimizer/")]) == 1 + 2 * len(model.trainable_weights)
