#!/usr/bin/env python3
"""Check what is about to be published: `tools/check_release.py DIST`, where DIST holds one sdist and one wheel.

Both must hold every file of `physiokeras/`, `recipes/*.toml` and `pipelines/*.toml` in this checkout, the licence, and
nothing else of it. `setup.cfg` is the place of the version: file names and `CITATION.cff` must agree with it.
"""

import configparser
import re
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CATALOGUES = ("recipes", "pipelines")
BESIDE = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.cfg"}
"""Files of the checkout that the sdist alone holds."""


def package():
    """Names of the package's files, as the checkout has them."""
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "physiokeras").rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name}


def declarations():
    """Name in the wheel of each declaration, by its name in the checkout."""
    return {
        f"{kind}/{path.name}": f"physiokeras/{kind}/catalogue/{path.name}"
        for kind in CATALOGUES
        for path in (ROOT / kind).glob("*.toml")
    }


def wheel_problems(path, version):
    """Yield what a wheel lacks or has too much."""
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    facts = f"physiokeras-{version}.dist-info/"
    if f"{facts}licenses/LICENSE" not in names:
        yield f"{path.name} lacks the licence"
    yield from differences(path, names, package() | set(declarations().values()), facts)


def sdist_problems(path, version):
    """Yield what an sdist lacks or has too much."""
    folder = f"physiokeras-{version}/"
    with tarfile.open(path) as archive:
        names = {member.name.removeprefix(folder) for member in archive if member.isfile()}
    yield from differences(
        path, names, package() | set(declarations()) | BESIDE | {"PKG-INFO"}, "physiokeras.egg-info/"
    )


def differences(path, names, expected, facts):
    """Yield each name that only one of two sets has; names below `facts` are the build's own."""
    yield from (f"{path.name} lacks {name}" for name in sorted(expected - names))
    yield from (
        f"{path.name} holds {name}, which no release needs"
        for name in sorted(names - expected)
        if not name.startswith(facts)
    )


def problems(folder):
    """Yield every reason not to publish the two files of `folder`."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    version = config["metadata"]["version"]
    if f"\nversion: {version}\n" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8"):
        yield f"CITATION.cff has another version than setup.cfg, {version}"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE):
        yield f"CHANGELOG.md has no section `## [{version}] - YEAR-MONTH-DAY`"
    expected = {
        f"physiokeras-{version}.tar.gz": sdist_problems,
        f"physiokeras-{version}-py3-none-any.whl": wheel_problems,
    }
    found = {path.name for path in folder.iterdir()}
    if found != set(expected):
        yield f"{folder} holds {sorted(found)}; expected {sorted(expected)}"
    for name in sorted(found & set(expected)):
        yield from expected[name](folder / name, version)


if __name__ == "__main__":
    sys.exit("\n".join(problems(Path(sys.argv[1]))) or 0)
