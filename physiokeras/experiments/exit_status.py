"""How every command ends: its exit status, and its message where it fails."""

import sys

from physiokeras.errors import DataError, TrainingError

EXPLAINED = (DataError, TrainingError, OSError)
"""Errors whose message is enough for the user: input, files or training are at fault."""


def run(main):
    """Run a command and exit.

    The exit status is the command's own, 130 after Ctrl-C, and 1 with one message on standard error where input, files
    or training are at fault. Letters that the terminal does not have, as of a record's name, are written as escapes.

    Args:
        main: The command's `main`, which returns its exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except EXPLAINED as error:
        sys.exit(str(error))
