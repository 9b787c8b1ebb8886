"""List the trained models that the package ships: name, size, modalities, tasks, licence, channels.

    physiokeras presets

`physiokeras.load(NAME)` loads one, and `physiokeras score --model NAME` scores recordings with it.
"""

from dataclasses import dataclass

from physiokeras.experiments import exit_status
from physiokeras.experiments.settings import read
from physiokeras.markdown import markdown_table


@dataclass(frozen=True)
class Settings:
    """It has none."""


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    read(Settings, argv, prog="physiokeras presets", description=__doc__.split("\n")[0])
    from physiokeras.scoring import presets

    rows = presets.table()
    print(markdown_table(rows) if len(rows) > 1 else "This version ships no presets; train a model with `pretrain`.")
    for name, lines in presets.channels().items():
        print(f"\n{name} reads channels of these names, at any rate:")
        print("\n".join(f"  {line}" for line in lines))
    return 0


if __name__ == "__main__":
    exit_status.run(main)
