"""List the trained models that the package ships: name, size, modalities, tasks, licence.

    python -m physiokeras.recipes.presets

`physiokeras.load(NAME)` loads one, and `python -m physiokeras.recipes.score --model NAME` scores recordings with it.
"""

import argparse

from physiokeras.experiments import exit_status
from physiokeras.markdown import markdown_table
from physiokeras.scoring import presets


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m physiokeras.recipes.presets", description=__doc__.split("\n")[0], allow_abbrev=False
    )
    parser.parse_args(argv)
    rows = presets.table()
    print(markdown_table(rows) if len(rows) > 1 else "This version ships no presets; train a model with `pretrain`.")
    return 0


if __name__ == "__main__":
    exit_status.run(main)
