"""How every command ends as a program."""

import sys

from physiokeras.errors import DataError, TrainingError


def run(main):
    """Run a command: its exit status, one message where something is wrong with input or training, 130 on Ctrl-C."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (DataError, TrainingError, OSError) as error:
        sys.exit(str(error))
