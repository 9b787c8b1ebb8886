import importlib
import pkgutil
from dataclasses import MISSING, fields

import pytest

from physiokeras import recipes
from physiokeras.experiments.ranges import check
from physiokeras.experiments.settings import CommonSettings, read
from physiokeras.recipes import pretrain

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1)", (0, 0.999, None, (0, 0.5)), (-1e-9, 1, (0.5, 1), float("nan"))),
        ("(0, 1]", (1e-9, 1), (0, 1.001)),
        ("[1, inf)", (1, 10**9), (0, float("inf"))),
    ],
)
def test_bounds_belong_to_an_interval_as_its_brackets_say(interval, inside, outside):
    for value in inside:
        check("share", value, interval)
    for value in outside:
        with pytest.raises(ValueError, match="share must"):
            check("share", value, interval)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--mask-ratio 1", "mask_ratio must lie in [0, 1). Received: 1.0."),
        ("--batch-size 0", "batch_size must be at least 1. Received: 0."),
        ("--learning-rate 0", "learning_rate must be above 0. Received: 0.0."),
        ("--spans 1 0", "spans must be at least 1. Received: 0."),
        ("--width 30 --heads 4", "width must be even and a multiple of heads. Received: 30, 4 heads."),
        ("--decoder-heads 7", "decoder_width must be even and a multiple of decoder_heads"),
    ],
)
def test_settings_out_of_range_end_the_command_before_anything_is_imported(words, said, capsys):
    with pytest.raises(SystemExit):
        read(pretrain.Settings, words.split())
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", [module.name for module in pkgutil.iter_modules(recipes.__path__)])
def test_every_command_checks_all_of_its_ranges(command):
    kind = importlib.import_module(f"physiokeras.recipes.{command}").Settings
    given = {item.name: "x" for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING}
    for item in fields(kind):
        if issubclass(kind, CommonSettings) and item.metadata.get("within"):
            with pytest.raises(ValueError, match=f"^{item.name} must"):
                kind(**{**given, item.name: -0.5})
