import inspect

import pytest

from physiokeras import callbacks, layers, losses, models

pytestmark = pytest.mark.once

EXPORTED = [(module, name) for module in (callbacks, layers, models) for name in module.__all__]
EXPORTED += [(losses, name) for name, value in vars(losses).items() if inspect.isfunction(value)]


def parts(text):
    """Text of a docstring by section: its first words, "Args", "Call arguments" and so on."""
    sections, current = {"": []}, ""
    for line in inspect.cleandoc(text).splitlines():
        if line and not line.startswith(" ") and line.endswith(":"):
            current = line[:-1]
        elif line.startswith("Returns"):
            current = "Returns"
        sections.setdefault(current, []).append(line)
    return sections


def arguments(function):
    return [name for name in inspect.signature(function).parameters if name not in ("self", "args", "kwargs")]


def named(section):
    return [line.split(":")[0].strip().lstrip("*") for line in section if line.startswith("    ") and line[4] != " "]


@pytest.mark.parametrize(("module", "name"), EXPORTED, ids=lambda value: getattr(value, "__name__", value))
def test_every_argument_is_documented(module, name):
    thing = getattr(module, name)
    sections = parts(thing.__doc__)
    assert sections[""][0].endswith(".")
    if inspect.isclass(thing):
        own = thing.__init__ if "__init__" in vars(thing) else None
        expected = {
            "Args": arguments(own) if own else None,
            "Call arguments": arguments(thing.call) if hasattr(thing, "call") else [],
        }
    else:
        expected = {"Args": arguments(thing), "Call arguments": []}
    for section, wanted in expected.items():
        if wanted is not None:
            documented = [name for name in named(sections.get(section, [])) if name not in ("kwargs", "metadata")]
            # `training` means the same in all of Keras.
            assert [n for n in documented if n != "training"] == [
                n for n in wanted if n not in ("training", "metadata")
            ]
    assert "Returns" in sections or name == "save" or module is callbacks


def test_exported_names_exist_and_are_sorted():
    for module in (callbacks, layers, models):
        assert list(module.__all__) == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
