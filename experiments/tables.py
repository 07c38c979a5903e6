"""Tables for a terminal of any width: no name is ever broken within a word."""

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text


class FittedTable(Table):
    """A table in the house style; where the terminal is too narrow for its words, a list of its rows.

    Cells are texts without markup, since they may be the names of parties and columns. A table can have one column
    that is wrapped between words; the others need `no_wrap`.
    """

    def __init__(self, *columns: Column | str, title: str, caption: str = "") -> None:
        super().__init__(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        self._above, self._below = title, caption

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row of cells, each a text."""
        super().add_row(*map(Text, cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Rich would wrap these at the width of the table.
        yield Text(self._above, style="table.title")
        if self._width() <= options.max_width:
            yield from super().__rich_console__(console, options)
        else:
            yield from self._listed()
        if self._below:
            yield Text(self._below, style="table.caption")

    def _width(self) -> int:
        """The least width at which no word is broken: of every column, its padding, and the gaps between columns."""
        words = (
            (word for text in _texts(column) for word in ([text] if column.no_wrap else text.split()))
            for column in self.columns
        )
        widths = [max(map(cell_len, of_column), default=0) for of_column in words]
        return sum(widths) + 2 * len(widths) - 1

    def _listed(self) -> Iterator[Text | Padding]:
        """For each row a line with its first cell, and below it the others after the heads of their columns."""
        (_, *heads), *rows = zip(*map(_texts, self.columns), strict=True)
        for (name, *cells), row in zip(rows, self.rows, strict=True):
            yield Text(name, style=row.style or "bold")
            told = zip(heads, cells, strict=True)
            figures = ", ".join(f"{head} {cell}".strip() for head, cell in told if cell)
            yield Padding(Text(figures), (0, 0, 0, 2))


def _texts(column: Column) -> list[str]:
    """The head and the cells of a column."""
    return [str(column.header), *map(str, column.cells)]
