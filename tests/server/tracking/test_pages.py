import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from server.tracking.pages import (
    Code,
    Heading,
    Part,
    Picture,
    markdown_table,
    to_html,
    to_markdown,
    write_page,
)

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
        "|  | bank alone |\n| --- | ---: |\n| approval | 60.0 % |\n| a\\|b &lt;c> | – |\n\n"
        '![a "dot"](figures/dot.png)\n'
    )


def test_html_is_whole_escaped_and_needs_no_other_file(dot: Figure) -> None:
    page = to_html(PARTS, {"dot": dot})
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "<title>Title &amp; more</title>" in page
    assert "<strong>bold</strong> word, a <code>code</code> and 1 &lt; 2." in page
    assert '<td style="text-align:right">60.0 %</td>' in page
    assert "<td>a|b &lt;c&gt;</td>" in page
    assert 'alt="a &quot;dot&quot;"' in page
    (inside,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(inside).startswith(b"\x89PNG")
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_files_stand_where_the_markdown_looks_for_them(dot: Figure, tmp_path: Path) -> None:
    pages = write_page(tmp_path / "new" / "out", "report", PARTS, {"dot": dot})
    folder = tmp_path / "new" / "out"
    assert pages == [folder / "report.md", folder / "report.html"]
    (name,) = re.findall(r"\]\((.+?)\)", (folder / "report.md").read_text("utf-8"))
    assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert (folder / "report.html").read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<img src=x>", "&lt;img src=x>"),
        ("&lt;", "&amp;lt;"),
        ("[here](http://example.org)", "\\[here\\](http://example.org)"),
        ("a *b* _c_ ~~d~~ e_f", "a \\*b\\* \\_c\\_ \\~\\~d\\~\\~ e_f"),
        ("`<a_>*` and **p < 0.001**", "`<a_>*` and **p < 0.001**"),
        ("a\n# b", "a # b"),
    ],
)
def test_markdown_reads_no_markup_but_bold_and_code(text: str, written: str) -> None:
    assert to_markdown([text]) == f"{written}\n"
    assert to_markdown([Heading(text), Picture("x", text)]).count(written) == 2
    assert f"| {written} |" in markdown_table(pd.DataFrame({"a": [text]}))


def test_a_command_cannot_leave_its_block() -> None:
    assert to_markdown([Code("a ```\n# b")]) == "````sh\na ```\n# b\n````\n"


def test_pictures_are_found_whatever_their_name() -> None:
    assert to_markdown([Picture("my data)-swap", "x")]) == "![x](figures/my%20data%29-swap.png)\n"


def test_only_columns_of_numbers_are_aligned_right() -> None:
    frame = pd.DataFrame({"a": ["1", "x"], "b": ["+1.2 points", "–"], "c": [3, 4]})
    assert markdown_table(frame).splitlines()[1] == "| --- | ---: | ---: |"
    assert markdown_table(frame[:0]).splitlines()[1] == "| ---: | ---: | ---: |"


def test_a_cell_keeps_the_kind_of_its_column() -> None:
    assert "| 3 | 0.5 |" in markdown_table(pd.DataFrame({"points": [3], "share": [0.5]}))
