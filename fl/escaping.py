"""Texts of others in files, pages and terminals of one's own: one function per format.

Names of parties and columns, levels, reasons and refusals are chosen elsewhere, so each may hold what a spreadsheet, a
browser or a terminal would carry out. HTML and the markup of rich have functions in their own libraries
(`html.escape`, `rich.markup.escape`); what those two show is one line of printable text before (`text_line`).
"""

import re
from typing import Any, TypeVar

Value = TypeVar("Value")

# How a formula begins, and what spreadsheets skip before one: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MARKUP = re.compile(
    r"""
    [\\\[\]~`]                      # escapes, links, strikethrough, code
    | (?<!\*)\*(?!\*)               # emphasis, but not **bold**
    | (?<![^\W_])_ | _(?![^\W_])    # emphasis; an underscore within a word is one in Markdown, too
    | <(?=[A-Za-z/!?])              # HTML
    | &(?=\#?\w+;)                  # entities
    """,
    re.VERBOSE,
)
_CODE = re.compile(r"((?<!`)`[^`]+`(?!`))")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def text_line(text: str) -> str:
    """The text on one line, without the characters by which a terminal is commanded.

    >>> text_line("one" + chr(10) + "two" + chr(27) + "[2J")
    'one two?[2J'
    """
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def csv_cell(value: Value) -> Value | str:
    """The value of a cell; a text that a spreadsheet would read as a formula begins with an apostrophe.

    Numbers stay numbers, also where they are written as texts.

    >>> [csv_cell(value) for value in ("=1+1", "-2.5", "a=b", -3)]
    ["'=1+1", '-2.5', 'a=b', -3]
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def csv_text(table: Any) -> str:
    """A frame as the text of a CSV file without its index, texts and names of columns as cells (`csv_cell`).

    Arrow writes it, ten times as fast as pandas: it puts every text in quotes, and true and false are in small letters.
    """
    import pyarrow as pa  # Only who writes such a file needs Arrow, and not every module that writes a text.
    from pyarrow import csv

    texts = table.select_dtypes(exclude=["number", "bool", "datetime"]).columns
    cells = table.assign(**{name: table[name].map(csv_cell) for name in texts}).rename(columns=csv_cell)
    content = pa.BufferOutputStream()
    csv.write_csv(pa.Table.from_pandas(cells, preserve_index=False), content)
    return str(content.getvalue().to_pybytes().decode())


def markdown(text: str) -> str:
    """The text on one line of Markdown, in which **bold** and `code` are markup, and all else stands for itself.

    >>> markdown("`a_b` is **not** <b>")
    '`a_b` is **not** &lt;b>'
    """
    pieces = _CODE.split(" ".join(text.splitlines()))
    return "".join(piece if place % 2 else _MARKUP.sub(_entity, piece) for place, piece in enumerate(pieces))


def figure_text(text: str) -> str:
    """The text as matplotlib writes it, which would set what stands between dollars as a formula.

    >>> figure_text("a $ and a $")
    'a \\\\$ and a \\\\$'
    """
    return text.replace("$", r"\$")


def _entity(match: re.Match[str]) -> str:
    return _ENTITIES.get(match[0], f"\\{match[0]}")
