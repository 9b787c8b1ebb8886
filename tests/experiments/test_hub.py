"""Which files of a repository are accepted, without a hub; tests/extras/test_hub.py has one."""

import hashlib
import json
import sys

import pytest

from physiokeras.errors import DataError
from physiokeras.experiments import hub, saved_models

pytestmark = pytest.mark.once

ADDRESS = "hf://me/model"


@pytest.fixture
def folder(tmp_path):
    """A repository of two files and a card."""
    (tmp_path / "model").mkdir()
    for name, content in {"model/config.json": "{}", "run.json": "{}", "README.md": "a card"}.items():
        (tmp_path / name).write_text(content)
    hub.write_listing(tmp_path)
    return tmp_path


def test_listing_has_the_sha256_of_each_file_that_is_read(folder):
    listed = json.loads((folder / hub.LISTING).read_text())["files"]
    assert listed == dict.fromkeys(("model/config.json", "run.json"), hashlib.sha256(b"{}").hexdigest())
    (folder / "README.md").write_text("edited on the hub")
    hub.check(folder, ADDRESS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", "{ }", "the SHA-256 of run.json is not the one"),
        ("run.json", None, "run.json is missing"),
        ("more.json", "{}", "more.json is not listed"),
        ("weights.bin", "", "it holds weights.bin; models consist of .json, .npz, .safetensors and README.md"),
        ("model.keras", "", "it holds model.keras"),
        ("probes.pkl", "", "it holds probes.pkl"),
        ("code.py", "", "it holds code.py"),
        ("run.json", "[" * (hub.LARGEST[".json"] + 1), "run.json has 4194305 bytes, more than any"),
        (hub.LISTING, "{", "is damaged"),
        (hub.LISTING, "[" * 100_000, "is damaged"),
        (
            hub.LISTING,
            '{"format": "physiokeras repository 2", "files": {}}',
            "has the format 'physiokeras repository 2'",
        ),
        (hub.LISTING, None, "no model that physiokeras pushed"),
    ],
)
def test_a_repository_with_anything_else_is_refused_by_name(folder, name, content, message):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        hub.check(folder, ADDRESS)
    assert ADDRESS in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/evil.json", "a/b/c.json", "..\\evil.json", ".json", "model/../run.json", "a\n.json"]
)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(DataError, match="would lie outside of the model's folder"):
        hub.check_names({name: 1}, ADDRESS)


def test_address_names_repository_and_revision():
    assert hub.parsed("hf://me/a.model") == ("me/a.model", "main")
    assert hub.parsed("hf://me/model@v1.0") == ("me/model", "v1.0")
    for wrong in ("hf://model", "hf://me/model/more", "hf://me/..", "hf://me/model@", "hf://datasets/me"):
        with pytest.raises(ValueError, match="is hf://USER/NAME or"):
            hub.parsed(wrong)


def test_missing_package_is_named_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DataError, match=r"pip install 'physiokeras\[hub\]'"):
        saved_models.located(ADDRESS)
