"""docs/definition.md names every key of a definition, with its default, and no other."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest

from physiokeras.pipelines.definitions.definition import Channel, Definition, Label, Modality, Split

PAGE = (Path(__file__).parents[3] / "docs" / "definition.md").read_text(encoding="utf-8")
SECTIONS = {"The file": Definition, "A modality": Modality, "A channel": Channel, "A label": Label, "The split": Split}
COMPUTED = {"column", "by", "key"}
"""Keys whose default is made of other keys."""


def documented(heading):
    """Key -> default as text, of the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in section.splitlines() if line.startswith("| `")]
    return {key.strip("`"): default for key, default in rows}


def default_of(field):
    """A dataclass field's default as the page writes it."""
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory
    if value is dataclasses.MISSING:
        return ""
    if value in (None, Split, dict):
        return {None: "none"}.get(value, "`{}`")
    return f"`{json.dumps(value)}`"


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_page_and_the_code_know_the_same_keys_and_defaults(heading):
    kind = SECTIONS[heading]
    fields = {field.name: default_of(field) for field in dataclasses.fields(kind)}
    if kind in (Modality, Label):
        del fields["name"]  # the name of its table
    page = documented(heading)
    assert list(page) == list(fields)
    assert {key for key in fields if page[key] != fields[key]} <= COMPUTED


def test_the_example_is_a_definition():
    block = re.search(r"A complete small one:\n\n```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    definition = Definition.from_dict(tomllib.loads(block))
    assert definition.person_of("P07_night2") == "P07"
    rules = re.search(r"inverts it.\n\n```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    channels = ["C3-M2", "C3-linked", "C3-average", "EOG"]
    table = {"name": "x", "modalities": {"eeg": {"rate": 100, "channels": channels}}, **tomllib.loads(rules)}
    assert len(Definition.from_dict(table).montage) == 5
