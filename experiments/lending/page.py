"""A page of headings, paragraphs, tables and figures, as Markdown and as one HTML file that needs no other.

Text knows **bold** and `code`, nothing else.
"""

import base64
import html
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pandas as pd
from matplotlib.figure import Figure


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
"""A page's part; a frame of text is a table, with the columns' names as its head, and a text is a paragraph."""

_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #1c1c1c; max-width: 62rem; margin: 2.5rem auto;
  padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin-top: 2.6rem; }
h3 { font-size: 1.02rem; margin: 1.8rem 0 0.5rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; margin: 0.8rem 0 1.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.38rem 0.7rem 0.38rem 0; border-bottom: 1px solid #e2e2e2; }
th { border-bottom: 2px solid #555; } td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
img { max-width: 100%; display: block; margin: 1rem 0; }
code, pre { font: 0.85rem ui-monospace, monospace; background: #f3f3f3; }
pre { padding: 0.7rem 0.9rem; white-space: pre-wrap; }
"""
_LONGEST_NUMBER = 34
"""Characters of a cell that is kept on one line."""


def to_markdown(parts: list[Part]) -> str:
    """The page in Markdown; figures are looked for in the folder `figures` beside it."""
    return "\n\n".join(_markdown(part) for part in parts) + "\n"


def to_html(parts: list[Part], figures: Mapping[str, Figure]) -> str:
    """The page in HTML with its figures inside, as PNG."""
    title = next(part.text for part in parts if isinstance(part, Heading))
    body = "\n".join(_html(part, figures) for part in parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def write_page(folder: Path, parts: list[Part], figures: Mapping[str, Figure]) -> None:
    """Write `report.md` with its `figures/`, and `report.html`, into a folder, which is made."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        (folder / "figures" / f"{name}.png").write_bytes(_png(figure))
    (folder / "report.md").write_text(to_markdown(parts), "utf-8")
    (folder / "report.html").write_text(to_html(parts, figures), "utf-8")


def _markdown(part: Part) -> str:
    if isinstance(part, Heading):
        return f"{'#' * part.level} {part.text}"
    if isinstance(part, Picture):
        return f"![{part.text}](figures/{part.name}.png)"
    if isinstance(part, Code):
        return f"```sh\n{part.text}\n```"
    if isinstance(part, str):
        return part
    rows = [list(part.columns), ["---"] * len(part.columns), *part.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def _html(part: Part, figures: Mapping[str, Figure]) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{_inline(part.text)}</h{part.level}>"
    if isinstance(part, Picture):
        data = base64.b64encode(_png(figures[part.name])).decode("ascii")
        return f'<img alt="{html.escape(part.text)}" src="data:image/png;base64,{data}">'
    if isinstance(part, Code):
        return f"<pre>{html.escape(part.text)}</pre>"
    if isinstance(part, str):
        return f"<p>{_inline(part)}</p>"
    head = _row("th", part.columns, lambda text: "")
    body = "\n".join(_row("td", cells, _class_of) for cells in part.to_numpy().tolist())
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _row(tag: str, cells: object, class_of: Callable[[str], str]) -> str:
    inside = "".join(f"<{tag}{class_of(text)}>{_inline(text)}</{tag}>" for text in cells)  # type: ignore[attr-defined]
    return f"<tr>{inside}</tr>"


def _class_of(text: str) -> str:
    short = len(text) <= _LONGEST_NUMBER and re.match(r"[+\-–]?\d|–$", text)
    return ' class="number"' if short else ""


def _inline(text: str) -> str:
    escaped = html.escape(text, quote=False)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=140)
    return buffer.getvalue()
