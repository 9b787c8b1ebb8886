"""The command `physiokeras`, also `python -m physiokeras`.

    physiokeras --help
    physiokeras pretrain --backend jax

`python -m physiokeras.recipes.pretrain` does the same as the second line.
"""

import argparse
import importlib
import sys

import physiokeras
from physiokeras.commands import COMMANDS, unknown, usage

SHELLS = ("bash", "zsh", "tcsh")


def main(argv=None):
    """Run a command.

    Args:
        argv: Name of the command and its arguments; default: those of the process.

    Returns: exit status.

    Raises:
        SystemExit: The end of a command, see `physiokeras.experiments.exit_status`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"physiokeras {physiokeras.__version__}")
        return 0
    if words[0] == "--print-completion":
        print(completion(*words[1:2]))
        return 0
    name, *rest = words
    if name not in COMMANDS:
        print(f"physiokeras: error: {unknown(name)}\n(physiokeras --help lists the commands)", file=sys.stderr)
        return 2
    # `--help`, messages and the `run.json` of a run take the command's name and arguments from here.
    sys.argv = [f"physiokeras {name}", *rest]
    from physiokeras.experiments import exit_status

    return exit_status.run(importlib.import_module(f"physiokeras.recipes.{name}").main)


def completion(shell=None):
    """Script that completes commands, flags and their values in a shell.

    Args:
        shell: One of `SHELLS`.

    Raises:
        SystemExit: Another shell, or shtab is not installed.
    """
    if shell not in SHELLS:
        sys.exit(f"physiokeras: error: --print-completion needs one of {', '.join(SHELLS)}. Received: {shell}.")
    try:
        import shtab
    except ImportError:
        sys.exit("Shell completion is not installed here: pip install 'physiokeras[completion]'")
    from physiokeras.experiments import flags

    parser = argparse.ArgumentParser("physiokeras")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers()
    for name, (_, summary) in COMMANDS.items():
        kind = importlib.import_module(f"physiokeras.recipes.{name}").Settings
        commands.add_parser(name, help=summary, parents=[flags.parser(kind)], add_help=False)
    return shtab.complete(parser, shell)


if __name__ == "__main__":
    sys.exit(main())
