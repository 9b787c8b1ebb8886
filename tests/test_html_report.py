import base64
import html.parser
import json

import pytest

from physiokeras.html_report import write_html, write_run

pytestmark = pytest.mark.once

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Seen(html.parser.HTMLParser):
    """Tags with their attributes, and the text of cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.cells.append(data)
            self.inside = False


@pytest.fixture
def run(tmp_path):
    """A run folder with a page, a figure of its own and one in `figures`."""
    (tmp_path / "figures").mkdir()
    for name in ("trials.png", "figures/loss.png", "figures/shown.png"):
        (tmp_path / name).write_bytes(PIXEL)
    rows = "| record | score |\n|---|---|\n| <script>alert(1)</script> & co | 0.77 |\n"
    (tmp_path / "scores.md").write_text(f"# Scores\n\n{rows}\n![shown](figures/shown.png)\n\n![x](/etc/passwd)\n")
    (tmp_path / "settings.toml").write_text('pooling = "mean" # <b>\n')
    facts = {"recipe": "pretrain", "command": "physiokeras pretrain --out 'a b'", "versions": {"keras": "3.15"}}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    return tmp_path


def test_the_page_holds_table_pictures_command_and_settings(run):
    text = write_run(run).read_text()
    seen = Seen(text)
    assert seen.cells == ["record", "score", "<script>alert(1)</script> & co", "0.77"]
    assert "keras 3.15" in text
    assert "physiokeras pretrain --out &#39;a b&#39;" in text
    assert "pooling = &#34;mean&#34; # &lt;b&gt;" in text
    assert {values["alt"] for tag, values in seen.tags if tag == "img"} >= {"trials", "loss", "shown"}


def test_a_resumed_run_is_repeated_by_its_present_settings(run):
    facts = json.loads((run / "run.json").read_text())
    facts["resumed"] = [{"command": "physiokeras compare --resume a --seeds 2"}]
    (run / "run.json").write_text(json.dumps(facts))
    text = write_run(run).read_text()
    assert f"physiokeras pretrain --config {run / 'settings.toml'} --out NEW_FOLDER" in text
    assert "physiokeras compare --resume a --seeds 2" in text
    assert facts["command"] not in text


def test_the_page_refers_to_no_other_file_and_runs_nothing(run):
    seen = Seen(write_run(run).read_text())
    sources = [values[key] for _, values in seen.tags for key in ("src", "href") if key in values]
    assert all(source.startswith("data:") or not source for source in sources)
    assert "script" not in {tag for tag, _ in seen.tags}
    expected = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    assert sources.count(expected) == 1 + 3  # in the text, and below it


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("age_of_us.png", "age_of_us.png"),
        ("a_b_c.png", r"a\_b\_c.png"),
        ("a[1].png", r"a\[1\].png"),
        ("a & b.png", "<a & b.png>"),
        ('"a" (1).png', '<"a" (1).png>'),
    ],
)
def test_a_picture_of_any_name_is_part_of_the_page(tmp_path, name, written):
    (tmp_path / name).write_bytes(PIXEL)
    (tmp_path / "report.md").write_text(f'![x]({written})\n\nsrc="{name}" is no picture.')
    text = write_html(tmp_path / "report.md", "Report").read_text()
    assert [values["src"][:10] for tag, values in Seen(text).tags if tag == "img"] == ["data:image"]
    assert text.count("data:image") == 1


def test_a_run_without_a_page_has_no_report(tmp_path):
    assert write_run(tmp_path) is None
    assert not (tmp_path / "report.html").exists()


def test_a_page_without_a_run_is_written_beside_it(tmp_path):
    (tmp_path / "report.md").write_text("A **page**.")
    assert "<strong>page</strong>" in write_html(tmp_path / "report.md", "Conversion").read_text()
