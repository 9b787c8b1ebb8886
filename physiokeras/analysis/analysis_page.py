"""Writes the page, the tables and the figures of an analysis."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from physiokeras.analysis import how_to_read
from physiokeras.errors import DataError
from physiokeras.experiments.reports import CAUTION, is_simulated
from physiokeras.figures.style import save
from physiokeras.files import write_atomic, write_csv
from physiokeras.html_report import write_html


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Args:
        title: Heading.
        text: Paragraphs and Markdown tables.
        tables: File name without extension -> rows of a CSV file, a list of dicts.
        figures: File name without extension -> `Figure`.
    """

    title: str
    text: list
    tables: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)


def section_or_reason(title, make, *arguments):
    """The section that `make` returns; if the data do not allow it, a section that gives the reason."""
    try:
        return make(*arguments)
    except DataError:
        raise
    except ValueError as error:
        return Section(title, [f"Not made: {error}"])


def write(sections, settings, manifest):
    """Write all sections to the output folder.

    Args:
        sections: list of `Section`.
        settings: The command's settings.
        manifest: `Manifest`.

    Returns: `Path` of the page.
    """
    source = Path(settings.run or settings.compare)
    folder = Path(settings.out) if settings.out else source / "analysis"
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    lines = [f"# What {source.resolve().name} has learned", ""]
    if is_simulated(manifest):
        lines += [CAUTION, ""]
    lines += [how_to_read.GUIDE, ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.text:
            lines += [paragraph, ""]
        for name, figure in section.figures.items():
            for kind in ("png", "pdf"):
                save(figure, folder / "figures" / f"{name}.{kind}")
            lines += [f"![{' '.join(figure.get_suptitle().split())}](figures/{name}.png)", ""]
        for name, rows in section.tables.items():
            write_csv(folder / f"{name}.csv", _table(rows))
        if section.tables:
            lines += ["Numbers: " + ", ".join(f"[{name}.csv]({name}.csv)" for name in section.tables), ""]
    path = folder / "analysis.md"
    write_atomic(path, "\n".join(lines))
    write_html(path, "Analysis")
    return path


def file_name(text):
    """A text in which each character that does not suit a file name is replaced by "_"."""
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in text)


def number(value, low=np.nan, high=np.nan, *, digits=2, factor=1):
    """A number as text, followed by its interval if there is one; "-" for NaN."""
    if not np.isfinite(value):
        return "-"
    value, low, high = (f"{round(factor * float(x), digits) + 0.0:.{digits}f}" for x in (value, low, high))
    return value if low == "nan" else f"{value} [{low}, {high}]"


def _table(rows):
    """Rows of a CSV file, header first, from dicts with the same keys."""
    yield list(rows[0]) if rows else []
    for row in rows:
        yield [f"{value:.6g}" if isinstance(value, float) else value for value in row.values()]
