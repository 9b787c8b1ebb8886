from dataclasses import dataclass

import keras
import pytest
from tiny import autoencoder, encoder, windows

from physiokeras.callbacks import state
from physiokeras.experiments import compiled_models
from physiokeras.recent import Recent


@dataclass
class Settings:
    seed: int


def model(seed):
    keras.utils.set_random_seed(0)
    made = autoencoder(encoder(), {"scheme": "dirichlet", "seed": seed}, {"seed": seed})
    made.compile("adam")
    state.build_optimizer(made)  # as a training does
    return made


@pytest.mark.once
def test_a_compiled_copy_evaluates_with_the_draws_of_each_seed(monkeypatch):
    monkeypatch.setattr(compiled_models, "_kept", Recent(4))
    inputs = {"x": windows(), "batch_size": 6, "verbose": 0}
    alone = model(2).evaluate(**inputs)
    with compiled_models.compiled_before(model(1), Settings(1)) as copy:
        assert copy.evaluate(**inputs) != alone
    with compiled_models.compiled_before(model(2), Settings(2)) as copy:
        assert copy.evaluate(**inputs) == alone
    assert [name for name in state.arrays(copy) if "seed" in name] == ["model/mask/seed_0", "model/dropout/seed_0"]
