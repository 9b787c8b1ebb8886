"""Write a model's features and its probes' predictions for a folder of recordings.

    physiokeras extract --run runs/pretrain-1 --source RECORDINGS --out FEATURES
    physiokeras extract ... --dask tcp://HOST:8786

`features.npz` holds a row for each window: `features`, `record` (name), `seconds` (start in the recording), `missing`
(modalities that the window lacks); `columns` names the features. `predictions.csv` has the predictions for the same
rows, and `hypnogram_RECORD.png` shows the sleep stages. Features of windows that lack modalities are mapped to those of
all by the run's `subset_maps.npz`; `predictions.csv` has a column `missing` then. FEATURES/features keeps the rows of
each record, so that a rerun reads only records that are missing, failed or changed.
"""

from dataclasses import dataclass

from physiokeras.experiments import exit_status
from physiokeras.experiments.backend import use
from physiokeras.experiments.record_settings import RecordSettings
from physiokeras.experiments.settings import read, setting


@dataclass(frozen=True)
class Settings(RecordSettings):
    """Settings of an extraction: model, recordings and output."""

    run: str = setting(
        help="run folder of the model and its probes, the name of a preset, or hf://USER/NAME",
        group="data",
        role="place",
        holds="model",
    )
    out: str = setting(
        help="folder for features, predictions and figures; created if missing",
        group="run",
        role="place",
        holds="results",
    )


def main(argv=None):
    """Run the command.

    Returns: exit status: 0, or 1 where any recording was set aside.
    """
    settings = read(Settings, argv, prog="physiokeras extract", description=__doc__.split("\n")[0])
    use(settings.backend)
    from physiokeras.scoring import extract_folder, load

    done = extract_folder(load(settings.run), settings.source, settings.out, **settings.options())
    print(f"{done.windows} windows of {done.records} recordings are in {settings.out}")
    return int(bool(done.set_aside))


if __name__ == "__main__":
    exit_status.run(main)
