import json

import pytest

from physiokeras.recipes.simulate import main

pytestmark = pytest.mark.once


def test_command_writes_a_cohort_and_refuses_other_settings_in_its_folder(tmp_path, capsys):
    command = ["--out", str(tmp_path / "cohort"), "--people", "1", "--hours", "0.1", "--seed", "4", "--no-coupled"]
    assert main(command) == 0
    written = json.loads((tmp_path / "cohort" / "simulation.json").read_text())
    assert (written["people"], written["epochs"], written["seed"], written["coupled"]) == (1, 12, 4, False)
    assert "1/1" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="unlabelled: there 0, asked 2"):
        main([*command, "--unlabelled", "2"])


def test_command_refuses_a_length_out_of_range(tmp_path):
    with pytest.raises(SystemExit, match="Received: hours=0"):
        main(["--out", str(tmp_path), "--hours", "0"])
