import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "fuzz_ingestion.py"


def test_mutated_files_of_every_kind_raise_our_error_alone():
    command = [sys.executable, str(TOOL), "--cases", "3150", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 findings, seed 0" in done.stdout
    refused = [int(line.split()[3]) for line in done.stdout.splitlines() if line.endswith("refused")]
    assert len(refused) == 34
    assert min(refused) > 50
