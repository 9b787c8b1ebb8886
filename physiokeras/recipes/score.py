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
from physiokeras.experiments.record_settings import RecordSettings
from physiokeras.experiments.settings import read, setting

SHOWN = 5
"""Number of records of which the command says why they are in doubt; the page says it of all."""


@dataclass(frozen=True)
class Settings(RecordSettings):
    """Settings of a scoring: model, recordings and output."""

    model: str = setting(
        help="run folder of the model and its probes, the name of a preset, or hf://USER/NAME",
        group="data",
        role="place",
        alias="run",
        holds="model",
    )
    out: str = setting(help="folder for the scores; created if missing", group="run", role="place", holds="results")
    features: bool = setting(False, "also write the features of each record's windows, NAME.npz", "run", "result")


def main(argv=None):
    """Run the command.

    Returns: exit status: 0, or 1 where any record was set aside.
    """
    settings = read(Settings, argv, prog="physiokeras score", description=__doc__.split("\n")[0])
    use(settings.backend)
    from physiokeras.scoring import load, score_folder

    model, options = load(settings.model), settings.options()
    done = score_folder(model, settings.source, settings.out, features=settings.features, **options)
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
