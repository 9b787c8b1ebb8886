"""What the programs that start a command on several machines say of its place, in environment variables."""

import os
import re
from dataclasses import dataclass

LAUNCHERS = {
    "JAX": ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "JAX_COORDINATOR_ADDRESS"),
    "torchrun": ("WORLD_SIZE", "RANK", "MASTER_ADDR"),
    # `srun` alone sets the last one: a batch script that calls no `srun` runs once, however many tasks its job has.
    "Slurm": ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST"),
}
"""Launcher -> environment variables of the number of processes, of this one's number, of the first one's machine."""


@dataclass(frozen=True)
class Launched:
    """What a launcher says.

    Attributes:
        launcher: One of `LAUNCHERS`.
        count: Number of processes.
        index: Number of this process, from 0.
        coordinator: "HOST:PORT" of the first process.
    """

    launcher: str
    count: int
    index: int
    coordinator: str


def launched():
    """What the launcher says that started this process.

    Returns: `Launched`, or None where none did.
    """
    for name, keys in LAUNCHERS.items():
        count, index, first = map(os.environ.get, keys)
        if count and index and first:
            return Launched(name, int(count), int(index), _ADDRESSES[name](first))
    return None


def processes():
    """Number of processes that a launcher started; 1 without one."""
    found = launched()
    return found.count if found else 1


def _of_torchrun(name):
    port = int(os.environ.get("MASTER_PORT", 29500))  # torchrun uses it itself
    return f"{name}:{port + 1 if port < 65535 else port - 1}"


def _of_slurm(nodes):
    first = re.match(r"([^,\[]+)(?:\[(\d+))?", nodes)  # of "node1,node2", or of "node[01-04,7]"
    # One port for each job, so that two jobs on a node do not meet.
    port = 61440 + int(os.environ.get("SLURM_JOB_ID", 0)) % 4096
    return f"{first[1]}{first[2] or ''}:{port}"


_ADDRESSES = {"JAX": str, "torchrun": _of_torchrun, "Slurm": _of_slurm}
