import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.lending.page import Code, Heading, Part, Picture, to_html, to_markdown, write_page

TABLE = pd.DataFrame({"": ["approval", "a|b <c>"], "bank alone": ["60.0 %", "–"]})
PARTS: list[Part] = [
    Heading("Title & more", 1),
    "A **bold** word, a `code` and 1 < 2.",
    Code("siloscore report --out 'a b'"),
    TABLE,
    Picture("dot", 'a "dot"'),
]


@pytest.fixture
def dot() -> Figure:
    figure = Figure()
    figure.add_subplot().plot(0, 0, "o")
    return figure


class Tags(HTMLParser):
    """Every tag that is opened is closed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_markdown() -> None:
    assert to_markdown(PARTS) == (
        "# Title & more\n\nA **bold** word, a `code` and 1 < 2.\n\n"
        "```sh\nsiloscore report --out 'a b'\n```\n\n"
        "|  | bank alone |\n| --- | --- |\n| approval | 60.0 % |\n| a\\|b <c> | – |\n\n"
        '![a "dot"](figures/dot.png)\n'
    )


def test_html_is_whole_escaped_and_needs_no_other_file(dot: Figure) -> None:
    page = to_html(PARTS, {"dot": dot})
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "<title>Title &amp; more</title>" in page
    assert "<strong>bold</strong> word, a <code>code</code> and 1 &lt; 2." in page
    assert '<td class="number">60.0 %</td>' in page
    assert "<td>a|b &lt;c&gt;</td>" in page
    assert 'alt="a &quot;dot&quot;"' in page
    (inside,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(inside).startswith(b"\x89PNG")
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_files_stand_where_the_markdown_looks_for_them(dot: Figure, tmp_path: Path) -> None:
    write_page(tmp_path / "new" / "out", PARTS, {"dot": dot})
    folder = tmp_path / "new" / "out"
    (name,) = re.findall(r"\]\((.+?)\)", (folder / "report.md").read_text("utf-8"))
    assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert (folder / "report.html").read_text("utf-8").startswith("<!doctype html>")
