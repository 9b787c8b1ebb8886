import dataclasses
import importlib
import inspect
import pkgutil
import typing
from functools import cached_property
from pathlib import Path

import pytest

import physiokeras
from physiokeras import losses

pytestmark = pytest.mark.once

FORWARDED = ("kwargs", "metadata", "options")
"""Names of `**` arguments."""

AS_IN_KERAS = (
    *("build", "call", "compile", "compile_from_config", "evaluate", "fit", "predict_on_batch"),
    *("make_train_function", "make_test_function", "make_predict_function", "load_own_variables", "save_own_variables"),
)
"""Methods that Keras calls with arguments of its own; it gives them no types either."""

FORWARDING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

FOLDERS = sorted(path.parent.name for path in Path(physiokeras.__file__).parent.glob("*/__init__.py"))
PACKAGES = [importlib.import_module(f"physiokeras.{name}") for name in FOLDERS]
PACKAGES = [package for package in PACKAGES if hasattr(package, "__all__")]
EXPORTED = [(package, name) for package in PACKAGES for name in package.__all__]
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
            documented = [name for name in named(sections.get(section, [])) if name not in FORWARDED]
            # `training` means the same in all of Keras.
            expected_names = [name for name in wanted if name not in ("training", *FORWARDED)]
            assert [name for name in documented if name != "training"] == expected_names
    returns = hasattr(thing, "call") or (not inspect.isclass(thing) and name not in ("save", "damage_named"))
    assert "Returns" in sections or not returns


@pytest.mark.parametrize(("module", "name"), EXPORTED, ids=lambda value: getattr(value, "__name__", value))
def test_every_argument_has_a_type_hint(module, name):
    thing = getattr(module, name)
    function = vars(thing).get("__init__") if inspect.isclass(thing) else thing
    if function is not None and name != "attend" and module is not losses:  # tensors of all backends have no one type
        known = {*FORWARDED, *typing.get_type_hints(function)}
        assert [argument for argument in arguments(function) if argument not in known] == []
        assert inspect.isclass(thing) or "return" in known


def dataclasses_of(package):
    """Dataclasses that any module of the package defines."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            for thing in vars(importlib.import_module(module.name)).values():
                if dataclasses.is_dataclass(thing) and thing.__module__ == module.name:
                    yield thing


def public_methods(cls):
    """Name -> function of the public methods and properties that a class, or a base class of ours, defines."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("physiokeras.")]
    for base in ours:
        for name, value in vars(base).items():
            kinds = {property: "fget", classmethod: "__func__", staticmethod: "__func__", cached_property: "func"}
            function = getattr(value, kinds[type(value)]) if type(value) in kinds else value
            if inspect.isfunction(function) and not name.startswith("_") and name not in AS_IN_KERAS:
                yield name, inspect.unwrap(function)


def test_every_public_method_has_type_hints():
    classes = {getattr(module, name) for module, name in EXPORTED if inspect.isclass(getattr(module, name))}
    assert len(classes) > 20
    wanting = set()
    for cls in classes | set(dataclasses_of(physiokeras)):
        for name, function in public_methods(cls):
            named = [each for each in inspect.signature(function).parameters.values() if each.kind not in FORWARDING]
            hinted = {"self", "cls", *function.__annotations__}
            wanting |= {f"{cls.__name__}.{name}: {each.name}" for each in named if each.name not in hinted}
            wanting |= set() if "return" in hinted else {f"{cls.__name__}.{name}: what it returns"}
    assert wanting == set()


def test_packages_of_the_interface_export_names():
    exporting = {package.__name__.removeprefix("physiokeras.") for package in PACKAGES}
    assert exporting >= {"analysis", "callbacks", "evaluation", "layers", "models", "pipelines"}


def test_exported_names_exist_and_are_sorted():
    for module in PACKAGES:
        assert list(module.__all__) == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
