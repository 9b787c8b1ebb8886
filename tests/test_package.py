import ast
import configparser
import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from physiokeras import catalogue
from physiokeras.commands import COMMANDS, PURPOSES

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "physiokeras"
QUIET = (
    "pipelines",
    "experiments",
    "evaluation",
    "figures",
    "scoring",
    "exporting",
    "search",
    "comparison",
    "analysis",
    "recipes",
)
CATALOGUES = {"physiokeras.recipes.catalogue": "recipes", "physiokeras.pipelines.catalogue": "pipelines"}


@pytest.fixture(scope="module")
def options():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def lines(text):
    return [line.strip() for line in text.strip().splitlines()]


def run(code, **environment):
    command, environment = [sys.executable, "-c", code], {**os.environ, **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_listed_packages_are_those_on_disk_and_the_catalogues(options):
    on_disk = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    listed = lines(options["options"]["packages"])
    assert len(listed) == len(set(listed))
    assert set(listed) == on_disk | set(CATALOGUES)


def test_every_module_lies_in_a_package():
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_catalogues_are_mapped_to_the_folders_of_declarations(options):
    assert dict(line.split(" = ") for line in lines(options["options"]["package_dir"])) == CATALOGUES
    assert lines(options["options.package_data"]["*"]) == ["*.toml"]


@pytest.mark.parametrize("kind", CATALOGUES.values())
def test_every_declaration_is_found_by_name(kind):
    paths = sorted((ROOT / kind).rglob("*.toml"))
    assert paths
    assert catalogue.names(kind) == [path.stem for path in paths]
    for path in paths:
        assert catalogue.find(kind, path.stem) == path
        tomllib.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", ["physiokeras", *(f"physiokeras.{room}" for room in QUIET)])
def test_importing_the_package_imports_no_framework(module):
    result = run(f"import sys, {module}; print(sorted({{'keras', 'tensorflow', 'jax', 'torch'}} & set(sys.modules)))")
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_layers_and_models_work_without_tensorflow_installed(backend):
    result = run(
        "import sys; sys.modules['tensorflow'] = None\n"
        "import physiokeras.layers, physiokeras.models, physiokeras.losses, physiokeras.callbacks",
        KERAS_BACKEND=backend,
    )
    assert result.returncode == 0, result.stderr


def imported(path):
    """Modules of ours that a file imports, wherever in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


ROOMS = ("layers", "models", "callbacks", *QUIET)
"""Packages, each of which may import those before it."""

APART = {"pipelines": ("layers", "models", "callbacks"), "comparison": ("search",), "analysis": ("search",)}
"""Packages that know nothing of some that stand before them."""


@pytest.mark.parametrize("package", ROOMS)
def test_imports_point_one_way(package):
    forbidden = (*ROOMS[ROOMS.index(package) + 1 :], *APART.get(package, ()))
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((PACKAGE / package).rglob("*.py"))
        for name in imported(path)
        if any(f"{name}.".startswith(f"physiokeras.{other}.") for other in forbidden)
    ]
    assert wrong == []


FORMER = {
    "definition": "physiokeras.pipelines.definitions.definition",
    "driver": "physiokeras.pipelines.converting.driver",
    "split": "physiokeras.pipelines.people.split",
    "streaming": "physiokeras.pipelines.prepared.streaming",
}
"""Former places of modules, from which people's scripts import -> where the modules are."""

PIPELINE = (
    "readers",
    "scores",
    "definitions",
    "people",
    "labels",
    "signals",
    "prepared",
    "converting",
    "inspecting",
    "simulation",
)
"""Packages of `pipelines`, each of which may import those before it."""


@pytest.mark.parametrize("room", PIPELINE)
def test_imports_within_pipelines_point_one_way(room):
    later = PIPELINE[PIPELINE.index(room) + 1 :]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((PACKAGE / "pipelines" / room).rglob("*.py"))
        for name in imported(path)
        # What `physiokeras.pipelines` exports may come from any of its packages.
        if name == "physiokeras.pipelines" or any(f"{name}.".startswith(f"physiokeras.pipelines.{o}.") for o in later)
    ]
    assert wrong == []


def test_every_package_has_a_place_in_the_order_of_imports():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)
    assert {path.parent.name for path in PACKAGE.glob("pipelines/*/__init__.py")} == set(PIPELINE)
    assert {path.stem for path in (PACKAGE / "pipelines").glob("*.py")} == {"__init__", *FORMER}
    for name, module in FORMER.items():
        here, there = importlib.import_module(f"physiokeras.pipelines.{name}"), importlib.import_module(module)
        assert all(getattr(here, each) is getattr(there, each) for each in here.__all__)


def test_modules_outside_the_packages_import_none_but_layers():
    wrong = [
        f"{path.name} imports {name}"
        for path in sorted(PACKAGE.glob("*.py"))
        if path.name != "__main__.py"  # starts the commands
        for name in imported(path)
        if any(f"{name}.".startswith(f"physiokeras.{other}.") for other in ROOMS[1:])
    ]
    assert wrong == []


def test_every_module_of_recipes_is_a_command():
    modules = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in (PACKAGE / "recipes").glob("*.py")}
    del modules["__init__"]
    for name, tree in modules.items():
        assert "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
        assert ast.unparse(tree.body[-1].test) == "__name__ == '__main__'", name
        assert f"physiokeras {name}" in ast.get_docstring(tree), name
    assert set(modules) == set(COMMANDS)
    assert {purpose for purpose, _ in COMMANDS.values()} == set(PURPOSES)


def test_tensorflow_is_loaded_in_one_way_and_where_it_is_loaded_already_imported():
    loading = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "physiokeras.pipelines.prepared.devices.load_tensorflow" in imported(path)
    }
    assert loading == {"pipelines/prepared/tf_dataset.py", "pipelines/prepared/remote.py", "experiments/backend.py"}
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "tensorflow" for name in imported(path))
    }
    replicas = {"keras_internals.py", "experiments/devices.py"}
    assert users == {"pipelines/prepared/remote_stream.py", "exporting/formats.py", *replicas}


@pytest.mark.parametrize("package", ROOMS)
def test_exported_names_are_listed_once_and_documented(package):
    module = importlib.import_module(f"physiokeras.{package}")
    names = list(getattr(module, "__all__", []))
    assert len(names) == len(set(names))
    exported = {name: getattr(module, name) for name in names}
    assert [name for name, item in exported.items() if callable(item) and not item.__doc__] == []


def test_converter_starts_without_what_only_others_need():
    heavy = ("scipy.signal", "wfdb", "matplotlib", "tensorflow", "keras", "sklearn")
    code = f"import sys, physiokeras.recipes.prepare; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"  # each worker imports it again
