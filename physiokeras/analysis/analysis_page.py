"""The page, tables and figures of an analysis."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.experiments.reports import CAUTION, is_simulated
from physiokeras.figures.style import save
from physiokeras.files import write_atomic, write_csv


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


def made(title, make, *arguments):
    """A `Part`, or one that says why these data cannot have it, so that the others are not lost."""
    try:
        return make(*arguments)
    except DataError:
        raise
    except ValueError as error:
        return Part(title, [f"Not made: {error}"])


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
        lines += [CAUTION, ""]
    for part in parts:
        lines += [f"## {part.title}", ""]
        for paragraph in part.text:
            lines += [paragraph, ""]
        for name, figure in part.figures.items():
            for kind in ("png", "pdf"):
                save(figure, folder / "figures" / f"{name}.{kind}")
            lines += [f"![{figure.get_suptitle()}](figures/{name}.png)", ""]
        for name, rows in part.tables.items():
            write_csv(folder / f"{name}.csv", _table(rows))
        if part.tables:
            lines += ["Numbers: " + ", ".join(f"[{name}.csv]({name}.csv)" for name in part.tables), ""]
    path = folder / "analysis.md"
    write_atomic(path, "\n".join(lines))
    return path


def file_name(text):
    """A text as a part of a file's name."""
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in text)


def number(value, low=np.nan, high=np.nan, *, digits=2, factor=1):
    """A number, with its interval where it has one, as text; "-" where it is unknown."""
    if not np.isfinite(value):
        return "-"
    value, low, high = (f"{round(factor * float(x), digits) + 0.0:.{digits}f}" for x in (value, low, high))
    return value if low == "nan" else f"{value} [{low}, {high}]"


def _table(rows):
    """Rows of a CSV from dicts of the same keys, the heading first."""
    yield list(rows[0]) if rows else []
    for row in rows:
        yield [f"{value:.6g}" if isinstance(value, float) else value for value in row.values()]
