"""A Markdown page of results as one HTML file without references to other files, for browsers, phones and printing."""

import base64
import json
import re
import shlex
from pathlib import Path

import jinja2
import markdown

from physiokeras.files import write_atomic

_TEMPLATE = "report.html"


def write_html(page, title, *, facts=None, settings="", figures=()):
    """Write `report.html` beside a Markdown page.

    Args:
        page: Path of the Markdown page. Its pictures must lie below its folder.
        title: Title of the HTML page.
        facts: Content of a `run.json`: command, versions and machine are shown, so that the run can be repeated.
        settings: Text of a `settings.toml`.
        figures: Paths of further pictures, shown below the text with the names of their files.

    Returns: path of the HTML page.
    """
    page, facts = Path(page), facts or {}
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template(_TEMPLATE)
    body = _html(page.read_text(encoding="utf-8"), page.parent)
    text = template.render(
        title=title,
        body=body,
        titled=body.startswith("<h1>"),
        figures=[(figure.stem.replace("_", " "), _picture(figure)) for figure in map(Path, figures)],
        facts=facts,
        machine=json.dumps(facts.get("machine", {})),
        settings=settings,
    )
    write_atomic(page.parent / _TEMPLATE, text)
    return page.parent / _TEMPLATE


def write_run(folder):
    """Write `report.html` of a run folder that has a `scores.md`, with its figures, settings and command.

    Args:
        folder: The run's folder.

    Returns: path of the page; None without a `scores.md`.
    """
    folder = Path(folder)
    if not (folder / "scores.md").is_file():
        return None
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if facts.get("resumed"):
        # The first command need not have had the present settings: a comparison can be given others.
        facts["command"] = (
            f"physiokeras {facts['recipe']} --config {shlex.quote(str(folder / 'settings.toml'))} --out NEW_FOLDER"
        )
        facts["last_command"] = facts["resumed"][-1]["command"]
    return write_html(
        folder / "scores.md",
        f"{facts.get('recipe', 'run')}: {folder.resolve().name}",
        facts=facts,
        settings=(folder / "settings.toml").read_text(encoding="utf-8"),
        figures=sorted((*folder.glob("*.png"), *folder.glob("figures/*.png"))),
    )


def _html(text, folder):
    """HTML of Markdown, its pictures part of it. HTML in the text, such as in a record's name, is shown as written."""
    converter = markdown.Markdown(extensions=["tables", "sane_lists"])
    converter.preprocessors.deregister("html_block")
    converter.inlinePatterns.deregister("html")
    # After the last step of Markdown's own, which resolves escapes: sources then are names of files.
    converter.treeprocessors.register(_Inlined(converter, folder.resolve()), "inlined", -1)
    # A table wider than the screen scrolls by itself; the page does not.
    return re.sub(r"(<table>.*?</table>)", r'<div class="wide">\1</div>', converter.convert(text), flags=re.DOTALL)


class _Inlined(markdown.treeprocessors.Treeprocessor):
    """Puts the content of pictures in the place of their names; pictures that are not below the folder are left out."""

    def __init__(self, converter, folder):
        super().__init__(converter)
        self.folder = folder

    def run(self, root):
        for element in root.iter("img"):
            path = (self.folder / element.get("src")).resolve()
            known = path.is_file() and path.is_relative_to(self.folder)
            element.set("src", _picture(path) if known else "")


def _picture(path):
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
