"""Write the reference pages when the site is built: every public name, and every setting of every command."""

import importlib
import inspect
import pkgutil
import re
from dataclasses import fields

import mkdocs_gen_files

from physiokeras import recipes
from physiokeras.experiments.saved_models import PRESETS, preset_names
from physiokeras.markdown import markdown_table
from physiokeras.scoring import presets

PACKAGES = ("layers", "models", "callbacks", "pipelines", "evaluation", "exporting", "scoring", "analysis", "losses")

PRESETS_TEXT = """Trained models that the package ships; `physiokeras presets` lists them. One line loads one:

    model = physiokeras.load("eeg_small")

`model.predict` and `model.features` then read recordings and arrays, see [Score recordings](../how-to/score.md).
`score`, `export`, `probe`, `finetune`, `extract` and `challenge` take a preset's name, too. No preset stages sleep:
train a model for that with `pretrain`. No preset is for medical or personal decisions; each card says what else.
"""


def public_names(package):
    """Pairs of name and the path at which it is defined, of a package or a module of functions."""
    module = importlib.import_module(f"physiokeras.{package}")
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    for name in names:
        thing = getattr(module, name)
        yield name, f"{thing.__module__}.{name}"


def write_package(package):
    """One page for each package: its docstring, and each public name with its own."""
    module = importlib.import_module(f"physiokeras.{package}")
    with mkdocs_gen_files.open(f"reference/{package}.md", "w") as page:
        print(f"# physiokeras.{package}\n\n{module.__doc__}\n", file=page)
        for _, path in public_names(package):
            print(f"::: {path}\n", file=page)


def write_settings():
    """One table for each command: flag, default, meaning."""
    with mkdocs_gen_files.open("reference/settings.md", "w") as page:
        print("# Settings\n\nA setting is a flag of the command and a key of its TOML files.\n", file=page)
        for module in pkgutil.iter_modules(recipes.__path__):
            settings = getattr(importlib.import_module(f"physiokeras.recipes.{module.name}"), "Settings", None)
            if settings is None:
                continue
            print(f"## {module.name}\n\n| key | default | meaning |\n|---|---|---|", file=page)
            for field in fields(settings):
                text = field.metadata["help"].replace("|", "\\|")
                print(f"| `{field.name}` | `{field.default!r}` | {text} |", file=page)
            print(file=page)


def write_presets():
    """The table of the shipped models, how to load one, and the card of each, its headings one level lower."""
    with mkdocs_gen_files.open("reference/presets.md", "w") as page:
        print(f"# Presets\n\n{PRESETS_TEXT}\n\n{markdown_table(presets.table())}\n", file=page)
        for name in preset_names():
            card = (PRESETS / name / "README.md").read_text(encoding="utf-8")
            print(re.sub(r"^#", "##", card, flags=re.MULTILINE), file=page)


for package in PACKAGES:
    write_package(package)
write_settings()
write_presets()
