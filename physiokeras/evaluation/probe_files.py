"""Files of probes: arrays and JSON in one `.npz`, without pickles."""

import contextlib
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.tasks import Task
from physiokeras.files import write_atomic

FORMAT = "physiokeras probe 1"
LARGEST = 64 * 2**20
"""Bytes that a probe may take unpacked: ten times the largest sensible one."""

DAMAGE = (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, NotImplementedError)
"""What reading a damaged file of arrays raises."""

_ARRAYS = ("mean", "scale", "weights", "bias")


def save_probe(probe, path):
    """Write a probe to `path` (ending in `.npz`), whole or not at all.

    Args:
        probe: A `Probe`.
        path: The file; replaced if there.
    """
    facts = {"format": FORMAT, "task": asdict(probe.task)}
    facts |= {name: getattr(probe, name) for name in ("strength", "encoder", "context", "context_mode")}
    facts["tried"] = [[strength, loss] for strength, loss in probe.tried.items()]
    content = io.BytesIO()
    np.savez(content, facts=np.array(json.dumps(facts)), **{name: getattr(probe, name) for name in _ARRAYS})
    write_atomic(path, content.getvalue())


def load_probe(path, *, encoder=None):
    """Read what `save_probe` wrote.

    Args:
        path: The file.
        encoder: Digest of the encoder whose features the probe shall read; None: any.

    Returns: `Probe`.

    Raises:
        DataError: Not a probe's file, damaged, or fitted on another encoder's features.
        FileNotFoundError: No such file.
    """
    with reading(path, "a probe's file") as (facts, file):
        probe = _probe(facts, {name: file[name] for name in _ARRAYS})
    if encoder is not None and probe.encoder != encoder:
        raise DataError(
            f"fitted on features of encoder {probe.encoder or 'unknown'}, not {encoder}; fit it again.", file=path
        )
    return probe


@contextlib.contextmanager
def reading(path, what):
    """Open an `.npz` file of arrays and "facts", a JSON text; damage that is found inside raises `DataError`.

    Args:
        path: The file.
        what: What it should be, for the message, such as "a probe's file".

    Yields: the facts, and the open file of arrays.
    """
    content = Path(path).read_bytes()
    try:
        check_sizes(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            yield json.loads(str(file["facts"])), file
    except DAMAGE as error:
        raise DataError(f"not {what}, or damaged: {error}", file=path) from error


def check_sizes(content):
    """Refuse what would unpack to more than a probe can hold, before anything is unpacked.

    Args:
        content: Bytes of an `.npz` file.

    Raises:
        ValueError: An array that is too large, or whose header contradicts its size.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if member.file_size > LARGEST:
                raise ValueError(f"{member.filename} would take {member.file_size} bytes")
            with archive.open(member) as file:
                if np.lib.format.read_magic(file) != (1, 0):
                    raise ValueError(f"{member.filename} is not an array of version 1.0")
                shape, _, kind = np.lib.format.read_array_header_1_0(file)
                if file.tell() + int(np.prod([1, *shape], dtype=object)) * kind.itemsize != member.file_size:
                    raise ValueError(f"{member.filename} claims the shape {shape}, which its size contradicts")


def _probe(facts, arrays):
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise ValueError("its arrays are not float32")
    if (
        not all(np.isfinite(arrays[name]).all() for name in ("mean", "scale", "weights"))
        or np.isnan(arrays["bias"]).any()
    ):
        raise ValueError("its arrays are not finite")
    task = Task(**{**facts["task"], "classes": tuple(facts["task"]["classes"])})
    tried = {float(strength): float(loss) for strength, loss in facts["tried"]}
    strength, encoder = float(facts["strength"]), str(facts["encoder"])
    # Files of earlier versions lack these two.
    context = {"context": int(facts.get("context", 0)), "context_mode": facts.get("context_mode", "concatenate")}
    if context["context_mode"] not in ("concatenate", "mean"):
        raise ValueError(f"its context mode is {context['context_mode']!r}")
    return Probe(task, **arrays, strength=strength, encoder=encoder, tried=tried, **context)
