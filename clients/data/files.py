"""The tables of a party's folder: one file is opened here, and the format of all is detected."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

from clients.data.csv_file import CsvFile
from clients.data.errors import DataError, listing
from clients.data.format import USUAL, Format, sniff
from clients.data.parquet_file import ParquetFile
from clients.data.table_file import TableFile

SUFFIXES = (".parquet", ".csv")


def open_table(path: Path, format: Format = USUAL) -> TableFile:
    """The table at `path`, of which only the column names are read yet.

    Raises `DataError` if there is no such file or it is not a table of this format.
    """
    path = Path(path)
    with _named_errors(path):
        return CsvFile(path, format) if path.suffix == ".csv" else ParquetFile(path, format)


def detect(*paths: Path) -> Format:
    """The format that the tables of a party are written in: where they differ, what is not usual in the first of them.

    Raises `DataError` if there is no such file, it is not a table, or its encoding cannot be told.
    """
    formats = [_detect(Path(path)) for path in paths]
    usual = {field.name: getattr(USUAL, field.name) for field in fields(Format)}
    return Format(
        **{
            key: next((value for each in formats if (value := getattr(each, key)) != usual[key]), usual[key])
            for key in usual
        }
    )


def _detect(path: Path) -> Format:
    with _named_errors(path):
        format = sniff(path) if path.suffix == ".csv" else USUAL
    return replace(format, missing=open_table(path, format).words_for_missing())


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: a table must be a .csv or a .parquet file.")
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; tables in its folder: {tables_in(path.parent)}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def tables_in(folder: Path) -> str:
    """The names of the table files in a folder, for a message."""
    return listing(sorted(file.name for file in Path(folder).glob("*") if file.suffix in SUFFIXES))
