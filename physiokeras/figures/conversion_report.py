"""The quality report of a conversion: `report.md` with `report.png`, and `report.html`, which holds both."""

from pathlib import Path

from physiokeras.figures.conversion import conversion
from physiokeras.figures.style import save
from physiokeras.files import write_atomic
from physiokeras.html_report import write_html
from physiokeras.pipelines.converting import quality


def write_report(manifest):
    """Write `report.md` and its figure into a prepared folder.

    Args:
        manifest: `physiokeras.pipelines.Manifest`.

    Returns: path of the page.
    """
    found, folder = quality.summary(manifest), Path(manifest.folder)
    if manifest.records:
        save(conversion(**found, name=manifest.definition["name"]), folder / "report.png", dpi=130)
    write_atomic(folder / "report.md", "\n".join(quality.page(manifest, **found)) + "\n")
    write_html(folder / "report.md", f"Conversion of {manifest.definition['name']}")
    return folder / "report.md"
