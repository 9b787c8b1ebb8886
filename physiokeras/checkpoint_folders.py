"""Checkpoint folders `step-NUMBER`: arrays in `state.safetensors`, other values in `checkpoint.json`."""

import hashlib
import json
import re
from pathlib import Path

import safetensors.numpy
from safetensors import SafetensorError

from physiokeras.errors import DataError
from physiokeras.files import remove_folder, remove_temporaries, write_folder

FORMAT = "physiokeras checkpoint 1"
_STATE, _FACTS = "state.safetensors", "checkpoint.json"


def place(folder, step):
    """Path of the checkpoint folder of a step."""
    return Path(folder) / f"step-{step:09d}"


def steps(folder):
    """Sorted steps of all checkpoints in a folder, including damaged ones."""
    names = (re.fullmatch(r"step-(\d{9,})", path.name) for path in Path(folder).glob("step-*"))
    return sorted(int(name[1]) for name in names if name)


def write(folder, step, arrays, facts, keep):
    """Write the checkpoint of a step atomically, then remove the checkpoints that need not be kept.

    Args:
        folder: Folder of the checkpoints; created if missing.
        step: Step of the checkpoint.
        arrays: dict of name to array.
        facts: dict of JSON values.
        keep: Steps of earlier checkpoints to keep; the previous checkpoint is kept too.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = safetensors.numpy.save(arrays)
    facts = {**facts, "step": step, "sha256": {_STATE: hashlib.sha256(state).hexdigest()}}
    table = {"format": FORMAT, "facts": facts, "sha256": _digest(facts)}
    write_folder(place(folder, step), {_STATE: state, _FACTS: json.dumps(table, indent=1).encode()})
    earlier = [other for other in steps(folder) if other < step]
    for other in set(steps(folder)) - {step, *earlier[-1:], *keep}:
        remove_folder(place(folder, other))


def read(folder, step):
    """Read the arrays and facts of a checkpoint.

    Returns: dict of name to array, dict of facts.

    Raises:
        DataError: The checkpoint is damaged or incomplete.
    """
    path = place(folder, step)
    try:
        table = json.loads((path / _FACTS).read_bytes())
        facts, state = table["facts"], (path / _STATE).read_bytes()
        if table["format"] != FORMAT or table["sha256"] != _digest(facts) or facts["step"] != step:
            raise DataError("the file differs from the one that was written.", file=path / _FACTS)
        if facts["sha256"][_STATE] != hashlib.sha256(state).hexdigest():
            raise DataError("its SHA-256 differs from the one in checkpoint.json.", file=path / _STATE)
        return safetensors.numpy.load(state), facts
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"the checkpoint is incomplete: {error!r}.", file=path) from error


def newest(folder):
    """Read the newest undamaged checkpoint; remove temporary folders of killed processes.

    Returns: `(arrays, facts, complaints)`. Complaints are the `DataError`s of newer, damaged checkpoints. Arrays and
        facts are None if there is no checkpoint.

    Raises:
        DataError: All checkpoints are damaged.
    """
    complaints = []
    if Path(folder).is_dir():
        remove_temporaries(folder)
    for step in reversed(steps(folder)):
        try:
            return *read(folder, step), complaints
        except DataError as error:
            complaints.append(error)
    if complaints:
        raise DataError(
            f"all checkpoints are damaged ({complaints[0]}). To train from the beginning, remove the folder.",
            file=folder,
        )
    return None, None, complaints


def remove_after(folder, step):
    """Remove all checkpoints after a step."""
    for later in steps(folder):
        if later > step:
            remove_folder(place(folder, later))


def _digest(facts):
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
