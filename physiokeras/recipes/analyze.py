"""What a model has learned: attention, tuning of units, reconstruction between modalities, representation.

    python -m physiokeras.recipes.analyze --run runs/pretrain-1
    python -m physiokeras.recipes.analyze --run runs/mae --against runs/dropout runs/late
    python -m physiokeras.recipes.analyze --compare runs/compare-1

The first looks at one run beside its encoder untrained, the second at runs side by side, the third asks of a finished
comparison whether the measures go with the probe scores. Each writes tables (CSV), figures (PNG and PDF) and a page to
read, `analysis.md`, by default into `analysis/` of the run. The demo's run takes about two minutes of one core.
"""

from dataclasses import dataclass
from typing import Literal

from physiokeras.experiments import exit_status
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CommonSettings, read, setting


@dataclass(frozen=True)
class Settings(CommonSettings):
    """Which runs are analysed, and on how many windows."""

    run: str | None = setting(None, "folder of a run of `pretrain`, or of a cell of a comparison", "runs", "place")
    against: tuple[str, ...] = setting(
        (), "folders of runs to show beside it; none: its encoder untrained", "runs", "place"
    )
    compare: str | None = setting(None, "folder of a run of `compare`, instead of --run", "runs", "place")
    data: str | None = setting(None, "folder that `prepare` made; none: the run's own data", "data", "place")
    windows: int = setting(2000, "windows for attention and features, spread over the test people", "data", "result")
    few_windows: int = setting(
        256, "windows for tuning and reconstruction, which look at each many times", "data", "result"
    )
    workers: int = setting(2, "processes that simulate a cohort that is gone", "data", "execution")
    width: int = setting(1, "largest distance in tokens at which attention counts as aligned", "measures", "result")
    draws: int = setting(1000, "draws of people for the intervals", "measures", "result")
    pooling: Literal["mean", "concatenate"] = setting(
        "mean", "features: mean over modalities, or side by side",
        "measures", "result",
    )  # fmt: skip

    def __post_init__(self):
        if (self.run is None) == (self.compare is None):
            raise ValueError("Give --run or --compare, the folder of a finished run.")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="python -m physiokeras.recipes.analyze", description=__doc__.split("\n")[0])
    use(settings.backend)
    from physiokeras.analysis import (
        analysed_runs,
        analysis_page,
        attention_section,
        comparison_section,
        learned_sections,
    )

    manifest = analysed_runs.manifest_of(settings.run or settings.compare, settings.data, settings.workers)
    if settings.compare:
        sections = [comparison_section.explanation(settings, manifest)]
    else:
        models = analysed_runs.analysed_models(settings.run, settings.against)
        records = analysed_runs.held_out(settings.run, manifest, settings.against)
        makers = {
            "Attention": attention_section.attention,
            "Tuning of units": learned_sections.tuning,
            "Reconstruction between modalities": learned_sections.reconstruction,
            "Representation": learned_sections.representation,
        }
        sections = [
            analysis_page.section_or_reason(title, make, models, manifest, settings, records)
            for title, make in makers.items()
        ]
    page = analysis_page.write([section for section in sections if section], settings, manifest)
    print(f"Everything is in {page.parent}; read {page}", flush=True)
    return 0


if __name__ == "__main__":
    exit_status.run(main)
