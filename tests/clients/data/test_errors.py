"""The wording of errors: place first, then what is wrong."""

import pickle
import warnings
from pathlib import Path

import pytest

from clients.data.errors import DataError, DataWarning, listing, not_decodable, suggestion, warn_once


def test_a_process_is_warned_once() -> None:
    with pytest.warns(DataWarning, match="the ids are spoilt"):
        warn_once("the ids are spoilt")

    with warnings.catch_warnings(action="error"):
        warn_once("the ids are spoilt")


def test_an_error_names_file_row_and_column_before_the_problem() -> None:
    error = DataError.at(Path("bank/bank.csv"), "'x' is not a number.", row="line 17", column="inflow")

    assert str(error) == "bank/bank.csv, line 17, column 'inflow': 'x' is not a number."


def test_a_warning_is_worded_like_an_error() -> None:
    warning = DataWarning.at(Path("tax.csv"), "the column is empty.", column="arrears")

    assert str(warning) == "tax.csv, column 'arrears': the column is empty."


def test_an_error_survives_the_way_between_processes() -> None:
    error = DataError.at(Path("bank.csv"), "it is empty.")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("inflwo", " Did you mean 'Inflow'?"),
        ("INFLOW", " Did you mean 'Inflow'?"),
        (" Inflow", " Did you mean 'Inflow'?"),
        ("zebra", ""),
    ],
)
def test_the_nearest_known_word_is_suggested_if_one_is_near(word: str, expected: str) -> None:
    assert suggestion(word, ["Inflow", "outgoings"]) == expected


def test_a_long_listing_ends_in_a_count() -> None:
    assert listing(["a", "b", "c", "d"], limit=2) == "'a', 'b' and 2 more"
    assert listing([]) == "none"


def test_a_byte_that_is_not_decodable_is_located_by_line_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("id,region\n1,北京\n".encode() + b"2,\xd6\xd0\n")

    assert str(not_decodable(path)) == (
        f"{path}, line 3: byte 21 (0xd6) is not valid UTF-8; save the file as UTF-8."
    )


def test_a_file_that_is_utf8_after_all_has_changed(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id")

    assert str(not_decodable(tmp_path / "x.csv")).endswith("x.csv changed while it was read; try again.")
