"""Patterns by which score files belong to recordings."""

from pathlib import Path

import pytest

from physiokeras.pipelines.definitions.parts import Label
from physiokeras.pipelines.inspecting.companions import find_patterns
from physiokeras.pipelines.scores.score_files import annotation_file

CASES = {
    "same name": (["a1.edf", "b2.edf"], ["a1.xml", "b2.xml"], ["{record}.xml"]),
    "ending": (["a.edf", "ab.edf"], ["a_hyp.csv", "ab_hyp.csv"], ["{record}_hyp.csv"]),
    "two scorers": (["1/1.edf", "2/2.edf"],
                    ["1/1_a.txt", "1/1_b.txt", "2/2_a.txt"], ["{record}_a.txt", "{record}_b.txt"]),
    "changing letter": (["P01E0-PSG.edf", "P02E0-PSG.edf"],
                        ["P01EC-Hyp.edf", "P02EH-Hyp.edf"], ["{record:.4}*-Hyp.edf"]),
    "folder beside": (["edf/a.edf", "edf/b.edf"], ["xml/a-n.xml", "xml/b-n.xml"], ["../xml/{record}-n.xml"]),
    "folders alike": (["e/v1/a.edf", "e/v2/b.edf"], ["x/v1/a.xml", "x/v2/b.xml"], ["../../x/{folder}/{record}.xml"]),
    "folder below": (["a.edf", "b.edf"], ["scores/a.txt", "scores/b.txt"], ["scores/{record}.txt"]),
    "brackets": (["a [1].edf"], ["a [1] [x].csv"], ["{record} [[]x].csv"]),
    "stray": (["a.edf", "b.edf", "c.edf"], ["a.xml", "b.xml", "c.xml", "a-old.xml"], ["{record}.xml"]),
    "none": (["a.edf", "b.edf"], ["x.csv"], []),
    "no recording": ([], ["x.csv"], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_pattern_is_found_and_finds_the_files(tmp_path, case):
    records, files, patterns = CASES[case]
    records, files = [tmp_path / name for name in records], [tmp_path / name for name in files]
    for path in (*records, *files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_patterns(records, files)
    assert found == patterns
    for pattern in found:
        label = Label("x", "stages", file=pattern, classes=("a", "b"))
        taken = [annotation_file(path, label) for path in records]
        assert {Path(file).resolve() for file in taken if file} <= set(files)
        assert any(taken)
