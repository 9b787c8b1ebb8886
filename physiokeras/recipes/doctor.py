"""Show what is installed, what the backends find on this machine, and what to install.

    physiokeras doctor
    physiokeras doctor --backends jax

Each backend is asked for its devices in a process of its own, which takes a few seconds.
"""

from dataclasses import dataclass
from typing import Literal

from physiokeras.experiments import exit_status, installation
from physiokeras.experiments.settings import read, setting


@dataclass(frozen=True)
class Settings:
    """Settings of an examination."""

    backends: tuple[Literal["tensorflow", "jax", "torch"], ...] = setting(
        ("tensorflow", "jax", "torch"), "backends whose devices are listed", "run", "extent"
    )


def main(argv=None):
    """Run the command.

    Returns: exit status: 0, or 1 where something does not work.
    """
    settings = read(Settings, argv, prog="physiokeras doctor", description=__doc__.split("\n")[0])
    facts = installation.examine(settings.backends)
    problems, remarks = list(installation.problems(facts)), list(installation.remarks(facts))
    print("\n".join([*installation.lines(facts), "", *remarks, *(f"Problem: {line}" for line in problems)]))
    print("Something does not work." if problems else "No problem found.")
    return int(bool(problems))


if __name__ == "__main__":
    exit_status.run(main)
