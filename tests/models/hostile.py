"""Run as a program: load each folder below the given one, under limits; print name and what was said of it."""

import resource
import sys
import traceback
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.models import load

ROOM = 512 * 2**20


def main(folder):
    """The first folder, `good`, must load; no other may."""
    load(folder / "good")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    seconds = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 60
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    for path in sorted(folder.iterdir()):
        if path.name == "good":
            continue
        try:
            load(path)
            said = "LOADED"
        except DataError as error:
            said = f"refused: {error}"
        except BaseException:
            said = f"RAISED {traceback.format_exc()}"
        print(path.name, said.replace("\n", " ")[:600], sep="\t", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
