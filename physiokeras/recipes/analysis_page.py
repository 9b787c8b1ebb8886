"""The page, tables and figures of an analysis."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from physiokeras.analysis.figure_style import save
from physiokeras.files import write_atomic
from physiokeras.recipes.cohort import is_simulated


@dataclass(frozen=True)
class Part:
    """One section of the page.

    Args:
        title: Its heading.
        text: Paragraphs and Markdown tables.
        tables: File name without ending -> list of dicts, the rows of a CSV.
        figures: File name without ending -> `Figure`.
    """

    title: str
    text: list
    tables: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)


def write(parts, settings, manifest):
    """Write all parts into the folder for results.

    Args:
        parts: list of `Part`.
        settings: Those of the command.
        manifest: `Manifest`.

    Returns: `Path` of the page.
    """
    source = Path(settings.run or settings.compare)
    folder = Path(settings.out) if settings.out else source / "analysis"
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    lines = [f"# What {source.resolve().name} has learned", ""]
    if is_simulated(manifest):
        lines += ["Simulated recordings: these numbers say nothing about people.", ""]
    for part in parts:
        lines += [f"## {part.title}", ""]
        for paragraph in part.text:
            lines += [paragraph, ""]
        for name, figure in part.figures.items():
            for kind in ("png", "pdf"):
                save(figure, folder / "figures" / f"{name}.{kind}")
            lines += [f"![{figure.get_suptitle()}](figures/{name}.png)", ""]
        for name, rows in part.tables.items():
            write_atomic(folder / f"{name}.csv", _csv(rows))
        if part.tables:
            lines += ["Numbers: " + ", ".join(f"[{name}.csv]({name}.csv)" for name in part.tables), ""]
    path = folder / "analysis.md"
    write_atomic(path, "\n".join(lines))
    return path


def markdown(rows):
    """A Markdown table; the first row is its head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def number(value, low=np.nan, high=np.nan, *, digits=2, factor=1):
    """A number, with its interval where it has one, as text; "-" where it is unknown."""
    if not np.isfinite(value):
        return "-"
    value, low, high = (f"{round(factor * float(x), digits) + 0.0:.{digits}f}" for x in (value, low, high))
    return value if low == "nan" else f"{value} [{low}, {high}]"


def _csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return text.getvalue()
