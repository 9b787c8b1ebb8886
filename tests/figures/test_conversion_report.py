import re
import shutil

import numpy as np
import pytest
from PIL import Image

from physiokeras.figures.conversion_report import write_report
from physiokeras.pipelines import Definition, windows
from physiokeras.pipelines.simulation.simulator import simulate
from physiokeras.recipes import prepare

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Five people, one unlabelled, one whose record is cut."""
    folder = tmp_path_factory.mktemp("report")
    source = simulate(folder / "source", 4, 1, hours=0.1, seed=3, progress=False)
    path = sorted(source.glob("training/*/*.mat"))[0]
    path.write_bytes(path.read_bytes()[:-1])
    command = ["--dataset", "simulated", "--source", str(source), "--out", str(folder / "out")]
    assert prepare.main(command) == 1
    return prepare.convert(source, "simulated", folder / "out", progress=None)


@pytest.fixture(scope="module")
def page(manifest):
    return (manifest.folder / "report.md").read_text()


def rows(page, heading):
    """Cells of the table below a heading, without its head."""
    lines = page.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")][2:]


def test_the_page_counts_what_the_shards_hold(manifest, page):
    found = windows(manifest.folder, labels=["stage"])
    counts = {cells[0]: [int(cell) for cell in cells[1:]] for cells in rows(page, "Windows by stage")}
    total = np.sum(list(counts.values()), axis=0).tolist()
    assert total == [int((found["stage"] == number).sum()) for number in (0, 1, 2, 3, 4, -1)]
    assert [cells[0] for cells in rows(page, "Windows by split")] == list(counts)
    assert sum(int(cells[3]) for cells in rows(page, "Windows by split")) == len(found["stage"])
    assert f"{len(manifest.records)} records of {len(manifest.records)} people" in page


def test_a_modality_is_present_where_any_of_its_channels_is(manifest, page):
    definition, start = Definition.from_dict(manifest.definition), 0
    present = windows(manifest.folder, modalities=list(manifest.modalities))["present"]
    shares = {cells[0]: cells[1] for cells in rows(page, "Modalities")}
    for name, modality in definition.modalities.items():
        stop = start + len(modality.channels)
        assert shares[name] == f"{present[:, start:stop].any(axis=1).mean():.1%}"
        start = stop


def test_records_set_aside_stand_with_their_reason(manifest, page):
    (cells,) = rows(page, "Records set aside")
    assert cells[0] == manifest.set_aside[0]["record"]
    assert cells[1] == manifest.set_aside[0]["reason"]


def test_notes_alike_are_counted_together(page):
    notes = {cells[0]: cells[1:] for cells in rows(page, "What was noted")}
    assert notes["no RECORD.arousal; without the label stage"][0] == "1"
    assert not any(re.search(r"\d%", note) for note in notes)


def test_the_figure_is_drawn_and_a_rerun_writes_the_same_page(manifest, page):
    picture = np.asarray(Image.open(manifest.folder / "report.png").convert("L"))
    assert picture.shape[1] > 800
    assert 0.01 < (picture < 200).mean() < 0.6
    before = (manifest.folder / "report.png").read_bytes()
    write_report(manifest)
    assert (manifest.folder / "report.md").read_text() == page
    assert (manifest.folder / "report.png").read_bytes() == before


def test_a_data_set_without_a_good_record_has_a_page_too(manifest, tmp_path):
    source = shutil.copytree(manifest.folder.parent / "source", tmp_path / "source")
    for path in source.glob("*/*/*.mat"):
        if not path.stem.endswith("-arousal"):
            path.write_bytes(b"")
    assert prepare.main(["--dataset", "simulated", "--source", str(source), "--out", str(tmp_path / "out")]) == 1
    page = (tmp_path / "out" / "report.md").read_text()
    assert "0 records of 0 people" in page
    assert len(rows(page, "Records set aside")) == 5
