"""What depends on a setting follows from its role."""

import importlib
import pkgutil
from dataclasses import fields

import pytest

from physiokeras import recipes
from physiokeras.experiments.run_folder import FREE
from physiokeras.experiments.settings import ROLES, of_role, setting
from physiokeras.recipes import compare, finetune, pretrain, search
from physiokeras.search.space import Dimension

pytestmark = pytest.mark.once

COMMANDS = [module.name for module in pkgutil.iter_modules(recipes.__path__)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_of_a_command_has_a_role(command):
    kind = importlib.import_module(f"physiokeras.recipes.{command}").Settings
    assert [item.name for item in fields(kind) if item.metadata.get("role") not in ROLES] == []


def test_unknown_role_is_refused():
    with pytest.raises(ValueError, match=r"`role` must be one of invocation, .*Received: 'speed'"):
        setting(1, "steps", role="speed")


@pytest.mark.parametrize(
    ("command", "roles", "expected"),
    [
        (pretrain, (), "data workers checkpoint_every log tensorboard host_index coordinator cache"),
        (finetune, (), "data run checkpoint_every"),
        (search, (), "data workers checkpoint_every log tensorboard trials seeds"),
        (
            compare,
            ("probe", "readout"),
            "data workers checkpoint_every log tensorboard seeds strategies tasks reference scalings subsets refit "
            "draws pooling context context_mode probe_folds classifier class_weight label_share age_threshold "
            "subset_maps",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_settings_that_may_differ_when_a_run_is_resumed(command, roles, expected):
    found = of_role(command.Settings, *FREE, *roles)
    assert set(found) == {*expected.split(), "config", "resume", "accept", "out"}


@pytest.mark.parametrize("name", ["seed", "backend", "checkpoint_every", "log", "pooling", "people", "data"])
def test_search_varies_what_the_training_of_an_encoder_depends_on_alone(name):
    with pytest.raises(ValueError, match="A search cannot vary"):
        Dimension.parse(f"{name}=1,2")


@pytest.mark.parametrize("name", ["depth", "batch_size", "learning_rate", "interval"])
def test_search_can_vary_network_objective_and_training(name):
    assert Dimension.parse(f"{name}=1,2").values == (1, 2)
