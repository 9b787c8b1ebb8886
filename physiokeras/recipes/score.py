"""Score a folder of recordings with a trained model: hypnograms, events, sleep statistics, and a page.

    physiokeras score --model runs/pretrain-1 --source RECORDINGS --out SCORES
    physiokeras score --model runs/finetune-1 --source PREPARED --out SCORES --workers 2
    physiokeras score ... --dask tcp://HOST:8786

The source is a folder of recordings, a single one, or a folder that `prepare` wrote; modalities may be missing. Each
record gets a table of its windows (CSV), annotations (EDF+), a figure and all facts (JSON) in SCORES/records.
`statistics.csv` has a row for each record, `events.csv` one for each run of windows with an event (with a run of
`challenge`: for each arousal, in seconds), and `index.html` shows the records, those to distrust first. A rerun scores
only records that are missing, failed or changed. A record that cannot be read is set aside with its reason.
"""

from dataclasses import dataclass

from physiokeras.experiments import exit_status
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CommonSettings, read, setting

SHOWN = 5
"""Number of records of which the command says why they are in doubt; the page says it of all."""


@dataclass(frozen=True)
class Settings(CommonSettings):
    """Settings of a scoring: model, recordings and output."""

    model: str = setting(
        help="run folder of the model and its probes, the name of a preset, or hf://USER/NAME",
        group="data",
        role="place",
        alias="run",
        holds="model",
    )
    source: str = setting(
        help="folder of recordings, one recording, a folder that `prepare` wrote, or the URL of one of these",
        group="data",
        role="place",
        holds="readable",
    )
    dataset: str | None = setting(
        None, "definition of the recordings; none: the definition of the model's data", "data", "result",
        alias="definition",
    )  # fmt: skip
    out: str = setting(help="folder for the scores; created if missing", group="run", role="place", holds="results")
    workers: int = setting(
        1, "number of processes that read recordings while the model runs", "run", "execution", within="[1, inf)"
    )
    shard_index: int = setting(
        0, "number of this part of the records, from 0, on a cluster", "run", "execution", within="[0, inf)"
    )
    num_shards: int = setting(
        1, "number of parts into which the records are divided", "run", "execution", within="[1, inf)"
    )
    dask: str | None = setting(
        None, "address of a Dask scheduler, such as tcp://host:8786, to read and score on its workers", "run",
        "execution",
    )  # fmt: skip
    figures: bool = setting(True, "draw a hypnogram for each record", "run", "result")
    features: bool = setting(False, "also write the features of each record's windows, NAME.npz", "run", "result")

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.shard_index < self.num_shards:
            raise ValueError(
                f"shard_index must lie in [0, num_shards). Received: {self.shard_index} of {self.num_shards}."
            )


def main(argv=None):
    """Run the command.

    Returns: exit status: 0, or 1 where any record was set aside.
    """
    settings = read(Settings, argv, prog="physiokeras score", description=__doc__.split("\n")[0])
    use(settings.backend)
    from physiokeras.pipelines import Definition, dask
    from physiokeras.scoring import load, score_folder

    done = score_folder(
        load(settings.model),
        settings.source,
        settings.out,
        definition=Definition.read(settings.dataset) if settings.dataset else None,
        workers=settings.workers,
        shard_index=settings.shard_index,
        num_shards=settings.num_shards,
        figures=settings.figures,
        features=settings.features,
        engine=dask.engine(settings.dask) if settings.dask is not None else None,
    )
    counts = f"{len(done.scored)} scored, {len(done.kept)} were scored already, {len(done.set_aside)} set aside"
    for line in doubted(done.doubts, len(done.scored) + len(done.kept)):
        print(line)
    print(f"{counts}. See {done.page}", flush=True)
    return int(bool(done.set_aside))


def doubted(doubts, records):
    """Lines on the records whose scores are in doubt: how many, and why the first few are.

    Args:
        doubts: Record to reasons, as of `physiokeras.scoring.Outcome`.
        records: Number of scored records.

    Returns: list of lines; empty where there is no doubt.
    """
    if not doubts:
        return []
    shown = dict(list(doubts.items())[:SHOWN])
    lines = [f"{len(doubts)} of {records} records are in doubt:"]
    for name, reasons in shown.items():
        more = f"; and {len(reasons) - 1} more" if reasons[1:] else ""
        lines.append(f"  {name}: {reasons[0]}{more}")
    return [*lines, *([f"  and {len(doubts) - SHOWN} more records, on the page"] if len(doubts) > SHOWN else [])]


if __name__ == "__main__":
    exit_status.run(main)
