"""Run where the extra `[beam]` is installed: pytest tests/extras/test_beam.py."""

import json
from pathlib import Path

import pytest

from physiokeras.pipelines import beam, convert
from physiokeras.pipelines.simulation.simulator import simulate
from physiokeras.recipes import prepare

MULTI = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Four records, one of them cut."""
    folder = simulate(tmp_path_factory.mktemp("beam"), 3, 1, hours=0.1, seed=2, progress=False)
    (folder / "training" / "tr03-0005" / "tr03-0005.mat").write_bytes(b"cut")
    return folder


def files(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("**/*.*") if not path.name.startswith(".")}


@pytest.mark.parametrize("options", [(), MULTI], ids=["in this process", "by several processes"])
def test_beam_writes_the_bytes_that_the_process_pool_writes(source, tmp_path, options):
    pool = convert(source, "simulated", tmp_path / "pool", workers=2, progress=None)
    manifest = convert(source, "simulated", tmp_path / "beam", engine=beam.engine(options), progress=None)
    assert files(tmp_path / "beam") == files(tmp_path / "pool")
    assert len(manifest.records) == 3
    assert [entry["record"] for entry in manifest.set_aside] == ["tr03-0005"]
    assert manifest.data_hash == pool.data_hash


def test_the_command_takes_the_options_of_beam_and_a_rerun_has_only_the_bad_record_to_do(source, tmp_path, capsys):
    command = ["--dataset", "simulated", "--source", str(source), "--out", str(tmp_path), "--no-report"]
    for expected in ("4 records, 4 to convert by an engine", "4 records, 1 to convert by an engine"):
        assert prepare.main([*command, "--beam", " ".join(MULTI)]) == 1
        assert expected in capsys.readouterr().out
    assert len(json.loads((tmp_path / "manifest.json").read_bytes())["records"]) == 3
