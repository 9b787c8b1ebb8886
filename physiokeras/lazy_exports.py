"""Exported names of a package that are imported on first use."""

import importlib
import sys
from collections.abc import Callable
from typing import Any


def lazy_exports(package: str, modules: dict[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a package that imports its modules on first use.

    Importing a package then takes no time: TensorFlow, which only streams need, takes 11 s and 790 MB.

    Args:
        package: The package's `__name__`.
        modules: Exported name -> module of the package that defines it, such as "simulation.simulator"; a path that
            ends with the name itself is exported as a module.

    Returns: `(__getattr__, __dir__)`.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{modules[name]}")
        value = module if modules[name].endswith(f".{name}") else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(modules)
