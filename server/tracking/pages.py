"""A page of headings, paragraphs, tables and pictures, as Markdown and as one HTML file that needs no other file.

Texts know **bold** and `code`. Whatever else Markdown or HTML would read as markup is escaped (`fl/escaping.py`), since
a text may hold the name of a party, a column or a dataset.
"""

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import pandas as pd
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from fl.escaping import markdown
from server.tracking.drawing import save


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the page's title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Picture:
    """A figure by its name, and what it shows, for those who cannot see it."""

    name: str
    text: str


@dataclass(frozen=True)
class Code:
    """A command, as typed."""

    text: str


Part: TypeAlias = Heading | Picture | Code | pd.DataFrame | str
"""A part of a page; a frame is a table, headed by the names of its columns, and a text is a paragraph."""

_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #1c1c1c; max-width: 62rem; margin: 2.5rem auto;
  padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin-top: 2.6rem; }
h3 { font-size: 1.02rem; margin: 1.8rem 0 0.5rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; margin: 0.8rem 0 1.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.38rem 0.7rem 0.38rem 0; border-bottom: 1px solid #e2e2e2; }
th { border-bottom: 2px solid #555; } td[style] { white-space: nowrap; font-variant-numeric: tabular-nums; }
tr:has(> :nth-child(8)) td[style] { white-space: normal; }
img { max-width: 100%; display: block; margin: 1rem 0; }
code, pre { font: 0.85rem ui-monospace, monospace; background: #f3f3f3; }
pre { padding: 0.7rem 0.9rem; white-space: pre-wrap; }
"""


def to_markdown(parts: Iterable[Part], figures: Mapping[str, str] | None = None) -> str:
    """The page in Markdown; figures are the addresses of its pictures, by default in the folder `figures` beside it."""
    return "\n\n".join(_markdown(part, figures or {}) for part in parts) + "\n"


def to_html(parts: Sequence[Part], figures: Mapping[str, Figure]) -> str:
    """The page in HTML, with the figures of its pictures inside as PNG; its first heading is the title."""
    title = next(part.text for part in parts if isinstance(part, Heading))
    inside = {
        name: f"data:image/png;base64,{base64.b64encode(_png(figure)).decode('ascii')}"
        for name, figure in figures.items()
    }
    body = (
        MarkdownIt("commonmark", {"html": False, "xhtmlOut": False})
        .enable("table")
        .render(to_markdown(parts, inside))
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def write_page(folder: Path, name: str, parts: Sequence[Part], figures: Mapping[str, Figure]) -> list[Path]:
    """Write `<name>.md` with its `figures/`, and `<name>.html`, into a folder, which is made: the two files."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for stem, figure in figures.items():
        (folder / "figures" / f"{stem}.png").write_bytes(_png(figure))
    pages = {folder / f"{name}.md": to_markdown(parts), folder / f"{name}.html": to_html(parts, figures)}
    for path, text in pages.items():
        path.write_text(text, "utf-8")
    return list(pages)


def markdown_table(table: pd.DataFrame) -> str:
    """A frame as a table in Markdown, with columns of numbers alone aligned right.

    >>> print(markdown_table(pd.DataFrame({"party": ["north|east"], "AUC": ["0.812"]})))
    | party | AUC |
    | --- | ---: |
    | north\\|east | 0.812 |
    """
    rows = [[str(cell) for cell in row] for row in table.itertuples(index=False, name=None)]
    numbers = [all(_is_number(row[place]) for row in rows) for place in range(table.shape[1])]
    rule = "|".join(" ---: " if number else " --- " for number in numbers)
    escaped = [
        [markdown(text).replace("|", "\\|") for text in row] for row in (map(str, table.columns), *rows)
    ]
    head, *body = (f"| {' | '.join(row)} |" for row in escaped)
    return "\n".join([head, f"|{rule}|", *body])


def _is_number(text: str) -> bool:
    """Whether a cell begins as a number does, such as "+1.2 points", or is the dash that stands for none."""
    return re.match(r"\s*(< )?([+\-–]?\d|–$)", text) is not None


def _markdown(part: Part, figures: Mapping[str, str]) -> str:
    match part:
        case Heading(text, level):
            return f"{'#' * level} {markdown(text)}"
        case Picture(name, text):
            return f"![{markdown(text)}]({figures.get(name, f'figures/{quote(name)}.png')})"
        case Code(text):
            fence = max(["``", *re.findall("`+", text)], key=len) + "`"
            return f"{fence}sh\n{text}\n{fence}"
        case str(text):
            return markdown(text)
        case table:
            return markdown_table(table)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    save(figure, buffer, dpi=140)
    return buffer.getvalue()
