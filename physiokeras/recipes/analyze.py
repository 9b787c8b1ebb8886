"""Analyse what a model has learned: attention, tuning of features, reconstruction between modalities, representation.

    physiokeras analyze --run runs/pretrain-1
    physiokeras analyze --run runs/mae --against runs/dropout runs/late
    physiokeras analyze --compare runs/compare-1

The first command compares a run with its untrained encoder, the second compares several runs, and the third tests
whether the measures correlate with the probe scores of a finished comparison. Each writes tables (CSV), figures (PNG
and PDF) and the page `analysis.md`, by default to `analysis/` in the run folder. The demo's run takes about two minutes
on one core.
"""

from dataclasses import dataclass
from typing import Literal

from physiokeras.experiments import exit_status
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CommonSettings, read, setting


@dataclass(frozen=True)
class Settings(CommonSettings):
    """Settings of an analysis: runs, windows and measures."""

    run: str | None = setting(
        None, "run folder of `pretrain`, or folder of a cell of a comparison", "runs", "place", holds="model"
    )
    against: tuple[str, ...] = setting(
        (), "folders of runs to compare with; none: the same encoder, untrained", "runs", "place", holds="model"
    )
    compare: str | None = setting(None, "run folder of `compare`, instead of --run", "runs", "place", holds="run")
    data: str | None = setting(
        None, "folder that `prepare` wrote; none: the data of the run", "data", "place", holds="prepared"
    )
    windows: int = setting(
        2000, "number of windows for attention and features, spread over the test people", "data", "result"
    )
    few_windows: int = setting(
        256, "number of windows for tuning and reconstruction, which read each window many times", "data", "result"
    )
    workers: int = setting(2, "number of processes that simulate a missing cohort", "data", "execution")
    aligned_width: int = setting(
        1, "largest distance in tokens at which attention counts as aligned", "measures", "result", alias="width"
    )
    draws: int = setting(1000, "number of bootstrap draws of people for the intervals", "measures", "result")
    pooling: Literal["mean", "concatenate"] = setting(
        "mean", "features of a window: mean over modalities, or modalities concatenated",
        "measures", "result",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if (self.run is None) == (self.compare is None):
            raise ValueError("Give --run or --compare, the folder of a finished run.")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras analyze", description=__doc__.split("\n")[0])
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
            "Tuning of features": learned_sections.tuning,
            "Reconstruction between modalities": learned_sections.reconstruction,
            "Representation": learned_sections.representation,
        }
        sections = [
            analysis_page.section_or_reason(title, make, models, manifest, settings, records)
            for title, make in makers.items()
        ]
    page = analysis_page.write([section for section in sections if section], settings, manifest)
    print(f"The results are in {page.parent}; read {page}", flush=True)
    return 0


if __name__ == "__main__":
    exit_status.run(main)
