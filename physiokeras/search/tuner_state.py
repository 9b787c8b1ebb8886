"""Checks the saved state of a KerasTuner search; KerasTuner silently starts anew if its first file is missing."""

import json
from pathlib import Path

from physiokeras.errors import DataError


def check_search(directory, project="untitled_project", tuner="tuner0"):
    """Refuse damaged or incomplete state of an earlier search. Call it before creating the tuner.

    Args:
        directory: The tuner's `directory`.
        project: The tuner's `project_name`.
        tuner: The tuner's name, "tuner0" unless several processes search together.

    Raises:
        DataError: A file is missing or is not JSON; the message names it.
    """
    folder = Path(directory) / project
    trials = sorted(folder.glob("trial_*"))
    if not trials and not (folder / "oracle.json").exists():
        return
    for path in (folder / f"{tuner}.json", folder / "oracle.json", *(trial / "trial.json" for trial in trials)):
        way_out = f"To search anew, remove {folder} or give another directory."
        try:
            table = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise DataError(f"missing, although this folder has an earlier search. {way_out}", file=path) from None
        except (OSError, ValueError) as error:
            raise DataError(f"truncated or damaged: {error}. {way_out}", file=path) from error
        if not isinstance(table, dict):
            raise DataError(f"truncated or damaged: not a table of values. {way_out}", file=path)
